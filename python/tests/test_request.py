"""`request()` in the server (played by a token and `_describe`), in threads, and where there is none."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import httpy_rs
from httpy_rs import Request, _request, request


def in_server(monkeypatch: pytest.MonkeyPatch, *described: Any) -> list[object]:
    """Sets the server's side; the tokens that it was asked about come into the list."""
    asked: list[object] = []

    def describe(token: object) -> Any:
        asked.append(token)
        return described

    monkeypatch.setattr(_request, "_describe", describe)
    return asked


def test_the_token_is_described_once_per_context(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = in_server(monkeypatch, "/a?b", "/{x}", ("10.0.0.1", 5), "https", "2", 7.5, '{"user": ["ann", 1]}')
    token = object()

    def run() -> tuple[Request, Request]:
        _request._current.set(token)
        return request(), request()

    before = time.monotonic()
    first, second = contextvars.Context().run(run)
    after = time.monotonic()
    assert first is second
    assert asked == [token]
    assert (first.target, first.route, first.client) == ("/a?b", "/{x}", ("10.0.0.1", 5))
    assert (first.scheme, first.http_version, first.extras) == ("https", "2", {"user": ["ann", 1]})
    assert first.deadline is not None
    assert before + 7.5 <= first.deadline <= after + 7.5


def test_without_extras_there_is_an_empty_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    in_server(monkeypatch, "/", None, None, "http", "1.1", 1.0, None)

    def run() -> Request:
        _request._current.set(object())
        return request()

    found = contextvars.Context().run(run)
    assert found.extras == {}
    assert found.route is None
    assert found.client is None


def test_the_context_variable_has_the_agreed_name() -> None:
    assert _request._current.name == "httpy_rs.request"


def test_where_no_request_is_handled_it_raises() -> None:
    with pytest.raises(RuntimeError, match="no request is being handled"):
        request()


def test_a_thread_needs_a_copy_of_the_context() -> None:
    given = Request("/", None, None, "http", "1.1", None, {})
    found: list[object] = []

    def ask() -> None:
        try:
            found.append(request())
        except RuntimeError as error:
            found.append(type(error))

    def run() -> None:
        _request._current.set(given)
        for context in (contextvars.Context(), contextvars.copy_context()):
            thread = threading.Thread(target=context.run, args=(ask,))
            thread.start()
            thread.join()

    contextvars.Context().run(run)
    assert found == [RuntimeError, given]


def test_the_repr_shows_every_field() -> None:
    shown = repr(Request("/a", "/{x}", ("h", 1), "http", "1.1", 2.5, {"a": 1}))
    assert shown == (
        "Request(target='/a', route='/{x}', client=('h', 1), scheme='http', http_version='1.1', deadline=2.5, "
        "extras={'a': 1})"
    )


def test_importing_httpy_rs_is_light() -> None:
    package = str(Path(httpy_rs.__file__).parents[1])
    program = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import httpy_rs; "
        "print(*sorted(set(sys.modules) - before))"
    )
    # Isolated and without `site`, whose own imports would hide ours.
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, package], capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    parts = ("_body", "_client", "_deadline", "_request", "_trace_context", "_version")
    package_itself = {"httpy_rs", *(f"httpy_rs.{part}" for part in parts)}
    assert package_itself <= loaded
    # The last three are those of `contextvars` from Python 3.15 on, and `site` would have imported them.
    standard = {"__future__", "_contextvars", "contextvars", "_abc", "_collections_abc", "abc"}
    assert loaded <= standard | package_itself


def test_sse_is_imported_when_it_is_used() -> None:
    package = str(Path(httpy_rs.__file__).parents[1])
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import httpy_rs; before = 'httpy_rs._sse' in sys.modules; "
        "from httpy_rs import sse; print(before, sse is httpy_rs.sse, hasattr(httpy_rs, 'absent'))"
    )
    run = subprocess.run([sys.executable, "-c", program, package], capture_output=True, text=True, check=True)
    assert run.stdout == "False True False\n"
