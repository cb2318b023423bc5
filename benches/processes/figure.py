"""The figures that worker processes are measured by: each gives its numbers, round by round, and a verdict."""

import statistics

from peers import load
from peers.server import granian, started

from .fault import killed, reloaded
from .memory import recycled
from .server import THREADS, Server, processes

RSGI = granian("rsgi", "granian-rsgi", "Granian RSGI")
BODY = "x" * 65536


def middle(values):
    return statistics.median(values)


def in_turn(urls, options, connections=64, body=""):
    """Requests/s of each, round by round; every other round in reverse order."""
    for url in urls.values():
        rate(load.Load(url, connections, 1, body=body))
    rates = {name: [] for name in urls}
    for number in range(options.rounds):
        for name in list(urls)[:: 1 if number % 2 else -1]:
            rates[name].append(rate(load.Load(urls[name], connections, options.seconds, body=body)))
    return rates


def rate(one):
    seen = load.run(one)[0]
    if seen["errors"]:
        raise RuntimeError(f"{one.url}: {load.in_words(seen['errors'])}")
    return seen["requests_per_second"]


def beside(rates, name, others):
    return {other: middle([a / b for a, b in zip(rates[name], rates[other])]) for other in others}


def trivial(program, options):
    """Requests/s of a trivial handler in one process under 64 connections, in turn with Granian RSGI and with threads."""
    with Server(program, processes(1)) as one, Server(program, THREADS) as threads, started(RSGI, program) as rsgi:
        urls = {
            "one process": f"{one.base}/python",
            "threads": f"{threads.base}/python",
            "native": f"{one.base}/native",
            "Granian RSGI": f"{rsgi.base}/",
        }
        rates = in_turn(urls, options)
    ratios = beside(rates, "one process", ["Granian RSGI", "threads", "native"])
    return {
        "requests/s": rates,
        "one process / others": ratios,
        "met": {"one process / Granian RSGI at least 0.9 (aim 1.2)": ratios["Granian RSGI"] >= 0.9},
    }


def computing(program, options):
    """Requests/s of a handler that computes 2 ms in Python, two processes in turn with threads, 16 connections."""
    with Server(program, processes(2)) as two, Server(program, THREADS) as threads:
        urls = {"two processes": f"{two.base}/burn/2", "threads": f"{threads.base}/burn/2"}
        rates = in_turn(urls, options, connections=16)
    ratio = beside(rates, "two processes", ["threads"])["threads"]
    return {
        "requests/s": rates,
        "two processes / threads": ratio,
        "met": {"two processes / threads at least 1.6 (aim 1.9)": ratio >= 1.6},
    }


def echo(program, options):
    """Requests/s of a handler that sends back 64 KiB, one process in turn with threads, 64 connections."""
    with Server(program, processes(1)) as one, Server(program, THREADS) as threads:
        urls = {"one process": f"{one.base}/echo", "threads": f"{threads.base}/echo"}
        rates = in_turn(urls, options, body=BODY)
    ratio = beside(rates, "one process", ["threads"])["threads"]
    return {
        "requests/s": rates,
        "one process / threads": ratio,
        "met": {"one process / threads at least 0.5 (aim 0.8)": ratio >= 0.5},
    }


def burners(program, options):
    """p99 of a trivial handler under 32 connections, beside 4 whose handler computes 20 ms: two processes, and threads."""
    p99 = {"two processes": [], "threads": []}
    rates = {name: [] for name in p99}
    with Server(program, processes(2)) as two, Server(program, THREADS) as threads:
        servers = {"two processes": two, "threads": threads}
        for number in range(options.rounds):
            for name in list(servers)[:: 1 if number % 2 else -1]:
                base = servers[name].base
                loads = load.Load(f"{base}/python", 32, options.seconds), load.Load(f"{base}/burn/20", 4, options.seconds)
                seen = load.run(*loads)
                if any(one["errors"] for one in seen):
                    raise RuntimeError("; ".join(load.in_words(one["errors"]) for one in seen))
                p99[name].append(seen[0]["p99_us"] / 1000)
                rates[name].append(seen[0]["requests_per_second"])
    return {
        "p99 of the fast ones in ms": p99,
        "their requests/s": rates,
        "met": {"10 ms at most (aim 3)": middle(p99["two processes"]) <= 10},
    }


FIGURES = {
    "a trivial handler": trivial,
    "a handler that computes": computing,
    "bodies of 64 KiB": echo,
    "burners beside fast calls": burners,
    "a worker killed every second": killed,
    "reloads under load": reloaded,
    "memory with recycling": recycled,
}
