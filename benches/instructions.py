"""Counts what each part of the standard request's way costs in instructions, which do not move with the machine's load.

Run by `make bench-instructions`. Needs valgrind on PATH and the path of the built program `instructions` as the first
argument. Each piece runs n and 2n times under callgrind: the difference, over n, is what it costs without the start.
Prints the table and writes it to `results/instructions.md` and `results/instructions.json`, unless --compare is given:
then it shows what has changed against that file.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path

RESULTS = Path(__file__).parent / "results"

# Piece → what it is, the piece whose cost it includes and that is taken off, threads that look out for work included.
PIECES = {
    "prepare": ("request head → call, detached", "request"),
    "arguments": ("call → six Python objects, and their end", None),
    "handler": ("the handler itself, called with six objects", None),
    "result": ("the handler's tuple → plain data", None),
    "call": ("all that is done attached: context, the three above", None),
    "check": ("plain data → checked reply, detached", "returned"),
    "dispatch": ("request → response, all threads, 64 at a time", "request"),
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("program")
    arguments.add_argument("--times", type=int, default=2560)
    arguments.add_argument("--compare", type=Path, metavar="FILE", help="an older instructions.json; nothing is written")
    options = arguments.parse_args()

    counted = {}
    for piece in dict.fromkeys(["request", "returned", *PIECES]):
        counted[piece] = per_time(options.program, piece, options.times)
    costs = {piece: counted[piece] - counted.get(without, 0) for piece, (_, without) in PIECES.items()}

    if options.compare:
        before = json.loads(options.compare.read_text())["instructions"]
        for piece, now in costs.items():
            print(f"{piece:10} {before[piece]:>8,.0f} → {now:>8,.0f}  {(now / before[piece] - 1) * 100:+.1f} %")
        return
    table = as_table(costs)
    print(table)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "instructions.md").write_text(table)
    python = re.sub(r"\s.*", "", platform.python_version())
    facts = {"python": python, "machine": platform.machine(), "times": options.times}
    (RESULTS / "instructions.json").write_text(json.dumps({**facts, "instructions": costs}, indent=2) + "\n")


def per_time(program, piece, times):
    # The lower of two runs: a start that had more to do, compiling a module for instance, would be taken for a difference.
    once, twice = (min(collected(program, piece, count) for _ in range(2)) for count in (times, 2 * times))
    return round((twice - once) / times)


def collected(program, piece, times):
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", program, piece, str(times)]
        # A hash seed of its own for each run would place strings in other slots of their dicts each time.
        run = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or found is None:
        raise SystemExit(f"{' '.join(command)}\n{run.stderr}")
    return int(found[1])


def as_table(costs):
    lines = ["| part | instructions |", "|---|---|"]
    lines += [f"| {PIECES[piece][0]} | {cost:,} |" for piece, cost in costs.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
