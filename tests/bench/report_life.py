#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the table of one run of life_bench between the marks of a page.

    report_life.py RESULTS.json README.md
"""
import argparse
import datetime
import json
import pathlib
import platform

import report


def rows(results):
    for each in results:
        cells = each["width"] * each["height"]
        kernel, native, vector = (each[f"{name}_ns"] for name in ("kernel", "native", "vector"))
        yield [f"{each['width']} x {each['height']}", f"{kernel / 1e3:,.1f}",
               f"{cells / kernel:.2f}", f"{cells / native:.2f}", f"{native / kernel:.2f}",
               f"{cells / vector:.2f}", f"{vector / kernel:.2f}", f"{each['slice_ns'] / 1e3:,.0f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("page", type=pathlib.Path)
    options = parser.parse_args()
    table = report.table(["board", "µs a generation", "kernel", "native", "kernel / native",
                          "native, for vectors", "kernel / that", "longest slice, µs"],
                         rows(json.loads(options.results.read_text())))
    text = (f"{datetime.date.today()}, Linux {platform.release()}. Thousand million cells a second.")
    report.fill(options.page, "life figures", f"{text}\n\n{table}")


if __name__ == "__main__":
    main()
