"""Judges a soak: reads what the `soak` program saw, prints a summary, writes soak.json and soak.svg. Exit code 1 if not flat.

    soak.py SEEN [FOLDER]

The rules, for what comes after the warm-up:
- memory: the least-squares slope of the resident memory over the requests is below 64 KiB per million requests, or the
  lower end of its 95 % interval is not above 0. Neighbouring samples are alike, so the interval is widened by the
  correlation of each residual with the one before. It takes millions of requests: in a short run the end of the start,
  while malloc still finds its size, is a slope.
- Python's allocated blocks and Rust's allocations, counted while nothing is on its way, have grown by no more than one in
  ten thousand requests (200 are always allowed).
- threads and file descriptors are not more than before.
- answers: every request was answered with a status that is right for its kind.
"""

import json
import math
import sys
from pathlib import Path

KIB, MIB, MILLION = 1024, 1024 * 1024, 1_000_000
ALLOWED_SLOPE = 64 * KIB
ALLOWED_BLOCKS = 200


def main(seen_file, folder=None):
    seen = json.loads(Path(seen_file).read_text())
    warm, end = seen["warm"], seen["end"]
    samples = [(requests / MILLION, resident) for requests, resident, _ in seen["samples"]]
    line = fit([sample for sample in samples if sample[0] * MILLION > warm["requests"]])
    measured = end["requests"] - warm["requests"]
    python, rust = ([phase["holdings"][side] for phase in (warm, end)] for side in ("python", "rust"))
    allowed = max(ALLOWED_BLOCKS, measured // 10_000)
    verdicts = {
        "memory": line["low"] <= 0 or line["slope"] < ALLOWED_SLOPE,
        "Python's blocks": python[1]["blocks"] - python[0]["blocks"] <= allowed,
        "Rust's allocations": rust[1]["rust_allocations"] - rust[0]["rust_allocations"] <= allowed,
        "threads": python[1]["threads"] <= python[0]["threads"],
        "file descriptors": python[1]["descriptors"] <= python[0]["descriptors"],
        "answers": not seen["mismatches"],
    }
    summary(seen, line, verdicts)
    if folder:
        result = {key: value for key, value in seen.items() if key != "samples"}
        result["slope_bytes_per_million_requests"] = {key: round(line[key]) for key in ("slope", "low", "high")}
        result["flat"] = verdicts
        result["samples"] = seen["samples"]
        Path(folder, "soak.json").write_text(json.dumps(result, indent=1) + "\n")
        Path(folder, "soak.svg").write_text(chart(samples, warm["requests"] / MILLION, line))
    sys.exit(0 if all(verdicts.values()) else 1)


def fit(samples):
    """The line through `samples`, with the 95 % interval of its slope."""
    count = len(samples)
    if count < 20:
        raise SystemExit(f"{count} samples are too few for a slope: send more requests")
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread
    residuals = [y - mean_y - slope * (x - mean_x) for x, y in samples]
    squares = sum(residual**2 for residual in residuals)
    alike = sum(a * b for a, b in zip(residuals, residuals[1:])) / squares if squares else 0
    alike = min(max(alike, 0), 0.99)
    error = math.sqrt(squares / (count - 2) / spread * (1 + alike) / (1 - alike))
    return {
        "slope": slope,
        "low": slope - 1.96 * error,
        "high": slope + 1.96 * error,
        "at": lambda x: mean_y + slope * (x - mean_x),
    }


def summary(seen, line, verdicts):
    warm, end = seen["warm"], seen["end"]
    print(
        f"{end['requests']:,} requests over {seen['connections']} connections in {seen['seconds']:.0f} s, Python {end['holdings']['python']['python']}\n"
    )
    for kind, answers in seen["answers"].items():
        print(
            f"  {kind:30}"
            + ", ".join(
                f"{count:>10,} x {'no answer awaited' if status == '0' else status}"
                for status, count in answers.items()
            )
        )
    print(f"\nafter the warm-up of {warm['requests']:,} requests -> at the end")
    for side, name in (
        ("python", "blocks"),
        ("python", "objects"),
        ("rust", "rust_allocations"),
        ("rust", "rust_bytes"),
        ("python", "threads"),
        ("python", "descriptors"),
    ):
        print(f"  {name:16} {warm['holdings'][side][name]:>9,} -> {end['holdings'][side][name]:>9,}")
    print(
        f"\nmemory: {line['slope'] / KIB:+.1f} KiB per million requests, 95 % interval {line['low'] / KIB:+.1f} to {line['high'] / KIB:+.1f}"
    )
    for mismatch in seen["mismatches"]:
        print(f"MISMATCH {mismatch}")
    for name, is_flat in verdicts.items():
        print(f"{name}: {'as it should be' if is_flat else 'NOT as it should be'}")
    print("flat" if all(verdicts.values()) else "NOT FLAT")


def chart(samples, warm, line):
    """Memory over requests; greys that can be read on a light and on a dark page."""
    width, height, left, right, top, bottom = 760, 320, 64, 20, 56, 48
    most_x = samples[-1][0]
    most_y = nice(max(y for _, y in samples) / MIB * 1.25)

    def x(requests):
        return left + (width - left - right) * requests / most_x

    def y(resident):
        return height - bottom - (height - top - bottom) * resident / MIB / most_y

    def text(at_x, at_y, words, anchor="middle", more=""):
        return f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}" {more}>{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#7d8590">',
        text(
            left,
            22,
            f"Resident memory over {most_x:.3g} million mixed requests",
            "start",
            'font-size="15" font-weight="bold"',
        ),
        text(
            left,
            41,
            f"slope {line['slope'] / KIB:+.1f} KiB per million requests, 95 % interval {line['low'] / KIB:+.1f} to {line['high'] / KIB:+.1f}",
            "start",
        ),
        f'<rect x="{x(0):.1f}" y="{top}" width="{x(warm) - x(0):.1f}" height="{height - top - bottom}" fill="#7d8590" opacity="0.12"/>',
        text((x(0) + x(warm)) / 2, top + 15, "warm-up"),
    ]
    for step in range(5):
        value = most_y * step / 4
        parts.append(f'<path d="M{left} {y(value * MIB):.1f}H{width - right}" stroke="#7d8590" stroke-opacity="0.3"/>')
        parts.append(text(left - 8, y(value * MIB) + 4, f"{value:g} MiB", "end"))
    unit = nice(most_x / 10)
    for step in range(int(most_x / unit) + 1):
        parts.append(text(x(unit * step), height - bottom + 18, f"{unit * step:g}"))
    parts.append(text((left + width - right) / 2, height - 8, "million requests"))
    points = " ".join(f"{x(requests):.1f},{y(resident):.1f}" for requests, resident in samples)
    parts.append(f'<polyline points="{points}" fill="none" stroke="#3b82f6" stroke-width="2"/>')
    ends = [f"{x(at):.1f} {y(line['at'](at)):.1f}" for at in (warm, most_x)]
    parts.append(f'<path d="M{ends[0]}L{ends[1]}" stroke="#f59e0b" stroke-width="2" stroke-dasharray="7 5"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def nice(value):
    """The next round number that four steps divide well."""
    unit = 10 ** math.floor(math.log10(value))
    return next(unit * factor for factor in (1, 2, 4, 6, 8, 10) if unit * factor >= value)


if __name__ == "__main__":
    main(*sys.argv[1:])
