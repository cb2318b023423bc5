"""Whether the server's memory stays flat while its workers come and go."""

import time

import soak
from peers import load
from run.process import resident

from .server import Server, processes

MILLION = 1_000_000
RECYCLINGS = 100
KIB = 1024
# Seconds: the server keeps a history of so many, which fills until then.
WARM_UP = 120


def recycled(program, options):
    """Resident memory of the server, without its workers, over SOAK requests, each worker replaced again and again."""
    most = max(1000, options.soak // RECYCLINGS)
    with Server(program, processes(2, max_requests=most)) as server:
        samples, warm, workers, sent, seen = [], [], [], 0, set()
        begin = time.monotonic()
        while sent < options.soak:
            (one,) = load.answered(load.Load(f"{server.base}/python", 64, 1))
            sent += one["requests"]
            pids = server.workers()
            seen |= set(pids)
            samples.append((sent / MILLION, resident(server.pid)))
            if time.monotonic() - begin > WARM_UP:
                warm.append(samples[-1])
            workers.append(sum(map(resident, pids)) / KIB / KIB)
        zombies, descriptors = server.zombies(), server.descriptors()
        code, _ = server.end()
    result = {
        "requests": sent,
        "worker processes that were seen": len(seen),
        "resident MiB of the server": [at / KIB / KIB for _, at in samples],
        "resident MiB of its workers": workers,
        "file descriptors at the end": descriptors,
        "met": {"workers were replaced": len(seen) > 2, "no zombie is left": zombies == 0, "exit code 0": code == 0},
    }
    if len(warm) < 20:
        result["slope"] = f"{len(warm)} samples after the first {WARM_UP} s are too few: a larger SOAK"
        return result
    line = soak.fit(warm)
    slope = {name: line[name] / KIB for name in ("slope", "low", "high")}
    result["KiB per million requests, and the ends of the 95 % interval"] = slope
    result["met"]["the slope is within noise"] = line["low"] <= 0 or line["slope"] < soak.ALLOWED_SLOPE
    return result
