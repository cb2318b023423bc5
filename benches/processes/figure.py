"""The figures that worker processes are measured by: each gives its numbers, round by round, and a verdict."""

from statistics import median

from peers import load
from peers.server import granian, started
from run.turns import rates, ratio, turns

from .fault import killed, reloaded
from .memory import recycled
from .server import THREADS, Server, processes

RSGI = granian("rsgi", "granian-rsgi", "Granian RSGI")
BODY = "x" * 65536


def trivial(program, options):
    """Requests/s of a trivial handler in one process under 64 connections, in turn with Granian RSGI and with threads."""
    with Server(program, processes(1)) as one, Server(program, THREADS) as threads, started(RSGI, program) as rsgi:
        urls = {
            "one process": f"{one.base}/python",
            "threads": f"{threads.base}/python",
            "native": f"{one.base}/native",
            "Granian RSGI": f"{rsgi.base}/",
        }
        seen = rates(urls, options)
    ratios = {name: ratio(seen["one process"], seen[name]) for name in ("Granian RSGI", "threads", "native")}
    return {
        "requests/s": seen,
        "one process / others": ratios,
        "met": {"one process / Granian RSGI at least 0.9 (aim 1.2)": ratios["Granian RSGI"] >= 0.9},
    }


def computing(program, options):
    """Requests/s of a handler that computes 2 ms in Python, two processes in turn with threads, 16 connections."""
    with Server(program, processes(2)) as two, Server(program, THREADS) as threads:
        urls = {"two processes": f"{two.base}/burn/2", "threads": f"{threads.base}/burn/2"}
        seen = rates(urls, options, connections=16)
    beside = ratio(seen["two processes"], seen["threads"])
    return {
        "requests/s": seen,
        "two processes / threads": beside,
        "met": {"two processes / threads at least 1.6 (aim 1.9)": beside >= 1.6},
    }


def echo(program, options):
    """Requests/s of a handler that sends back 64 KiB, one process in turn with threads, 64 connections."""
    with Server(program, processes(1)) as one, Server(program, THREADS) as threads:
        urls = {"one process": f"{one.base}/echo", "threads": f"{threads.base}/echo"}
        seen = rates(urls, options, body=BODY)
    beside = ratio(seen["one process"], seen["threads"])
    return {
        "requests/s": seen,
        "one process / threads": beside,
        "met": {"one process / threads at least 0.5 (aim 0.8)": beside >= 0.5},
    }


def burners(program, options):
    """p99 of a trivial handler under 32 connections, beside 4 whose handler computes 20 ms: two processes, and threads."""
    p99 = {"two processes": [], "threads": []}
    seen = {name: [] for name in p99}
    with Server(program, processes(2)) as two, Server(program, THREADS) as threads:
        servers = {"two processes": two, "threads": threads}
        for _, name in turns(servers, options.rounds):
            fast = load.Load(f"{servers[name].base}/python", 32, options.seconds)
            slow = load.Load(f"{servers[name].base}/burn/20", 4, options.seconds)
            said, _ = load.answered(fast, slow)
            p99[name].append(said["p99_us"] / 1000)
            seen[name].append(said["requests_per_second"])
    return {
        "p99 of the fast ones in ms": p99,
        "their requests/s": seen,
        "met": {"10 ms at most (aim 3)": median(p99["two processes"]) <= 10},
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
