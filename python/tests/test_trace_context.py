"""`trace_context()`: what is a `traceparent` and what is none, in the server (played by a token) and in tests."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from httpy_rs import _request, _trace_context, request, trace_context
from httpy_rs._trace_context import parse
from httpy_rs.testing import acall, call

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
LINE = f"00-{TRACE}-{SPAN}-01"


def test_a_line_becomes_its_parts() -> None:
    context = parse([LINE])
    assert context is not None
    assert (context.trace_id, context.span_id, context.sampled, context.traceparent) == (TRACE, SPAN, True, LINE)
    assert repr(context) == f"TraceContext('{LINE}')"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        # What later versions may mean by the other flags is not known, and is not passed on.
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        (f"cc-{TRACE}-{SPAN}-01", LINE),
        (f"cc-{TRACE}-{SPAN}-01-what-is-to-come", LINE),
        (f" {LINE}\t", LINE),
    ],
)
def test_what_is_known_of_a_line_is_taken(line: str, expected: str) -> None:
    context = parse([line])
    assert context is not None
    assert context.traceparent == expected


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [LINE, LINE],
        [""],
        [LINE.upper()],
        [LINE[:-1]],
        [LINE + "0"],
        [LINE + "-"],
        [LINE + "-more"],
        [LINE + "\n"],
        [f"cc-{TRACE}-{SPAN}-01.more"],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE[:-1]}g-{SPAN}-01"],
        [f"00-{TRACE[:-1]}٣-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}-0x"],
    ],
)
def test_what_is_wrong_is_no_trace(lines: list[str]) -> None:
    assert parse(lines) is None


def handler(method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any:
    request()
    found = []
    thread = threading.Thread(target=contextvars.copy_context().run, args=(lambda: found.append(trace_context()),))
    thread.start()
    thread.join()
    context = trace_context()
    assert str(found[0]) == str(context)
    return 200, f"{context and context.traceparent} {headers.get('Traceparent')}", None


async def later(method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any:
    await asyncio.sleep(0)
    return handler(method, path, params, query, headers, body)


def test_a_tests_request_has_it_from_its_line() -> None:
    for traced in (handler, later):
        assert call(traced, traceparent=LINE).text == f"{LINE} ['{LINE}']"
        assert call(traced, headers={"traceparent": LINE}).text == f"{LINE} ['{LINE}']"
        assert call(traced).text == "None None"
    assert call(handler, headers={"traceparent": LINE}, traceparent=LINE).text.startswith("None ")
    assert asyncio.run(acall(later, traceparent=LINE)).text == f"{LINE} ['{LINE}']"


def test_the_server_is_asked_for_the_lines_of_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    token = object()
    asked: list[object] = []

    def lines(known: object) -> list[str]:
        asked.append(known)
        return [LINE]

    monkeypatch.setattr(_trace_context, "_traceparents", lines)

    def run() -> Any:
        _request._current.set(token)
        return trace_context()

    assert contextvars.Context().run(run).traceparent == LINE
    assert asked == [token]


def test_without_a_request_there_is_none() -> None:
    assert contextvars.Context().run(trace_context) is None
