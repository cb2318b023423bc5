"""What is lost when workers are killed, and when they are replaced by a reload, under load."""

import contextlib
import http.client
import os
import random
import re
import signal
import threading
import time

from faults.client import Load, request
from run.beside import Beside

from .server import Server, processes

# Kills are that far apart, which is more than the second within which the log tells of no second one.
SECONDS_APART = 1.05
MORE = re.compile(r"^and in (\d+) more\b", re.MULTILINE)
DIED = re.compile(r"httpy-process-\d+ \(process (\d+)\) was killed by SIGKILL")


def load_of(server):
    """Quick calls, and some that are in a handler for long enough to be there when it dies."""
    load = Load(server.address)
    return load.add("quick", request("/python"), 16).add("longer", request("/burn/20"), 4)


def seen_of(load):
    statuses = load.statuses("quick") + load.statuses("longer")
    lost = {status: count for status, count in statuses.items() if status not in ("200", "502")}
    closed = sum(load.closed.values())
    return statuses, lost | ({"connections that broke off": closed} if closed else {})


def killed(program, options):
    """SIGKILL to one of two workers every second for a minute, under 16 quick and 4 computing connections."""
    with Server(program, processes(2)) as server:
        deaths = []

        def kill():
            alive = server.workers()
            if alive:
                pid = random.choice(alive)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    deaths.append(pid)

        before = server.descriptors()
        load = load_of(server)
        with Beside(kill, SECONDS_APART):
            load.run(5 if options.quick else 60)
        statuses, lost = seen_of(load)
        log = server.log()
        told = log.count("\nit was in: ") + sum(map(int, MORE.findall(log)))
        after = server.settled(before), server.zombies()
        code, _ = server.end()
    return {
        "kills": len(deaths),
        "answers by status": dict(statuses),
        "calls that the log names as running": told,
        "lost beside those": lost or "none",
        "file descriptors before, after": f"{before}, {after[0]}",
        "met": {
            "nothing is lost but what ran (502)": not lost and statuses["502"] <= told,
            "the log tells of every death": set(map(str, deaths)) == set(DIED.findall(log)),
            "no file descriptor is left": after[0] <= before,
            "no zombie is left": after[1] == 0,
            "exit code 0": code == 0,
        },
    }


def reloaded(program, options):
    """Reloads, one after the other, under 16 quick and 4 computing connections."""
    times = 5 if options.quick else 100
    with Server(program, processes(2)) as server:
        took = []
        done = threading.Event()

        def reload():
            if len(took) == times:
                done.set()
                time.sleep(0.1)
                return
            begin = time.monotonic()
            connection = http.client.HTTPConnection(*server.address, timeout=120)
            connection.request("POST", "/reload")
            response = connection.getresponse()
            text = response.read().decode()
            connection.close()
            if response.status != 200:
                raise RuntimeError(f"reload {len(took) + 1}: {response.status} {text}")
            took.append(time.monotonic() - begin)

        before, workers = server.descriptors(), set(server.workers())
        statuses, lost = None, {}
        with Beside(reload) as beside:
            while not done.is_set() and beside.is_alive():
                load = load_of(server)
                load.run(2)
                one, more = seen_of(load)
                statuses = one if statuses is None else statuses + one
                lost.update(more)
                for connection in load.connections:
                    connection.close()
        after = server.settled(before), server.zombies(), set(server.workers())
        code, _ = server.end()
    return {
        "reloads": len(took),
        "seconds of each": took,
        "answers by status": dict(statuses),
        "file descriptors before, after": f"{before}, {after[0]}",
        "met": {
            "no request failed": not lost and set(statuses) == {"200"},
            "every worker is another one": len(took) == times and not workers & after[2],
            "no file descriptor is left": after[0] <= before,
            "no zombie is left": after[1] == 0,
            "exit code 0": code == 0,
        },
    }
