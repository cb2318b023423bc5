"""Load by wrk: one run, or several at once, and what wrk said as numbers."""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000}
PATIENCE = 30  # seconds more than wrk was told


@dataclass(frozen=True)
class Load:
    """What one wrk sends: the same request, again and again, over `connections` that are kept alive."""

    url: str
    connections: int
    seconds: int
    threads: int = 1
    headers: tuple = ()
    body: str = ""  # printable ASCII; where there is one, the method is POST

    def command(self, script):
        command = [
            "wrk",
            f"-t{self.threads}",
            f"-c{self.connections}",
            f"-d{self.seconds}s",
            "--timeout=10",
            "--latency",
        ]
        for header in self.headers:
            command += ["-H", header]
        if self.body:
            script.write_text(f'wrk.method = "POST"\nwrk.body = {json.dumps(self.body)}\n')
            command += ["-s", str(script)]
        return [*command, self.url]


def run(*loads):
    """Runs all `loads` at once; for each a dict, see `parsed`. Where a request failed, `errors` is not empty."""
    with tempfile.TemporaryDirectory() as folder:
        running = []
        try:
            for number, load in enumerate(loads):
                command = load.command(Path(folder, f"{number}.lua"))
                running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
            return [parsed(ended(wrk, load.seconds + PATIENCE)) for wrk, load in zip(running, loads)]
        finally:
            for wrk in running:
                wrk.kill()
                wrk.wait()


def answered(*loads):
    """The same, of requests that may not fail. Raises `RuntimeError` where one does."""
    said = run(*loads)
    for load, one in zip(loads, said):
        if one["errors"]:
            raise RuntimeError(f"{load.url}: {in_words(one['errors'])}")
    return said


def ended(wrk, limit):
    try:
        return wrk.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        return f"nothing for {limit} s"


def parsed(text):
    """wrk's report: requests, requests per second, percentiles in microseconds, and how many failed, by kind."""
    total = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not total or not rate:
        print(f"wrk said: {text}", file=sys.stderr)
        return {"requests": 0, "requests_per_second": 0.0, "errors": {"run without a report": 1}}
    percentiles = {
        f"p{percent}_us": round(float(number) * MICROSECONDS[unit], 2)
        for percent, number, unit in re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    }
    errors = {}
    if found := re.search(r"Non-2xx or 3xx responses: (\d+)", text):
        errors["not 2xx"] = int(found[1])
    if found := re.search(r"Socket errors: (.*)", text):
        for kind, count in re.findall(r"(\w+) (\d+)", found[1]):
            if int(count):
                errors[f"{kind} errors"] = int(count)
    if not int(total[1]):
        errors["no answer at all"] = 1
    return {"requests": int(total[1]), "requests_per_second": float(rate[1]), **percentiles, "errors": errors}


def in_words(errors):
    """`errors` of a run."""
    return ", ".join(f"{count:,} {kind}" for kind, count in errors.items())
