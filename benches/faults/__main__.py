"""Runs every fault and every figure, prints as it goes, and writes ``faults.json`` and ``faults.md`` anew after each.

python -m faults SERVER FOLDER [--quick] [--only TEXT]
"""

import contextlib
import json
import os
import platform
import time

from run.figures import arguments, write
from run.process import allow_files

from .client import Load, ask, percentiles, request
from .fault import FAULTS, FILES, Running
from .figure import FIGURES
from .report import markdown
from .server import Server

ROUTES = {"native": "/native", "livez": "/livez", "healthy": "/app2/"}


def main():
    options = arguments("faults", __doc__).parse_args()
    allow_files(FILES)
    result = {"quick": options.quick, "machine": machine(), "faults": {}, "figures": {}}
    for fault in FAULTS:
        if options.only in fault.name:
            result["faults"][fault.name] = seen = measure(options.server, fault, 3 if options.quick else 10)
            print(f"{fault.name}: {seen['fault']}, {json.dumps(seen['milliseconds'])}, {seen['log'][:1]}", flush=True)
            write(options.folder, "faults", result, markdown(result))
    for name, figure in FIGURES.items():
        if options.only in name:
            result["figures"][name] = seen = figure(options.server, options.quick)
            print(f"{name}: {seen['met']}", flush=True)
            write(options.folder, "faults", result, markdown(result))
    print(f"written to {options.folder / 'faults.md'}")


def machine():
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def measure(program, fault, seconds):
    with Server(program, fault.module, **fault.options) as server:
        # Warm: every route once more than it is cold.
        warm = Load(server.address)
        for label, path in ROUTES.items():
            warm.add(label, request(path))
        warm.run(answers=300)
        before = server.status("VmRSS")
        running = Running(fault, server.address, seconds)
        load = Load(server.address)
        for label, path in ROUTES.items():
            load.add(label, request(path))
        with contextlib.suppress(ConnectionError):  # where the fault ends the process
            load.run(seconds)
        seen = running.seen()
        peak = server.status("VmHWM") or before
        try:
            serves = [ask(server.address, request(path))[0] for path in ROUTES.values()] == [200] * len(ROUTES)
        except ConnectionError:
            serves = False
        after = server.status("VmRSS")
        code, took = server.end() if serves else server.wait(time.monotonic())
        return {
            "fault": seen,
            "milliseconds": {label: percentiles(load.times(label)) for label in ROUTES},
            "waiting at the end": dict(load.waiting),
            "resident": [round(value / 1024, 1) for value in (before, peak, after)],
            "serves": serves,
            "code": code,
            "seconds to end": round(took, 2),
            "log": server.complaints(),
        }


if __name__ == "__main__":
    main()
