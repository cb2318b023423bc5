"""The tables, as Markdown."""

from .figure import P50, P99, PER_SECOND, of_two_clients
from .load import in_words
from .machine import sentence
from .result import Spread, ratio
from .scenario import SCENARIOS
from .server import SERVERS

# HTTPy's README, section on benchmarks: requests per second of its Python route and of its own route in Go.
PUBLISHED = {"ours": ("Python", 2589.66), "native": ("native", 12719.90)}


def markdown(result):
    options = result.options
    lines = [
        "# httpy beside other servers",
        "",
        f"{sentence(result.machine)}. Rounds: {options['rounds']}, of {options['seconds']} s for each server in turn."
        " Each figure is the median of the rounds, in brackets the lowest and the highest; a share is taken round by"
        " round.",
        "",
        "## The figures that were set",
        "",
        *table(
            ["figure", "must", "aim", "measured", ""],
            [
                [figure["figure"], figure["must"], figure["aim"], figure["measured"], figure["verdict"]]
                for figure in result.figures
            ],
        ),
    ]
    for scenario in SCENARIOS.values():
        servers = list(dict.fromkeys(run["server"] for run in result.runs if run["scenario"] == scenario.name))
        servers += [server for name, server in (*result.absent, *result.missing) if name == scenario.name]
        if servers:
            servers.sort(key=scenario.servers.index)
            shape = SHAPES.get(scenario.name, single)
            lines += ["", f"## {scenario.title}", "", *shape(result, scenario.name, servers)]
    lines += own(result)
    if failures := result.failures():
        lines += ["", "## Failures", "", *(f"- {failure}" for failure in failures)]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result.machine["peers"].items()))
    lines += ["", "## Versions", "", f"{result.machine['rustc']}. In the peers' environment: {versions or 'nothing'}."]
    return "\n".join(lines) + "\n"


def single(result, scenario, servers):
    ours = result.rounds(scenario, "ours", PER_SECOND)
    rows = []
    for server in servers:
        if row := failed(result, scenario, server):
            rows.append(row)
            continue
        rates = result.rounds(scenario, server, PER_SECOND)
        rows.append([bold(server), shown(rates), shown_ratio(rates, ours), *percentiles(result, scenario, server)])
    return table(["server", "requests/s", "share of ours", "p50", "p99"], rows)


def mixed(result, scenario, servers):
    rows = []
    for server in servers:
        if row := failed(result, scenario, server):
            rows.append(row)
            continue
        alone = result.rounds(scenario, server, PER_SECOND, "alone")
        beside = result.rounds(scenario, server, PER_SECOND, "beside")
        slow = result.rounds(scenario, server, PER_SECOND, "beside", 1)
        p99 = percentiles(result, scenario, server, "beside")[1]
        rows.append([bold(server), shown(alone), shown(beside), shown_ratio(beside, alone), p99, shown(slow)])
    return table(["server", "fast alone", "fast beside", "share of alone", "their p99", "the slow ones"], rows)


def two_apps(result, scenario, servers):
    if row := failed(result, scenario, servers[0]):
        return table(["app", "requests/s"], [row])
    each = [result.rounds(scenario, servers[0], PER_SECOND, "both", number) for number in (0, 1)]
    one, both = (of_two_clients(result, step) for step in ("one", "both"))
    rows = [["one alone", shown(one)], ["the first of two", shown(each[0])], ["the second", shown(each[1])]]
    return table(["app", "requests/s"], [*rows, ["both", shown(both)], ["both / one alone", shown_ratio(both, one)]])


def published(result, scenario, servers):
    rows = []
    for server in servers:
        if row := failed(result, scenario, server):
            rows.append(row)
            continue
        route, rate = PUBLISHED[server]
        rates = result.rounds(scenario, server, PER_SECOND)
        p99 = percentiles(result, scenario, server)[1]
        rows.append([route, f"{rate:,.2f}", shown(rates), p99])
    head = ["route", "HTTPy's README, on its author's machine", "httpy, requests/s", "p99"]
    return table(head, rows)


SHAPES = {"sleepers": mixed, "burners": mixed, "two-apps": two_apps, "httpy": published}


def own(result):
    lines = []
    if looks := result.own.get("held"):
        keys = ("switches_per_second", "of_the_pool_per_second")
        everywhere, pool = (Spread.of([look[key] for look in looks]).text() for key in keys)
        call = Spread.of([look["call_seconds"] for look in looks]).text("{:.1f}")
        lines += ["", "## While a handler holds the interpreter", ""]
        lines += [
            f"64 workers, 64 connections that wait, one call of C code for {call} s: {everywhere} context switches per"
            f" second in the whole process, {pool} of them in the pool's threads."
        ]
    for look in result.own.get("idle", ()):
        lines += ["", "## Idle", ""]
        lines += [
            f"{look['threads_of_the_pool']} worker threads, {look['seconds']} s without a request:"
            f" {look['switches_of_the_pool']} context switches in the pool's threads,"
            f" {look['switches_of_others']} in all others."
        ]
    return lines


def failed(result, scenario, server):
    """The row of a server that has no figures to show."""
    if (scenario, server) in result.absent:
        return [SERVERS[server].label, f"not installed ({result.absent[scenario, server]})"]
    if (scenario, server) in result.missing:
        return [SERVERS[server].label, "not measured, see below"]
    if errors := result.errors(scenario, server):
        return [SERVERS[server].label, f"failed: {in_words(errors)}"]
    return None


def bold(server):
    return f"**{SERVERS[server].label}**" if server.startswith("ours") else SERVERS[server].label


def shown(rounds, form="{:,.0f}"):
    return Spread.of(list(rounds.values())).text(form)


def shown_ratio(first, second):
    spread = ratio(first, second)
    return spread.text("{:.2f}") if spread else ""


def percentiles(result, scenario, server, step=""):
    return [duration(Spread.of(list(result.rounds(scenario, server, value, step).values()))) for value in (P50, P99)]


def duration(spread):
    if spread.median < 1000:
        return spread.text("{:,.0f}") + " µs"
    return Spread(*(value / 1000 for value in (spread.median, spread.low, spread.high))).text("{:,.1f}") + " ms"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        lines.append("| " + " | ".join([*row, *[""] * (len(head) - len(row))]) + " |")
    return lines
