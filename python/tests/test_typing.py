"""The contract's types accept right functions and refuse wrong ones, as mypy sees them."""

from __future__ import annotations

from pathlib import Path

from mypy import api

import httpy_rs

RIGHT = """
from __future__ import annotations
from http import HTTPStatus
from typing import Any, AsyncIterator, Iterator
import httpy_rs
from httpy_rs.typing import (
    AsyncHandler, BytesHandler, Event, Handler, Headers, Init, Params, Query, Reply, ReplyHeaders, RouteMap,
    StreamHandler
)

def by_alias(method: str, path: str, params: Params, query: Query, headers: Headers, body: str) -> Reply:
    return 200, "hello", {"X-A": ["1"], "X-B": "2", "X-C": ("3", "4")}

def by_hand(
    method: str, path: str, params: dict[str, list[str]], query: dict[str, list[str]],
    headers: dict[str, list[str]], body: str,
) -> tuple[int, str, dict[str, list[str]]]:
    return HTTPStatus.OK, "hello", {"X-A": ["1"]}

def plain(method: str, path: str, params: Params, query: Query, headers: Headers, body: str) -> tuple[int, str, None]:
    return 200, "", None

def built(method: str, path: str, params: Params, query: Query, headers: Headers, body: str) -> Reply:
    answer: ReplyHeaders = {"X-A": "1"}
    answer["X-B"] = ["2"]
    return 200, None, answer

def single(method: str, path: str, params: Params, query: Query, headers: Headers, body: str) -> Reply:
    return 200, b"", {"X-A": "1"}

def untyped(method, path, params, query, headers, body):  # type: ignore[no-untyped-def]
    return 200, "", {}

def with_bytes(m: str, p: str, params: Params, q: Query, h: Headers, body: bytes) -> Reply:
    return 200, body, {}

def counting(m: str, p: str, params: Params, q: Query, h: Headers, body: httpy_rs.Body) -> Reply:
    first: bytes = body.read(2)
    return 200, str(sum(len(chunk) for chunk in body) + len(first)), {}

def echo(m: str, p: str, params: Params, q: Query, h: Headers, body: httpy_rs.Body) -> Reply:
    return 200, body, {}

async def async_counting(m: str, p: str, params: Params, q: Query, h: Headers, body: httpy_rs.AsyncBody) -> Reply:
    size = len(await body.read(2))
    async for chunk in body:
        size += len(chunk)
    return 200, str(size), {}

def init() -> RouteMap:
    return {"/": ["GET"]}

def init_by_hand() -> dict[str, list[str]]:
    return {"/": ["GET"]}

def init_tuples() -> dict[str, tuple[str, ...]]:
    return {"/": ("GET", "POST")}

def init_none() -> None: ...

def streaming(method: str, path: str, params: Params, query: Query, headers: Headers, body: str) -> Reply:
    return 200, (str(number) for number in range(3)), None

def mixed() -> Iterator[str | bytes]:
    yield "a"
    yield b"b"

def mixing(method: str, path: str, params: Params, query: Query, headers: Headers, body: str) -> Reply:
    return 200, mixed(), {}

async def ticks() -> AsyncIterator[Event]:
    yield {"event": "tick", "data": [1], "id": 1}

async def texts() -> AsyncIterator[str | dict[str, Any]]:
    yield "a"

def events(method: str, path: str, params: Params, query: Query, headers: Headers, body: str) -> Reply:
    return httpy_rs.sse(["a", {"data": "b"}], heartbeat=None)

async def async_events(method: str, path: str, params: Params, query: Query, headers: Headers, body: str) -> Reply:
    return httpy_rs.sse(texts() if body else ticks(), headers={"X-A": "1"})

async def async_plain(
    method: str, path: str, params: Params, query: Query, headers: Headers, body: str
) -> tuple[int, str, None]:
    return 200, "", None

class Callable:
    def __call__(self, a: str, b: str, c: Params, d: Query, e: Headers, f: str) -> Reply:
        return 200, memoryview(b""), None

handlers: list[Handler] = [by_alias, by_hand, plain, built, single, untyped, streaming, mixing, events, Callable()]
async_handlers: list[AsyncHandler] = [async_events, async_plain]
bytes_handler: BytesHandler = with_bytes
stream_handlers: list[StreamHandler] = [counting, echo]
inits: list[Init] = [init, init_by_hand, init_tuples, init_none]
"""

WRONG = """
from httpy_rs import sse
from httpy_rs.typing import AsyncHandler, BytesHandler, Event, Handler, Headers, Init, Params, Query, Reply
from typing import Dict, List, Tuple

def too_few(method: str, path: str) -> Reply:
    return 200, "", None
def two_items(method: str, path: str, params: Params, query: Query, headers: Headers, body: str) -> Tuple[int, str]:
    return 200, ""
def with_bytes(method: str, path: str, params: Params, query: Query, headers: Headers, body: bytes) -> Reply:
    return 200, "", None
def pairs(
    method: str, path: str, params: Params, query: Query, headers: Headers, body: str
) -> Tuple[int, str, List[Tuple[str, str]]]:
    return 200, "", []
def status_text(method: str, path: str, p: Params, q: Query, h: Headers, body: str) -> Reply:
    return "200", "", None  # E
def value_int(method: str, path: str, p: Params, q: Query, h: Headers, body: str) -> Reply:
    return 200, "", {"X-A": 1}  # E
def body_of_ints(method: str, path: str, p: Params, q: Query, h: Headers, body: str) -> Reply:
    return 200, iter([1]), None  # E
async def is_async(method: str, path: str, p: Params, q: Query, h: Headers, body: str) -> Reply:
    return 200, "", None
def needs_app(app: object) -> Dict[str, List[str]]:
    return {}
def one_method() -> Dict[str, str]:
    return {"/": "GET"}

a: Handler = too_few  # E
b: Handler = two_items  # E
c: Handler = with_bytes  # E
d: Handler = pairs  # E
e: Init = needs_app  # E
f: Init = one_method  # E
g: BytesHandler = with_bytes
h: Handler = is_async  # E
i: AsyncHandler = two_items  # E
sse(3)  # E
sse([3])  # E
event: Event = {"name": "a"}  # E
"""


def check(folder: Path, source: str) -> set[int]:
    """The lines of `source` in which mypy finds an error."""
    sample = folder / "sample.py"
    sample.write_text(source)
    config = folder / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = true\nmypy_path = {Path(httpy_rs.__file__).parents[1]}\n")
    report, problems, _ = api.run(
        ["--config-file", str(config), "--cache-dir", str(folder / "cache"), "--no-error-summary", str(sample)]
    )
    assert problems == ""
    errors = [line for line in report.splitlines() if ": error: " in line]
    assert all("sample.py:" in line for line in errors), report
    return {int(line.split("sample.py:")[1].split(":")[0]) for line in errors}


def test_right_handlers_and_inits_are_accepted(tmp_path: Path) -> None:
    assert check(tmp_path, RIGHT) == set()


def test_wrong_handlers_and_inits_are_refused(tmp_path: Path) -> None:
    marked = {number for number, line in enumerate(WRONG.splitlines(), start=1) if line.endswith("# E")}
    assert check(tmp_path, WRONG) == marked
