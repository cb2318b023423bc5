"""Context switches of our own server: while a handler holds the interpreter, and while there is nothing to do.

Linux only: they are read from /proc.
"""

import contextlib
import json
import re
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import load
from .server import SERVERS, started

POOL = "httpy-worker"  # how the names of the pool's threads begin
CONNECTIONS = 64
HOLD = 3_000  # milliseconds
MARGIN = 0.25  # seconds at both ends of the call that do not count
SETTLED = 3  # seconds from the last request to the first look at the idle server


def held(bench_server):
    """Switches per second of the whole process, sampled from after a call of C code has begun until before it ends.

    Meanwhile each of 64 connections waits for the answer to a request.
    """
    with started(SERVERS["ours-64"], bench_server) as server, ThreadPoolExecutor() as threads:
        pushing = threads.submit(load.run, load.Load(server.base, CONNECTIONS, 3 + HOLD // 1000))
        time.sleep(1)
        holding = threads.submit(urllib.request.urlopen, f"{server.base}/hold/{HOLD}", timeout=30)
        samples = []
        while not (holding.done() or pushing.done()):
            samples.append((time.monotonic(), counts(server.pid)))
            time.sleep(0.05)
        with holding.result() as response:
            span = json.load(response)
        pushed = pushing.result()[0]
    within = [sample for sample in samples if span["begin"] + MARGIN <= sample[0] <= span["end"] - MARGIN]
    if len(within) < 2:
        raise RuntimeError(f"the call took {span['end'] - span['begin']:.1f} s, too short to look twice")
    (begin, before), (end, after) = within[0], within[-1]
    return {
        "switches_per_second": round(sum(more(before, after).values()) / (end - begin), 1),
        "of_the_pool_per_second": round(sum(of_pool(more(before, after)).values()) / (end - begin), 1),
        "looked_for_seconds": round(end - begin, 2),
        "call_seconds": round(span["end"] - span["begin"], 2),
        "errors": pushed["errors"],
    }


def idle(bench_server, seconds):
    """Switches of the pool's threads, and of all others, within `seconds` without a request, after a second of load."""
    with started(SERVERS["ours-64"], bench_server) as server:
        pushed = load.run(load.Load(server.base, CONNECTIONS, 1))[0]
        time.sleep(SETTLED)
        before = counts(server.pid)
        time.sleep(seconds)
        after = counts(server.pid)
    pool = of_pool(more(before, after))
    return {
        "switches_of_the_pool": sum(pool.values()),
        "threads_of_the_pool": len(pool),
        "switches_of_others": sum(more(before, after).values()) - sum(pool.values()),
        "seconds": seconds,
        "errors": pushed["errors"],
    }


def counts(pid):
    """How often each thread, by id and name, has been switched away from, whether it waited or was made to."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            status = (thread / "status").read_text()
            name = re.search(r"^Name:\s+(.*)$", status, re.MULTILINE)[1]
            found[thread.name, name] = sum(map(int, re.findall(r"_ctxt_switches:\s+(\d+)", status)))
    return found


def more(before, after):
    return {thread: count - before.get(thread, 0) for thread, count in after.items()}


def of_pool(switches):
    return {thread: count for thread, count in switches.items() if thread[1].startswith(POOL)}
