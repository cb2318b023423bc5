"""The four figures that are promised: each takes the server program and gives what it saw, with the verdicts."""

import random
import select
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack

from run.turns import turns

from .client import Load, ask, percentiles, request
from .server import GRACE, Busy, Server

ROUTES = ("/native", "/livez")


def stuck(program, quick):
    """Native routes while the interpreter is held by C code for good, beside the same while another process is as busy.

    By turns: whoever does not have its turn is stopped, so that in each of them just one core is kept busy.
    """
    rounds, answers = (4, 500) if quick else (20, 1000)
    seen = {(beside, route): [] for beside in ("Python", "another process", "nothing") for route in ROUTES}
    with ExitStack() as stack:
        held = stack.enter_context(Server(program, "hostile_pattern", workers=8, deadline="1h"))
        idle = stack.enter_context(Server(program, "healthy", workers=8))
        busy = stack.enter_context(Busy())
        stuck_calls = []
        for asked in [request("/", b"60")] * 8 + [request("/app2/")]:  # more letters than anybody waits for
            stuck_calls.append(stack.enter_context(socket.create_connection(held.address)))
            stuck_calls[-1].sendall(asked)
            time.sleep(0.1)
        whose = {"Python": (held, held), "another process": (idle, busy), "nothing": (idle, None)}
        for number, beside in turns(whose, rounds + 1):
            server, burner = whose[beside]
            held.pause()
            if burner:
                burner.go_on()
            load = Load(server.address)
            for route in ROUTES:
                load.add(route, request(route))
            load.run(answers=len(ROUTES) * answers)
            if burner:
                burner.pause()
            if number:  # the first round is for warming
                for route in ROUTES:
                    seen[beside, route] += load.times(route)
        held.go_on()
        answered = len(select.select(stuck_calls, [], [], 1)[0])
    result = {beside: {route: percentiles(seen[beside, route]) for route in ROUTES} for beside in whose}
    shares = {r: round(result["Python"][r]["p99"] / result["another process"][r]["p99"], 2) for r in ROUTES}
    return {
        "milliseconds beside": result,
        "p99 beside Python / beside another process": shares,
        "met": {"p99 within 1.5 times": max(shares.values()) <= 1.5, "Python was stuck all along": answered == 0},
    }


def loops(program, quick):
    """Endless loops on all eight workers at once, with a deadline of 1 s; healthy calls after each, and all along."""
    rounds = 3 if quick else 125
    times = {"504": [], "next": []}
    statuses = {"loop": Counter(), "next": Counter(), "between": Counter()}
    # The two apps share the eight workers.
    with Server(program, "endless_loop", workers=8, deadline="1s") as server:
        ask(server.address, request("/app2/"))
        together = threading.Barrier(8)
        done = threading.Event()

        started = []

        def loop():
            for number in range(rounds):
                if together.wait() == 0 and number == 1:
                    # Every worker has had a loop by now.
                    started.append(server.status("Threads"))
                status, seconds = ask(server.address, request("/"))
                statuses["loop"][status] += 1
                times["504"].append(seconds)
                status, seconds = ask(server.address, request("/app2/"))
                statuses["next"][status] += 1
                times["next"].append(seconds)

        def healthy():
            while not done.wait(0.05):
                statuses["between"][ask(server.address, request("/app2/"))[0]] += 1

        threads = [threading.Thread(target=loop) for _ in range(8)]
        beside = threading.Thread(target=healthy)
        for thread in threads:
            thread.start()
        beside.start()
        for thread in threads:
            thread.join()
        done.set()
        beside.join()
        last = server.status("Threads")
        code, seconds = server.end()
    return {
        "loops": 8 * rounds,
        "statuses": {name: {str(status): number for status, number in seen.items()} for name, seen in statuses.items()},
        "milliseconds to the 504": {"min": round(min(times["504"]) * 1000, 1), **percentiles(times["504"])},
        "milliseconds from the 504 to the next answer": percentiles(times["next"]),
        "threads after the first round, at the end": [started[0], last],
        "end": {"code": code, "seconds": round(seconds, 2)},
        "met": {
            "504 only": set(statuses["loop"]) == {504},
            "answered after 1.0 to 1.2 s": 1 <= min(times["504"]) <= max(times["504"]) <= 1.2,
            "next answer within 0.2 s": max(times["next"]) <= 0.2,
            "no healthy call was hit": set(statuses["next"]) | set(statuses["between"]) == {200},
            "no thread is left": last <= started[0],
        },
    }


def overload(program, quick):
    """A queue of 100, a handler of 10 ms, 400 connections. Each asks again 50 to 150 ms after its answer: at once it
    would be measured how long 400 of them wait for the client."""
    answers = 10_000 if quick else 100_000
    with Server(program, "long_sleep", workers=8, queue=100) as server:
        Load(server.address).add("warm", request("/", b"0.01"), 8).run(1)
        before = server.status("VmRSS")
        load = Load(server.address).add("busy", request("/", b"0.01"), 400, lambda: random.uniform(0.05, 0.15))
        start = time.perf_counter()
        load.run(answers=answers)
        seconds = time.perf_counter() - start
        peak, after = server.status("VmHWM"), server.status("VmRSS")
    refused = [took for status, took in load.answered["busy"] if status == 503]
    served = [took for status, took in load.answered["busy"] if status == 200]
    return {
        "statuses": load.statuses("busy"),
        "requests per second": round(load.answers / seconds),
        "milliseconds of a 503": percentiles(refused),
        "milliseconds of a 200": percentiles(served),
        "resident MiB before, peak, after": [round(value / 1024, 1) for value in (before, peak, after)],
        "met": {
            "200 or 503 only": set(load.statuses("busy")) == {"200", "503"} and not load.closed["busy"],
            "503 within 5 ms (p99)": bool(refused) and percentiles(refused)["p99"] < 5,
            "memory within 64 MiB": peak - before < 64 * 1024,
        },
    }


def end(program, quick):
    """SIGTERM under load from 64 connections: what the server says that it has read, and what was answered."""
    runs = []
    for _ in range(3 if quick else 20):
        with Server(program, "healthy") as server:
            load = Load(server.address).add("load", request("/"), 64)
            asked = []

            def terminate(server=server, asked=asked):
                asked.append(time.monotonic())
                server.process.send_signal(signal.SIGTERM)

            load.run(after=(5000, terminate))
            code, seconds = server.wait(asked[0])
            seen = {"accepted": server.accepted(), "answered": load.answers, "never read": load.closed["load"]}
            runs.append({**seen, "code": code, "seconds": round(seconds, 3)})
    return {
        "runs": runs,
        "met": {
            "no accepted request without an answer": all(run["accepted"] == run["answered"] for run in runs),
            "exit code 0": {run["code"] for run in runs} == {0},
            "within the grace period": max(run["seconds"] for run in runs) < GRACE,
        },
    }


FIGURES = {
    "Native routes while C code holds the interpreter": stuck,
    "Endless loops on every worker": loops,
    "Overload": overload,
    "SIGTERM under load": end,
}
