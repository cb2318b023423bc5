"""The figures that the project has set itself: what each must be, what it aims at, and whether it is met."""

from .result import Spread, each, ratio
from .server import THREADS

PER_SECOND, P50, P99 = "requests_per_second", "p50_us", "p99_us"
STANDARD_REQUEST = "conversion/arguments, handler, result"


def figures(result):
    """One dict for each figure."""
    rounds = result.rounds

    def rates(scenario, server, step="", number=0):
        return rounds(scenario, server, PER_SECOND, step, number)

    def milliseconds(scenario, step):
        return Spread.of([value / 1000 for value in rounds(scenario, "ours", P99, step).values()])

    native = [ratio(rates(f"trivial-{n}", "ours"), rates(f"trivial-{n}", "native")) for n in (64, 400)]
    hop = each(lambda a, b: a - b, rounds("trivial-1", "ours", P50), rounds("trivial-1", "native", P50))
    slowest = ratio(rounds("trivial-64", "ours", P99), rounds("trivial-64", "granian-rsgi", P99))
    beside_sleepers = ratio(rates("sleepers", "ours", "beside"), rates("sleepers", "ours", "alone"))
    beside_burners = Spread.of(list(rates("burners", "ours", "beside").values()))
    first, second = (rates("two-apps", "two-apps", "both", n) for n in (0, 1))
    both = {n: first[n] + second[n] for n in first}
    sleeping = [ratio(rates("sleep-400", name), best_wsgi(result)) for name in ("ours", "ours-400")]
    held = Spread.of([look["switches_per_second"] for look in result.own.get("held", ())])
    idle = Spread.of([look["switches_of_the_pool"] / look["seconds"] for look in result.own.get("idle", ())])
    part = result.parts.get(STANDARD_REQUEST)
    part = part and Spread(*(value / 1000 for value in part))

    return [
        figure("Python route / native route, requests/s, c=64", 0.75, 0.85, native[0], True),
        figure("Python route / native route, requests/s, c=400", 0.75, 0.85, native[1], True),
        figure("ours / Granian RSGI, requests/s, c=64", 1.2, 1.5, rsgi(rates), True),
        figure("ours / fastwsgi, requests/s, c=64", 0.8, 1.0, fastwsgi(rates), True),
        figure("p50 at c=1, ours minus native", 15, 8, hop, False, "{:.1f} µs"),
        figure("p99 at c=64, ours / Granian RSGI's", 1.0, 0.5, slowest, False),
        figure("32 fast beside 32 that sleep 50 ms: fast requests/s as a share of alone", 0.6, 0.8, beside_sleepers, True),
        figure("the same: p99 of the fast", 5, 2, milliseconds("sleepers", "beside"), False, "{:.1f} ms"),
        figure("32 fast beside 4 that burn 20 ms: fast requests/s", 15_000, 30_000, beside_burners, True, "{:,.0f}"),
        figure("the same: p99 of the fast", 15, 6, milliseconds("burners", "beside"), False, "{:.1f} ms"),
        figure("two apps in one process: sum of requests/s as a share of one's", 0.9, 1.0, two_apps(both, rates), True),
        figure("context switches/s while a handler holds the interpreter for 3 s", 2000, 500, held, False, "{:,.0f}"),
        figure("400 connections that sleep 10 ms, requests/s / Granian WSGI's best: defaults", 1.0, 1.2, sleeping[0], True),
        figure("the same with workers(1..=400)", 1.0, 1.2, sleeping[1], True),
        figure("conversion and call of the standard request, attached", 2.5, 1.5, part, False, "{:.2f} µs"),
        figure("an idle server with 64 workers: wake-ups/s of the pool", 0, 0, idle, False, "{:.1f}"),
    ]


def rsgi(rates):
    return ratio(rates("trivial-64", "ours"), rates("trivial-64", "granian-rsgi"))


def fastwsgi(rates):
    return ratio(rates("trivial-64", "ours"), rates("trivial-64", "fastwsgi"))


def two_apps(both, rates):
    return ratio(both, rates("two-apps", "two-apps", "one"))


def best_wsgi(result):
    """The rounds of the thread count whose median is highest."""
    counts = [result.rounds("sleep-400", f"granian-wsgi-{n}", PER_SECOND) for n in THREADS]
    return max(counts, key=lambda rates: Spread.of(list(rates.values())).median if rates else 0)


def figure(name, must, aim, measured, more_is_better, form="{:.2f}"):
    """`verdict` judges the median."""
    verdict = "not measured"
    if measured:
        for verdict, bound in (("aim met", aim), ("met", must), ("missed", None)):
            if bound is None or (measured.median >= bound if more_is_better else measured.median <= bound):
                break
    return {
        "figure": name,
        "must": ("at least " if more_is_better else "at most ") + form.format(must),
        "aim": form.format(aim),
        "measured": measured.text(form) if measured else "",
        "verdict": verdict,
    }
