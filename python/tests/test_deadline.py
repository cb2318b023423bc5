"""`remaining()`, `shield()` and `DeadlineExceeded`: with the server's side played by functions, and without it."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

import httpy_rs
from httpy_rs import _deadline, _request, _stack
from httpy_rs._exception import FRAME_LIMIT
from httpy_rs.testing import call

T = TypeVar("T")


def with_token(token: object, work: Callable[[], T]) -> T:
    def run() -> T:
        _request._current.set(token)
        return work()

    return contextvars.Context().run(run)


def test_outside_of_a_request_there_is_no_deadline() -> None:
    assert httpy_rs.remaining() is None


def test_in_a_test_the_time_left_is_that_of_the_call() -> None:
    seen: list[float | None] = []

    def handle(method: str, path: str, params: Any, query: Any, headers: Any, body: str) -> tuple[int, str, None]:
        seen.append(httpy_rs.remaining())
        return 200, "", None

    call(handle, deadline=60)
    call(handle, deadline=-1)
    call(handle, deadline=None)
    assert seen[0] is not None
    assert 0 < seen[0] <= 60
    assert seen[1:] == [0.0, None]


def test_in_the_server_the_token_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def seconds_left(token: object) -> float:
        asked.append(token)
        return 2.5

    monkeypatch.setattr(_deadline, "_seconds_left", seconds_left)
    token = object()
    assert with_token(token, httpy_rs.remaining) == 2.5
    assert asked == [token]
    assert httpy_rs.remaining() is None


def test_once_the_request_was_asked_for_it_knows_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_request, "_describe", lambda _: ("/", None, None, "http", "1.1", 100.0, None))

    def ask() -> tuple[float, float | None]:
        deadline = httpy_rs.request().deadline
        assert deadline is not None
        return deadline, httpy_rs.remaining()

    deadline, left = with_token(object(), ask)
    assert left is not None
    assert 0 < left <= 100
    assert time.monotonic() + left <= deadline + 1


def test_without_a_server_a_shield_does_nothing() -> None:
    with httpy_rs.shield(), httpy_rs.shield():
        pass
    with pytest.raises(ValueError, match="body"), httpy_rs.shield():
        raise ValueError("body")


def test_a_shield_tells_the_server_of_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(_deadline, "_enter", lambda: seen.append("enter"))
    monkeypatch.setattr(_deadline, "_leave", lambda: seen.append("leave"))
    with httpy_rs.shield():
        seen.append("body")
    with pytest.raises(ValueError, match="body"), httpy_rs.shield():
        raise ValueError("body")
    assert seen == ["enter", "body", "leave", "enter", "leave"]


def test_what_the_server_raises_at_the_end_of_a_shield_reaches_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    def strike() -> None:
        raise httpy_rs.DeadlineExceeded

    monkeypatch.setattr(_deadline, "_leave", strike)
    with pytest.raises(httpy_rs.DeadlineExceeded) as caught, httpy_rs.shield():
        raise ValueError("body")
    assert isinstance(caught.value.__context__, ValueError)


def test_the_exception_passes_by_what_catches_exceptions_and_says_what_it_is() -> None:
    assert not issubclass(httpy_rs.DeadlineExceeded, Exception)
    assert str(httpy_rs.DeadlineExceeded()) == "the call's deadline has passed"
    assert str(httpy_rs.DeadlineExceeded("mine")) == "mine"
    assert repr(httpy_rs.DeadlineExceeded) == "<class 'httpy_rs.DeadlineExceeded'>"


def test_the_stack_of_another_thread_is_shown_with_its_lines() -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def stuck_here() -> None:
        arrived.set()
        go_on.wait()  # the line to be seen

    thread = threading.Thread(target=stuck_here)
    thread.start()
    assert arrived.wait(60)
    assert thread.ident is not None
    frames = _stack.capture(thread.ident)
    go_on.set()
    thread.join()
    text = _stack.show(frames)
    assert f'File "{__file__}", line ' in text
    assert "in stuck_here" in text
    assert text.index("in run") < text.index("in stuck_here")


def test_a_thread_without_python_code_has_no_frames() -> None:
    assert _stack.capture(0) == []
    assert _stack.show([]) == ""


def test_a_runaway_recursion_shows_its_innermost_frames_only() -> None:
    seen: list[Any] = []

    def recurse(depth: int) -> None:
        if depth:
            recurse(depth - 1)
        else:
            seen.extend(_stack.capture(threading.get_ident()))

    recurse(500)
    assert len(seen) == FRAME_LIMIT
    assert seen[-1][2] == "capture"
    assert _stack.show(seen).encode()
