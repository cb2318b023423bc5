"""Runs what was chosen, prints the tables, and writes bench.json, bench.md and bench.svg into a folder.

They are written after each scenario, so that a run that is cut short leaves what it has measured.

Exit code 1 where a server answered wrongly or not at all: the run goes on, and the tables say what happened.
"""

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
from pathlib import Path

from medians import medians

from . import load, machine, scenario, switches
from .chart import chart
from .figure import STANDARD_REQUEST, figures
from .report import markdown
from .result import Result
from .server import SERVERS, NotInstalledError, started

OWN = ("held", "idle")


def main():
    options = parsed()
    # So that every `finally` runs, and no server outlives the run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    said = {"rounds": options.rounds, "seconds": options.seconds, "quick": options.quick}
    result = Result(machine.described(), said)
    if options.criterion:
        result.parts = {name: times for name, *times in medians(options.criterion) if name == STANDARD_REQUEST}
    for name in options.scenarios:
        print(f"== {name}", file=sys.stderr, flush=True)
        if name in OWN:
            own(result, name, options)
        else:
            measure(result, scenario.SCENARIOS[name], options)
        result.figures = figures(result)
        write(result, options.folder)
    print(markdown(result))
    print(f"written to {options.folder}", file=sys.stderr)
    sys.exit(1 if result.failures() else 0)


def parsed():
    arguments = argparse.ArgumentParser(prog="peers", description=__doc__)
    arguments.add_argument("bench_server", type=Path)
    arguments.add_argument("folder", type=Path, help="for the results")
    arguments.add_argument("--quick", action="store_true", help="one round of 1 s, fewer servers")
    arguments.add_argument("--rounds", type=int, help="of each server (5; quick: 1)")
    arguments.add_argument("--seconds", type=int, help="of each measurement (5; quick: 1)")
    arguments.add_argument("--scenarios", default="", help=f"of {' '.join((*scenario.SCENARIOS, *OWN))}")
    arguments.add_argument("--servers", default="", help=f"of {' '.join(SERVERS)}")
    arguments.add_argument("--criterion", type=Path, help="where criterion has kept what it measured in this run")
    options = arguments.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 5)
    for name, known, all_of in (
        ("scenarios", (*scenario.SCENARIOS, *OWN), (*scenario.SCENARIOS, *OWN)),
        ("servers", SERVERS, scenario.QUICK if options.quick else tuple(SERVERS)),
    ):
        chosen = getattr(options, name).replace(",", " ").split()
        if unknown := [one for one in chosen if one not in known]:
            arguments.error(f"no {name} {', '.join(unknown)}; there are {', '.join(known)}")
        setattr(options, name, chosen or all_of)
    return options


def measure(result, asked, options):
    """All rounds of one scenario; whoever cannot be started or answers wrongly is left out, and said to be."""
    seconds = options.seconds if options.quick else asked.seconds or options.seconds
    with contextlib.ExitStack() as stack:
        running = {}
        for name in asked.servers:
            if name not in options.servers:
                continue
            try:
                running[name] = start(stack, SERVERS[name], asked, options)
            except NotInstalledError as error:
                result.absent[asked.name, name] = str(error)
            except RuntimeError as error:
                result.missing[asked.name, name] = str(error)
                print(f"{name}: {error}", file=sys.stderr)
        for number in range(options.rounds):
            # Another one begins in each round, so that nobody always follows the same neighbour.
            first = number % max(1, len(running))
            for name in [*list(running)[first:], *list(running)[:first]]:
                for step, asks in asked.steps.items():
                    said = load.run(*(ask.load(running[name].base, seconds) for ask in asks))
                    for position, one in enumerate(said):
                        place = {"scenario": asked.name, "server": name, "round": number, "step": step}
                        result.runs.append({**place, "number": position, **one})


def start(stack, server, asked, options):
    """A server that has given the right answers, and is warm."""
    running = stack.enter_context(started(server, options.bench_server))
    for ask in (ask for asks in asked.steps.values() for ask in asks):
        ask.check(running.base)
        if not options.quick:
            load.run(ask.load(running.base, 1))
    return running


def own(result, name, options):
    if "ours-64" not in options.servers:
        return
    try:
        if name == "held":
            result.own[name] = [switches.held(options.bench_server) for _ in range(options.rounds)]
        else:
            result.own[name] = [switches.idle(options.bench_server, 2 if options.quick else 10)]
    except (RuntimeError, OSError) as error:
        result.missing[name, "ours-64"] = str(error)


def write(result, folder):
    folder.mkdir(parents=True, exist_ok=True)
    fields = dataclasses.asdict(result)
    for key in ("absent", "missing"):
        why = fields[key].items()
        fields[key] = [{"scenario": name, "server": server, "why": words} for (name, server), words in why]
    runs = ",\n".join("  " + json.dumps(run) for run in fields.pop("runs"))
    rest = json.dumps(fields, indent=1, ensure_ascii=False)
    (folder / "bench.json").write_text(f'{rest[:-2]},\n "runs": [\n{runs}\n ]\n}}\n')
    (folder / "bench.md").write_text(markdown(result))
    if drawing := chart(result):
        (folder / "bench.svg").write_text(drawing)


try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
