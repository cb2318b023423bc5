"""Compares the routes of the bench server in turn, several rounds each, and prints medians, spreads and shares.

Run by `make bench-routes`. Needs wrk on PATH and the path of the built server as the first argument.
"""

import argparse
import statistics
import subprocess

from peers import load

ROUTES = {
    "native": "a native axum route",
    "python": "a Python route",
    "attach": "attaching on the tokio thread",
    "blocking": "attaching in `spawn_blocking`",
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("server")
    arguments.add_argument("--connections", type=int, default=64)
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()

    server = subprocess.Popen([options.server, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[-1]
        rates = {route: [] for route in ROUTES}
        slowest = {route: [] for route in ROUTES}
        for route in ROUTES:  # warm
            measure(address, route, options.connections, 1)
        for _ in range(options.rounds):
            for route in ROUTES:
                rate, p99 = measure(address, route, options.connections, options.seconds)
                rates[route].append(rate)
                slowest[route].append(p99)
    finally:
        server.kill()
        server.wait()

    print(f"wrk -t1 -c{options.connections} -d{options.seconds}s --latency, {options.rounds} rounds in turn\n")
    print(
        "| route | requests/s, median (lowest to highest) | share of native, median of rounds (lowest to highest) | p99 |"
    )
    print("|---|---|---|---|")
    for route, what in ROUTES.items():
        shares = sorted(rate / base for rate, base in zip(rates[route], rates["native"]))
        print(
            f"| {what} | {statistics.median(rates[route]):,.0f} ({min(rates[route]):,.0f} to {max(rates[route]):,.0f}) "
            f"| {statistics.median(shares):.2f} ({shares[0]:.2f} to {shares[-1]:.2f}) "
            f"| {statistics.median(slowest[route]):.1f} ms |"
        )
    for route in ("attach", "blocking"):
        times = sorted(ours / theirs for ours, theirs in zip(rates["python"], rates[route]))
        middle = statistics.median(times)
        print(f"\na Python route over {ROUTES[route]}: {middle:.1f} times ({times[0]:.1f} to {times[-1]:.1f})")


def measure(address, route, connections, seconds):
    """Requests per second and the 99th percentile in milliseconds."""
    said = load.run(load.Load(f"{address}/{route}", connections, seconds))[0]
    if said["errors"]:
        raise SystemExit(f"{route}: {load.in_words(said['errors'])}")
    return said["requests_per_second"], said["p99_us"] / 1000


if __name__ == "__main__":
    main()
