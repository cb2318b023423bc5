"""The results as Markdown."""

from statistics import median

from peers import machine


def markdown(result, title, command, left):
    """`left` has the names of the figures that are not yet taken."""
    quick = " with QUICK=1, good for trying it out only" if result["quick"] else ""
    lines = [
        f"# {title}",
        "",
        f"`{command}`{quick}; {machine.sentence(result['machine'])}. Medians of the rounds, the least and the most in",
        "brackets.",
    ]
    if left:
        lines += ["", f"**Not yet taken**: {'; '.join(left)}."]
    for name, figure in result["figures"].items():
        lines += ["", f"## {name[0].upper()}{name[1:]}", "", figure["what"], ""]
        if "missing" in figure:
            lines.append(f"- could not be taken: {figure['missing']}")
        lines += [f"- {'met' if met else '**missed**'}: {what}" for what, met in figure["met"].items()]
        rest = {key: value for key, value in figure.items() if key not in ("met", "missing", "what")}
        lines += [f"- {key}: {said(value)}" for key, value in rest.items()]
    return "\n".join(lines) + "\n"


def said(value):
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "; ".join(f"{name} {said(one)}" for name, one in value.items())
    if isinstance(value, list):
        return f"{number(median(value))} ({number(min(value))} to {number(max(value))})"
    return number(value)


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
