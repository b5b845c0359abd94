#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of one run of object_bench between the marks of a page.

    report.py RESULTS.json README.md

A figure is the least of its repetitions: what disturbs a measurement only ever adds to it.
"""
import argparse
import json
import pathlib
import platform
import re

SETTINGS = ("default", "on", "off")
SIZES = ("60000", "125000", "250000", "500000", "1000000")
OURS = ("xdp", "from_pod", "to_pod", "from_netdev")
OBJECTS = (*OURS, "big25k", "big60k", "big60k-300maps")


class Results:
    def __init__(self, path):
        self.data = json.loads(path.read_text())
        self.least, self.slots, self.peak, self.cpu = {}, {}, {}, {}
        for row in self.data["benchmarks"]:
            if row.get("run_type") == "aggregate":
                continue
            if row.get("error_occurred"):
                raise SystemExit(f"report.py: {row['name']}: {row['error_message']}")
            what, name, setting = row["name"].split("/")[:3]
            key = (what, name, setting if setting in SETTINGS else "")
            self.least[key] = min(row["a_slot"] * 1e9, self.least.get(key, float("inf")))
            self.slots[name] = int(row["slots"])
            if "peak_bytes" in row:
                self.peak[name, key[2]] = row["peak_bytes"]
                self.cpu[name, key[2]] = min(row["cpu_a_slot"] * 1e9,
                                             self.cpu.get((name, key[2]), float("inf")))

    def ns(self, what, name, setting=""):
        return self.least[what, name, setting]


def table(head, rows):
    align = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, align, *rows])


def fill(page, marks, text):
    """Puts `text` between the page's marks."""
    filled, count = re.subn(rf"(?s)(<!-- begin {marks} -->\n).*?(<!-- end {marks} -->)",
                            lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page.read_text())
    if count != 1:
        raise SystemExit(f"{page} has no place for the {marks}")
    page.write_text(filled)


def against_kernel(results):
    rows = []
    for name in OBJECTS:
        for setting in SETTINGS:
            verdict, kernel = (results.ns(what, name, setting) for what in ("Verdict", "Kernel"))
            rows.append([f"{name}, {setting}", f"{results.slots[name]:,}",
                         f"{results.ns('Read', name):.0f}",
                         f"{results.ns('Analyse', name, setting):.0f}", f"{verdict:.0f}",
                         f"{results.cpu[name, setting]:.0f}",
                         f"{kernel:,.0f}", f"{100 * verdict / kernel:.2f} %",
                         f"{results.peak[name, setting] / 1e6:.1f}"])
    return table(["object, toggles", "slots", "read", "analyse", "verdict", "its CPU", "kernel",
                  "verdict / kernel", "peak MB"], rows)


def together(results):
    """Our objects on a packet's way, their times added."""
    rows = []
    for setting in SETTINGS:
        verdict, kernel = (sum(results.ns(what, name, setting) * results.slots[name] for name in OURS)
                           for what in ("Verdict", "Kernel"))
        rows.append([setting, f"{sum(results.slots[name] for name in OURS):,}",
                     f"{verdict / 1e6:.2f}", f"{kernel / 1e6:,.0f}", f"{100 * verdict / kernel:.2f} %"])
    return table(["toggles", "slots", "verdict, ms", "kernel, ms",
                  "verdict / kernel"], rows)


def by_size(results):
    rows = []
    for shape in ("wide", "long"):
        base = results.ns("Verdict", f"{shape}-{SIZES[0]}", "on")
        for size in SIZES:
            name = f"{shape}-{size}"
            verdict = results.ns("Verdict", name, "on")
            rows.append([shape, f"{results.slots[name]:,}", f"{results.ns('Read', name):.0f}",
                         f"{results.ns('Analyse', name, 'on'):.0f}", f"{verdict:.0f}",
                         f"{results.cpu[name, 'on']:.0f}",
                         f"{verdict / base:.2f}", f"{results.peak[name, 'on'] / 1e6:.1f}"])
    return table(["shape", "slots", "read", "analyse", "verdict", "its CPU", "against 60 thousand",
                  "peak MB"], rows)


def sentence(results):
    verdict = results.ns("Verdict", "big60k", "on")
    kernel = results.ns("Kernel", "big60k", "on")
    last = max(results.ns("Verdict", f"{shape}-1000000", "on") /
               results.ns("Verdict", f"{shape}-60000", "on") for shape in ("wide", "long"))
    peak = max(results.peak[name, setting] for name in OBJECTS for setting in SETTINGS) / 1e6
    return (f"{results.data['context']['date'][:10]}, Linux {platform.release()}, "
            f"{results.data['context']['num_cpus']} cores of "
            f"{results.data['context']['mhz_per_cpu']} MHz. At {results.slots['big60k']:,} slots "
            f"with everything on: {verdict:.0f} ns a slot "
            f"({results.cpu['big60k', 'on']:.0f} ns of CPU), {100 * verdict / kernel:.2f} % of the "
            f"kernel's load. A slot of a million costs {last:.2f} times one of 60 thousand. Most "
            f"memory for an object that the kernel loads: {peak:.1f} MB.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("page", type=pathlib.Path)
    options = parser.parse_args()
    results = Results(options.results)
    text = "\n\n".join([sentence(results), "Beside the kernel:", against_kernel(results),
                        "Our objects on a packet's way, together:", together(results),
                        "By size, everything on:", by_size(results)])
    fill(options.page, "figures", text)


if __name__ == "__main__":
    main()
