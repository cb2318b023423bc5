"""The chart: requests per second of each server, with the spread; readable on a light and on a dark page."""

from html import escape

from soak import nice

from .figure import PER_SECOND
from .machine import sentence
from .result import Spread
from .server import SERVERS

SCENARIO = "trivial-64"
GREY, OURS, NATIVE, OTHERS, ENDS = "#7d8590", "#3b82f6", "#2da44e", "#8b949e", "#f59e0b"
WIDTH, LEFT, RIGHT, TOP, BAR, GAP, BOTTOM = 760, 196, 84, 76, 22, 12, 46


def chart(result):
    """None where the scenario was not measured."""
    servers = dict.fromkeys(run["server"] for run in result.runs if run["scenario"] == SCENARIO)
    spreads = {server: Spread.of(list(result.rounds(SCENARIO, server, PER_SECOND).values())) for server in servers}
    spreads = sorted(((spread, server) for server, spread in spreads.items() if spread), key=lambda row: -row[0].median)
    if not spreads:
        return None
    most = nice(max(spread.high for spread, _ in spreads))
    height = TOP + len(spreads) * (BAR + GAP) + BOTTOM

    def x(rate):
        return LEFT + (WIDTH - LEFT - RIGHT) * rate / most

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"'
        f' font-size="12" fill="{GREY}">',
        text(
            16,
            24,
            "Requests per second, 64 connections, a handler that counts",
            "start",
            'font-size="15" font-weight="bold"',
        ),
        *(text(16, 44 + 15 * row, line, "start", 'font-size="11"') for row, line in enumerate(caption(result))),
    ]
    for step in range(5):
        value = most * step / 4
        parts.append(
            f'<path d="M{x(value):.1f} {TOP}V{height - BOTTOM}" stroke="{GREY}" stroke-opacity="0.3"/>'
            + text(x(value), height - BOTTOM + 18, f"{value / 1000:g} k" if value else "0")
        )
    for row, (spread, server) in enumerate(spreads):
        top = TOP + GAP / 2 + row * (BAR + GAP)
        colour = {"ours": OURS, "native": NATIVE}.get(server, OTHERS)
        weight = 'font-weight="bold"' if server == "ours" else ""
        middle = top + BAR / 2
        parts += [
            text(LEFT - 10, middle + 4, SERVERS[server].label, "end", weight),
            f'<rect x="{LEFT}" y="{top}" width="{x(spread.median) - LEFT:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
            whisker(x(spread.low), x(spread.high), middle),
            text(x(max(spread.median, spread.high)) + 9, middle + 4, f"{spread.median:,.0f}", "start", weight),
        ]
    parts.append(
        text((LEFT + WIDTH - RIGHT) / 2, height - 10, "requests per second, median of the rounds; lowest to highest")
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def caption(result):
    """The machine, in lines that fit."""
    lines = [""]
    for part in sentence(result.machine).split(", "):
        if len(lines[-1]) + len(part) > 125:
            lines[-1] += ","
            lines.append("")
        lines[-1] += (", " if lines[-1] else "") + part
    return lines


def whisker(low, high, y):
    """From the lowest to the highest; nothing where there was one round."""
    if low == high:
        return ""
    ends = "".join(f"M{end:.1f} {y - 5:.1f}v10" for end in (low, high))
    return f'<path d="M{low:.1f} {y:.1f}H{high:.1f}{ends}" stroke="{ENDS}" stroke-width="2" fill="none"/>'


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'
