"""Runs the figures, prints as it goes, and writes ``processes.json`` and ``processes.md``.

python -m processes SERVER FOLDER [--quick] [--only TEXT] [--soak REQUESTS]

Exit code 1 where a figure could not be taken.
"""

import argparse
import json
import sys
from pathlib import Path

from peers import machine
from streams import report

from .figure import FIGURES


def main():
    arguments = argparse.ArgumentParser(prog="processes", description=__doc__)
    arguments.add_argument("server", type=Path)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--quick", action="store_true", help="one round of 1 s, smaller")
    arguments.add_argument("--only", default="", help="a part of the names of the figures to take")
    arguments.add_argument("--soak", type=int, default=0, help="requests of the last figure")
    options = arguments.parse_args()
    options.rounds, options.seconds = (1, 1) if options.quick else (5, 5)
    options.soak = options.soak or (100_000 if options.quick else 3_000_000)
    result = {"quick": options.quick, "machine": machine.described(), "figures": {}}
    for name, figure in FIGURES.items():
        if options.only not in name:
            continue
        try:
            result["figures"][name] = seen = figure(options.server, options)
        except (RuntimeError, OSError, ValueError) as error:
            result["figures"][name] = seen = {"met": {}, "missing": str(error)}
        seen["what"] = figure.__doc__
        print(f"{name}: {seen.get('missing') or seen['met']}", flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "processes.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    text = report.markdown(result, "Worker processes", "make bench-processes")
    (options.folder / "processes.md").write_text(text)
    print(f"{text}\nwritten to {options.folder}")
    sys.exit(any("missing" in seen for seen in result["figures"].values()))


main()
