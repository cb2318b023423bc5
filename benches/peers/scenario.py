"""The scenarios: what is asked of which servers, and what a right answer is."""

import http.client
import json
import re
import urllib.parse
from dataclasses import dataclass
from typing import Callable, Union

from .load import Load
from .server import THREADS


@dataclass(frozen=True)
class Ask:
    """One kind of request. `answer` is a pattern for the whole body, or a function that judges it."""

    path: str
    connections: int
    answer: Union[str, Callable]
    body: str = ""
    headers: tuple = ()
    threads: int = 1

    def load(self, base, seconds):
        return Load(base + self.path, self.connections, seconds, self.threads, self.headers, self.body)

    def check(self, base):
        """Asks once; raises `RuntimeError` where the answer is not the right one."""
        url = urllib.parse.urlsplit(base + self.path)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        try:
            headers = dict(header.split(": ") for header in self.headers)
            connection.request("POST" if self.body else "GET", url.path or "/", self.body or None, headers)
            response = connection.getresponse()
            body = response.read().decode("latin-1")
            sent_back = all(response.headers.get(name) == value for name, value in headers.items())
        except OSError as error:
            raise RuntimeError(f"{url.path}: {error!r}") from error
        finally:
            connection.close()
        is_right = self.answer(body) if callable(self.answer) else re.fullmatch(self.answer, body)
        if response.status != 200 or not is_right or not sent_back:
            raise RuntimeError(f"{url.path}: answered {response.status} {body[:200]!r}")


@dataclass(frozen=True)
class Scenario:
    """Each step is measured by itself; the requests of a step are sent at once."""

    name: str
    title: str
    steps: dict
    servers: tuple
    seconds: int = 0  # of each measurement, where it is not what the run is told


def order():
    """4 KiB of JSON."""
    items = [{"id": n, "name": f"a thing of kind {n:03}", "price": n + 0.25, "amount": n % 7 + 1} for n in range(56)]
    return json.dumps({"customer": 12345, "items": items})


def is_priced(body):
    expected = json.loads(order())
    expected["total"] = sum(item["price"] * item["amount"] for item in expected["items"])
    return json.loads(body) == expected


ALL = ("native", "ours", "granian-rsgi", "granian-asgi", "granian-wsgi", "uvicorn", "fastwsgi", "robyn")
PYTHON = tuple(name for name in ALL if name != "native")
QUICK = ("native", "ours", "granian-rsgi", "granian-wsgi-64", "fastwsgi", "ours-64", "two-apps")
COUNTED = r"request #\d+"
TEXT = "x" * 64 * 1024
FIELDS = tuple(f"X-Field-{number}: value-of-field-{number}" for number in range(30))
FAST = Ask("", 32, COUNTED)
FIRST = Ask("/python", 32, COUNTED)
MIXED = (*PYTHON, "granian-wsgi-64")

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        *(
            Scenario(f"trivial-{n}", f"A handler that counts, c={n}", {"": [Ask("", n, COUNTED)]}, ALL)
            for n in (64, 1, 400)
        ),
        Scenario("json", "4 KiB of JSON in and out, c=64", {"": [Ask("/json", 64, is_priced, order())]}, ALL),
        Scenario("echo", "64 KiB body sent back, c=64", {"": [Ask("/echo", 64, TEXT, TEXT)]}, ALL),
        Scenario("fields", "30 headers in and out, c=64", {"": [Ask("/fields", 64, "fields", headers=FIELDS)]}, ALL),
        Scenario(
            "sleepers",
            "32 fast connections beside 32 whose handler sleeps 50 ms",
            {"alone": [FAST], "beside": [FAST, Ask("/sleep/50", 32, "slept")]},
            MIXED,
        ),
        Scenario(
            "burners",
            "32 fast connections beside 4 whose handler computes for 20 ms",
            {"alone": [FAST], "beside": [FAST, Ask("/burn/20", 4, "burnt")]},
            MIXED,
        ),
        Scenario(
            "sleep-400",
            "400 connections whose handler sleeps 10 ms",
            {"": [Ask("/sleep/10", 400, "slept")]},
            ("ours", *(f"granian-wsgi-{n}" for n in THREADS)),
        ),
        Scenario(
            "two-apps",
            "Two apps in one process, each asked by a client with c=32, beside one that both clients ask",
            {"one": [FIRST, FIRST], "both": [FIRST, Ask("/second", 32, COUNTED)]},
            ("two-apps",),
        ),
        Scenario(
            "httpy",
            "HTTPy's own command: wrk -t12 -c400 -d30s --timeout=10 --latency",
            {"": [Ask("", 400, COUNTED, threads=12)]},
            ("native", "ours"),
            seconds=30,
        ),
    )
}
