"""The figures that coroutines and streams are measured by: each gives its numbers, round by round, and a verdict."""

import asyncio
import threading
import time
from statistics import median

from peers import load
from peers.server import Server, granian, started
from run.process import processor_seconds
from run.turns import rates, ratio, turns

from . import client
from .client import MIB

OURS = Server("ours", "httpy", "{bench_server} 127.0.0.1:{port}")
RSGI = granian("rsgi", "granian-rsgi", "Granian RSGI")
ASGI = granian("asgi", "granian-asgi", "Granian ASGI")


def port(server):
    return int(server.base.split("/")[2].rsplit(":", 1)[1])


def trivial(program, options):
    """Requests/s of a coroutine that never waits, in turn with a sync handler, a native route, and Granian RSGI."""
    with started(OURS, program) as ours, started(RSGI, program) as rsgi:
        urls = {
            "async": f"{ours.base}/async",
            "sync": f"{ours.base}/python",
            "native": f"{ours.base}/native",
            "granian-rsgi": f"{rsgi.base}/",
        }
        seen = rates(urls, options)
    beside = {name: ratio(seen["async"], seen[name]) for name in urls if name != "async"}
    return {
        "requests/s": seen,
        "async / others": beside,
        "met": {"async / Granian RSGI at least 1.05 (aim 1.3)": beside["granian-rsgi"] >= 1.05},
    }


def sleepers(program, options):
    """5,000 requests at once whose coroutine sleeps for a second."""
    count = 500 if options.quick else 5000
    seconds, more = [], []
    with started(OURS, program) as ours:
        for _ in range(options.rounds):
            with client.Watch(ours.pid) as watch:
                took, wrong = asyncio.run(client.at_once(port(ours), "/async/sleep/1000", count))
            if wrong:
                raise RuntimeError(f"{len(wrong)} other answers, the first: {wrong[0][:200]}")
            seconds.append(took)
            more.append(watch.more)
    return {
        f"seconds until all {count} are answered": seconds,
        "resident MiB more": more,
        "met": {"within 2 s": median(seconds) <= 2, "200 MiB at most (aim 60)": max(more) <= 200},
    }


def out(program, options):
    """A gigabyte in chunks of 64 KiB to a client that reads at once, while another one reads 1 MB/s."""
    size = 64 if options.quick else 1024
    seen = {"sync": [], "async": [], "granian-asgi": []}
    more = {"sync": [], "async": []}
    with started(OURS, program) as ours, started(ASGI, program) as asgi:
        paths = {"sync": (ours, "/chunks"), "async": (ours, "/async/chunks"), "granian-asgi": (asgi, "/chunks")}
        for _, name in turns(paths, options.rounds):
            server, path = paths[name]
            enough = threading.Event()
            slow = threading.Thread(target=client.download, args=(port(server), f"{path}/{size}", 1, enough))
            with client.Watch(server.pid) as watch:
                slow.start()
                total, took = client.download(port(server), f"{path}/{size}")
                enough.set()
                slow.join()
            if total < size * MIB:
                raise RuntimeError(f"{name}: {total} bytes")
            seen[name].append(size / took)
            if name in more:
                more[name].append(watch.more)
    beside = {name: ratio(seen[name], seen["granian-asgi"]) for name in more}
    return {
        "MiB/s to the fast client": seen,
        "resident MiB more": more,
        "ours / Granian ASGI": beside,
        "met": {
            "32 MiB more at most": max(max(values) for values in more.values()) <= 32,
            "as fast as Granian ASGI (aim 2)": min(beside.values()) >= 1,
        },
    }


def into(program, options):
    """A gigabyte that is sent, and counted by the handler."""
    size = (64 if options.quick else 1024) * MIB
    seen, more = {"sync": [], "async": []}, []
    with started(OURS, program) as ours:
        for _ in range(options.rounds):
            for name, path in (("sync", "/count"), ("async", "/async/count")):
                with client.Watch(ours.pid) as watch:
                    said, took = client.upload(port(ours), path, size)
                if int(said) != size:
                    raise RuntimeError(f"{name}: {said!r} bytes were counted")
                seen[name].append(size / MIB / took)
                more.append(watch.more)
    return {"MiB/s": seen, "resident MiB more": more, "met": {"32 MiB more at most": max(more) <= 32}}


def feeds(program, options):
    """1,000 clients of a feed with one event a second."""
    clients, events = (100, 3) if options.quick else (1000, 10)
    with started(OURS, program) as ours:
        asyncio.run(client.feeds(port(ours), "/feed/1", clients))
        before, begin = processor_seconds(ours.pid), time.monotonic()
        got = asyncio.run(client.feeds(port(ours), f"/feed/{events}", clients))
        share = (processor_seconds(ours.pid) - before) / (time.monotonic() - begin)
    return {
        "clients": clients,
        "processor": share,
        "met": {"all have got all": got == [events] * clients, "below 20 % of a processor": share < 0.2},
    }


def mixed(program, options):
    """p99 of a coroutine under 32 connections, beside 32 of a sync handler that keep the lead busy."""
    p99, seen = [], {"async": [], "sync": []}
    with started(OURS, program) as ours:
        for _ in range(options.rounds):
            said = load.answered(*(load.Load(ours.base + path, 32, options.seconds) for path in ("/async", "/python")))
            p99.append(said[0]["p99_us"] / 1000)
            for name, one in zip(seen, said):
                seen[name].append(one["requests_per_second"])
    return {"p99 in ms": p99, "requests/s": seen, "met": {"20 ms at most (aim 5)": median(p99) <= 20}}


def leaving(program, options):
    """From when a client closes its connection until its handler knows."""
    times = {"async": [], "sync": []}
    with started(OURS, program) as ours:
        for name, path in (("async", "/async/leave"), ("sync", "/leave")):
            for _ in range(5 if options.quick else 50):
                gone = client.leave(port(ours), path)
                heard = ""
                while not heard:
                    time.sleep(0.005)
                    heard = client.ask(port(ours), "/when")
                times[name].append((float(heard) - gone) * 1000)
    return {
        "median in ms": {name: median(one) for name, one in times.items()},
        "longest in ms": {name: max(one) for name, one in times.items()},
        "met": {"50 ms at most (aim 5)": max(map(max, times.values())) <= 50},
    }


FIGURES = {
    "a coroutine that never waits": trivial,
    "5,000 coroutines that sleep": sleepers,
    "a gigabyte out": out,
    "a gigabyte in": into,
    "1,000 feeds": feeds,
    "coroutines beside sync handlers": mixed,
    "clients that leave": leaving,
}
