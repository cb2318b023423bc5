"""Compares servers that nobody looks at with such that have a subscriber and a recorder of metrics, in turn.

Run by `make bench-observed`. Needs wrk on PATH and the path of the built `bench_server` as the first argument. Prints the
table and writes it to `results/observed.md`, unless --quick is given. Exit code 1 where more than a tenth is lost.
"""

import argparse
import os
import statistics
import subprocess
from pathlib import Path

from peers import load

RESULTS = Path(__file__).parent / "results"
LEAST = 0.9

# `OBSERVED` → what it is.
SERVERS = {
    "": "nobody looks",
    "info": "a subscriber for INFO and above, and a recorder",
    "spans": "the same, and the subscriber takes the span of each call",
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("server")
    arguments.add_argument("--connections", type=int, default=64)
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--quick", action="store_true", help="one round of 1 s, which only tries it")
    options = arguments.parse_args()
    if options.quick:
        options.seconds = options.rounds = 1

    servers, rates = {}, {observed: [] for observed in SERVERS}
    try:
        for observed in SERVERS:
            servers[observed] = start(options.server, observed)
            measure(servers[observed], options.connections, 1)  # warm
        for number in range(options.rounds):
            # Each comes first as often as the others.
            order = list(SERVERS)[number % len(SERVERS) :] + list(SERVERS)[: number % len(SERVERS)]
            for observed in order:
                rates[observed].append(measure(servers[observed], options.connections, options.seconds))
    finally:
        for process, _ in servers.values():
            process.kill()
            process.wait()

    table, kept = report(rates, options)
    print(table)
    if not options.quick:
        (RESULTS / "observed.md").write_text(table)
    return 0 if kept else 1


def start(server, observed):
    """The process, and where it listens."""
    environment = {**os.environ, "OBSERVED": observed}
    process = subprocess.Popen([server, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True, env=environment)
    return process, process.stdout.readline().split()[-1]


def measure(server, connections, seconds):
    """Requests per second of the Python route."""
    said = load.run(load.Load(f"{server[1]}/python", connections, seconds))[0]
    if said["errors"]:
        raise SystemExit(load.in_words(said["errors"]))
    return said["requests_per_second"]


def report(rates, options):
    """The table, and whether all keep as much as they have to."""
    lines = [
        f"wrk -t1 -c{options.connections} -d{options.seconds}s, {options.rounds} rounds in turn\n",
        "| a Python route where | requests/s, median (lowest to highest) | share, median of rounds (lowest to highest) |",
        "|---|---|---|",
    ]
    kept = True
    for observed, what in SERVERS.items():
        found, shares = rates[observed], sorted(rate / base for rate, base in zip(rates[observed], rates[""]))
        kept = kept and statistics.median(shares) >= LEAST
        lines.append(
            f"| {what} | {statistics.median(found):,.0f} ({min(found):,.0f} to {max(found):,.0f}) "
            f"| {statistics.median(shares):.3f} ({shares[0]:.3f} to {shares[-1]:.3f}) |"
        )
    lines.append(f"\nNo more than a tenth may be lost: {'kept' if kept else 'NOT kept'}.")
    return "\n".join(lines) + "\n", kept


if __name__ == "__main__":
    raise SystemExit(main())
