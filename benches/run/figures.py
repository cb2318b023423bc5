"""A run: its options, one figure after the other, and what is written of them, anew after each."""

import argparse
import json
import sys
from pathlib import Path

from peers import machine
from peers.server import NotInstalledError

from .report import markdown


def arguments(name, what):
    """Those that every run has; the program is known by its absolute path."""
    parser = argparse.ArgumentParser(prog=name, description=what)
    parser.add_argument("server", type=lambda path: Path(path).resolve())
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="few and short rounds, which only try it")
    parser.add_argument("--only", default="", help="a part of the names of what is to be measured")
    return parser


def take(name, title, figures, options):
    """Takes the figures, prints as it goes, and ends the process: with exit code 1 where one could not be taken.

    A figure is a function of the server program and the options. Results are written after each, with the names of
    those that are left: a run that is cut short leaves what it has taken.
    """
    left = [one for one in figures if options.only in one]
    if not left:
        sys.exit(f"no figure has {options.only!r} in its name; there are: {', '.join(figures)}")
    result = {"quick": options.quick, "machine": machine.described(), "figures": {}}
    while left:
        one = left.pop(0)
        result["figures"][one] = seen = taken(figures[one], options)
        print(f"{one}: {seen.get('missing') or seen['met']}", flush=True)
        text = markdown(result, title, f"make bench-{name}", left)
        write(options.folder, name, {**result, "not yet taken": left} if left else result, text)
    print(f"{text}\nwritten to {options.folder}")
    sys.exit(any("missing" in seen for seen in result["figures"].values()))


def taken(figure, options):
    try:
        seen = figure(options.server, options)
    except (RuntimeError, OSError, ValueError, NotInstalledError) as error:
        seen = {"met": {}, "missing": str(error)}
    return {**seen, "what": figure.__doc__}


def write(folder, name, result, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    (folder / f"{name}.md").write_text(text)
