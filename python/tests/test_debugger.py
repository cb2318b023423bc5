"""Debuggers that begin in a handler: when they stop its clock, and when they are refused."""

from __future__ import annotations

import bdb
import io
import os
import pdb
import sys
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from httpy_rs import _debugger, _request


@pytest.fixture(autouse=True)
def prepared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(bdb.Bdb, "set_trace", bdb.Bdb.set_trace)
    monkeypatch.setattr(_debugger, "refusal", "not here")
    _debugger.prepare(bdb)
    trace = sys.gettrace()
    yield
    sys.settrace(trace)


def stopped(monkeypatch: pytest.MonkeyPatch, *, is_debug: bool) -> list[object]:
    """The tokens of calls whose clock is stopped from now on."""
    tokens: list[object] = []

    def stop_clock(token: object) -> bool:
        tokens.append(token)
        return is_debug

    monkeypatch.setattr(_debugger, "_stop_clock", stop_clock)
    return tokens


def debug(commands: str) -> str:
    output = io.StringIO()
    value = 1
    pdb.Pdb(stdin=io.StringIO(commands), stdout=output, nosigint=True, readrc=False).set_trace()
    value += 1
    assert value > 1
    return output.getvalue()


def test_it_stops_where_it_was_called_and_stops_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = stopped(monkeypatch, is_debug=True)

    def call() -> str:
        _request._current.set("token")
        return debug("p value\nc\n")

    shown = copy_context().run(call)
    assert "debug()" in shown
    assert "(Pdb) 1\n" in shown
    assert tokens == ["token"]


def test_outside_of_a_call_there_is_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = stopped(monkeypatch, is_debug=True)
    assert "debug()" in debug("c\n")
    assert tokens == []


@pytest.mark.parametrize("is_debug", [False, True])
def test_what_reads_an_empty_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch, is_debug: bool) -> None:
    stopped(monkeypatch, is_debug=is_debug)
    monkeypatch.setattr(_request, "current_token", lambda: "token")
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(RuntimeError, match="not here"):
            pdb.Pdb(nosigint=True, readrc=False).set_trace()


def test_in_debug_a_pipe_is_as_good_as_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(reading) as pipe, open(writing, "w"):
        monkeypatch.setattr(sys, "stdin", pipe)
        assert _debugger._can_read(is_debug=True)
        assert not _debugger._can_read(is_debug=False)
    monkeypatch.setattr(sys, "stdin", None)
    assert not _debugger._can_read(is_debug=True)
