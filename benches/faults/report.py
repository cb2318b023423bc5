"""The results as Markdown."""

import json


def markdown(result):
    lines = [
        "# What faults cost the others",
        "",
        f"`make faults`{' with QUICK=1, good for trying it out only' if result['quick'] else ''}; {result['machine']}.",
        "While a fault goes on, one client asks the native route, `/livez` and a healthy Python handler, each over a",
        "connection of its own and again as soon as it is answered. The faults come from another process, and all",
        "three share the machine.",
        "",
        "| fault | its answers | native: p50, p99, max (ms) | `/livez`: p99, max | healthy Python: p50, p99, max"
        " | resident MiB before, peak, after | first line of the log (lines) |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [row(name, fault) for name, fault in result["faults"].items()]
    for name, figure in result["figures"].items():
        lines += ["", f"## {name}", ""]
        lines += [f"- {'met' if met else '**missed**'}: {what}" for what, met in figure["met"].items()]
        rest = {key: value for key, value in figure.items() if key not in ("met", "runs")}
        lines += [
            f"- {key}: {json.dumps(value, ensure_ascii=False).replace(chr(34), '')}" for key, value in rest.items()
        ]
        if runs := figure.get("runs"):
            slowest = max(run["seconds"] for run in runs)
            answered, unread = (sum(run[name] for run in runs) for name in ("answered", "never read"))
            lines.append(
                f"- {len(runs)} runs, {answered:,} answers, {unread} requests that were sent while the server closed"
                f" idle connections, and that it never read; ended after {slowest} s at most"
            )
    return "\n".join(lines) + "\n"


def row(name, fault):
    answers = ", ".join(f"{number:,} x {what}" for what, number in fault["fault"].items()) or "none"
    log = fault["log"]
    line = f"`{log[0].replace('|', '/')}` ({len(log)})" if log else "none"
    if fault["serves"]:
        end = "" if fault["code"] == 0 else f"; exit code {fault['code']}"
    else:
        end = f"; **ended the process** ({fault['code']})"
    native, alive, healthy = (fault["milliseconds"][route] for route in ("native", "livez", "healthy"))
    cells = [
        name,
        answers + end,
        numbers(native, "p50", "p99", "max"),
        numbers(alive, "p99", "max"),
        numbers(healthy, "p50", "p99", "max"),
        ", ".join(f"{value:g}" for value in fault["resident"]),
        line,
    ]
    return f"| {' | '.join(cells)} |"


def numbers(seen, *names):
    return ", ".join(f"{seen[name]:g}" for name in names) if seen["count"] else "no answer"
