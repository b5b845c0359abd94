#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of one run of reload_bench between the marks of a page.

    report_reload.py RESULTS.json README.md
"""
import argparse
import datetime
import json
import pathlib
import platform

import report

STAGES = ("plan", "check", "load", "tables", "attach")


def ms(seconds):
    return f"{seconds * 1e3:.1f}"


def loading(ways):
    rows = []
    for row in ways:
        pruned, everything, twice = row["pruned"], row["everything"], row["twice"]
        rows.append([row["settings"], ms(pruned["cpu"]), ms(pruned["analysis"]),
                     ms(everything["cpu"]), f"{everything['cpu'] / pruned['cpu']:.2f}",
                     ms(twice["cpu"]), f"{twice['cpu'] / pruned['cpu']:.2f}",
                     f"{pruned['maps']} / {everything['maps']}"])
    return report.table(["settings", "pruned", "of it analysis", "everything", "times pruned",
                  "loaded twice", "times pruned", "maps, pruned / everything"], rows)


def reloads(agent):
    rows = []
    for name, result in agent.items():
        if "load" not in result:
            continue
        rows.append([name, ms(result["seconds"]), ms(result["load"]),
                     ms(result["seconds"] - result["load"]),
                     *(ms(result["stages"].get(stage, 0)) for stage in STAGES if stage != "load"),
                     ms(result["stages"].get("migrate", 0))])
    return report.table(["change with", "swap to in force", "kernel's load", "the rest", "plan", "check",
                  "tables", "attach", "afterwards: migrate"], rows)


def sentence(results):
    write = results["agent"]["table write"]["seconds"]
    return (f"{datetime.date.today()}, Linux {platform.release()}. Milliseconds. A change that needs "
            f"no new program, one CIDR of the prefilter: {ms(write)} ms from the swap of the "
            f"ConfigMap to the entry in the kernel's table.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("page", type=pathlib.Path)
    options = parser.parse_args()
    results = json.loads(options.results.read_text())
    text = "\n\n".join([sentence(results), "From the swap to the new programs on every device:",
                        reloads(results["agent"]), "Loading the four objects, CPU time:",
                        loading(results["ways"])])
    report.fill(options.page, "reload figures", text)


if __name__ == "__main__":
    main()
