"""Prints the medians that criterion has kept, with their 95 % confidence intervals, as a table.

Run by `make bench-parts` with the path of criterion's folder as the only argument.
"""

import json
import sys
from pathlib import Path


def main():
    print("| part | median | 95 % confidence |\n|---|---|---|")
    for name, median, low, high in medians(sys.argv[1]):
        print(f"| {name} | {duration(median)} | {duration(low)} to {duration(high)} |")


def medians(folder):
    """For each measurement its name, its median, and the ends of the interval, in nanoseconds."""
    for benchmark in sorted(Path(folder).glob("*/*/new/benchmark.json")):
        name = json.loads(benchmark.read_text())["full_id"]
        median = json.loads(benchmark.with_name("estimates.json").read_text())["median"]
        interval = median["confidence_interval"]
        yield name, median["point_estimate"], interval["lower_bound"], interval["upper_bound"]


def duration(nanoseconds):
    for unit, size in ("ms", 1e6), ("µs", 1e3):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.2f} {unit}"
    return f"{nanoseconds:.1f} ns"


if __name__ == "__main__":
    main()
