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

    def beside(server):
        return ratio(rates("trivial-64", "ours"), rates("trivial-64", server))

    native = [ratio(rates(f"trivial-{n}", "ours"), rates(f"trivial-{n}", "native")) for n in (64, 400)]
    hop = each(lambda a, b: a - b, rounds("trivial-1", "ours", P50), rounds("trivial-1", "native", P50))
    slowest = ratio(rounds("trivial-64", "ours", P99), rounds("trivial-64", "granian-rsgi", P99))
    sleepers = ratio(rates("sleepers", "ours", "beside"), rates("sleepers", "ours", "alone"))
    burners = Spread.of(list(rates("burners", "ours", "beside").values()))
    apps = ratio(of_two_clients(result, "both"), of_two_clients(result, "one"))
    sleeping = ratio(rates("sleep-400", "ours"), best_wsgi(result))
    held = Spread.of([look["switches_per_second"] for look in result.own.get("held", ())])
    idle = Spread.of([look["switches_of_the_pool"] / look["seconds"] for look in result.own.get("idle", ())])
    part = result.parts.get(STANDARD_REQUEST)
    part = part and Spread(*(value / 1000 for value in part))

    share, fast, per_second = "{:.2f}", "fast requests/s", "{:,.0f}"
    return [
        at_least(0.75, 0.85, "Python route / native route, requests/s, c=64", native[0], share),
        at_least(0.75, 0.85, "Python route / native route, requests/s, c=400", native[1], share),
        at_least(1.2, 1.5, "ours / Granian RSGI, requests/s, c=64", beside("granian-rsgi"), share),
        at_least(0.8, 1.0, "ours / fastwsgi, requests/s, c=64", beside("fastwsgi"), share),
        at_most(15, 8, "p50 at c=1, ours minus native", hop, "{:.1f} µs"),
        at_most(1.0, 0.5, "p99 at c=64, ours / Granian RSGI's", slowest, share),
        at_least(0.6, 0.8, f"32 fast beside 32 that sleep 50 ms: {fast} as a share of alone", sleepers, share),
        at_most(5, 2, "the same: p99 of the fast", milliseconds("sleepers", "beside"), "{:.1f} ms"),
        at_least(15_000, 30_000, f"32 fast beside 4 that burn 20 ms: {fast}", burners, per_second),
        at_most(15, 6, "the same: p99 of the fast", milliseconds("burners", "beside"), "{:.1f} ms"),
        at_least(0.9, 1.0, "two apps in one process: sum of requests/s / one app's", apps, share),
        at_most(2000, 500, "context switches/s while a handler holds the interpreter for 3 s", held, per_second),
        at_least(1.0, 1.2, "400 that sleep 10 ms: requests/s, defaults / Granian WSGI's best", sleeping, share),
        at_most(2.5, 1.5, "conversion and call of the standard request, attached", part, "{:.2f} µs"),
        at_most(0, 0, "an idle server with 64 workers: wake-ups/s of the pool", idle, "{:.1f}"),
    ]


def of_two_clients(result, step):
    """Requests per second of both clients of `two-apps` together."""
    first, second = (result.rounds("two-apps", "two-apps", PER_SECOND, step, number) for number in (0, 1))
    return {n: first[n] + second[n] for n in first if n in second}


def best_wsgi(result):
    """The rounds of the thread count whose median is highest."""
    counts = [result.rounds("sleep-400", f"granian-wsgi-{n}", PER_SECOND) for n in THREADS]
    return max(counts, key=lambda rates: Spread.of(list(rates.values())).median if rates else 0)


def at_least(must, aim, name, measured, form):
    return figure("at least", must, aim, name, measured, form)


def at_most(must, aim, name, measured, form):
    return figure("at most", must, aim, name, measured, form)


def figure(bound, must, aim, name, measured, form):
    """Judged by the median."""

    def holds(limit):
        return measured.median >= limit if bound == "at least" else measured.median <= limit

    if not measured:
        verdict = "not measured"
    elif holds(aim):
        verdict = "aim met"
    else:
        verdict = "met" if holds(must) else "missed"
    return {
        "figure": name,
        "must": f"{bound} {form.format(must)}",
        "aim": form.format(aim),
        "measured": measured.text(form) if measured else "",
        "verdict": verdict,
    }
