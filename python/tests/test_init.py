"""Init functions: how they are called, and which results are routes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from httpy_rs._load import LoadError, load_init, load_shutdown
from httpy_rs._load import run_init as call_init

Failure = Callable[[Callable[[], Any]], LoadError]
Write = Callable[..., Path]


def run_init(target: str, paths: list[str]) -> list[tuple[str, list[str]]]:
    return call_init(target, load_init(target, paths)[0])


def test_routes_come_in_the_order_of_the_dict(write: Write) -> None:
    write("routes.py", "def init():\n    return {'/z': ['GET', 'get'], '/a/:b': ('POST',), '/': []}\n")
    assert run_init("routes:init", []) == [("/z", ["GET", "get"]), ("/a/:b", ["POST"]), ("/", [])]


def test_an_ordered_dict_has_the_last_word_on_its_order(write: Write) -> None:
    write(
        "moved.py",
        """
        from collections import OrderedDict
        def init():
            routes = OrderedDict({"/a": ["GET"], "/b": ["GET"]})
            routes.move_to_end("/a")
            return routes
        """,
    )
    assert run_init("moved:init", []) == [("/b", ["GET"]), ("/a", ["GET"])]


def test_none_is_no_routes(write: Write) -> None:
    write("none.py", "def init(): ...\n")
    assert run_init("none:init", []) == []


def test_an_init_with_defaults_is_accepted(write: Write) -> None:
    write("defaults.py", "def init(debug=False, *more, **named): ...\n")
    assert run_init("defaults:init", []) == []


def test_an_init_that_takes_an_argument_is_refused(failure: Failure, write: Write) -> None:
    write("takes.py", "def init(app: int, more=1): ...\n")
    found = failure(lambda: run_init("takes:init", []))
    assert found.kind == "init_signature"
    assert found.message == "takes:init takes (app, more=1): expected a function without arguments"


@pytest.mark.parametrize("raised", ["ValueError('bad')", "SystemExit(3)", "KeyboardInterrupt()"])
def test_what_an_init_raises_is_kept(failure: Failure, write: Write, raised: str) -> None:
    write("raises.py", f"def init():\n    raise {raised}\n")
    found = failure(lambda: run_init("raises:init", []))
    assert found.kind == "init_exception"
    assert found.message.startswith(f"raises:init raised {raised.partition('(')[0]}")
    assert repr(found.__cause__).startswith(raised.partition("(")[0])


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("[('/', ['GET'])]", "list: expected a dict of routes to lists of methods, or None"),
        ("'/'", "str: expected a dict of routes to lists of methods, or None"),
        ("{'/': ['GET'], 5: ['GET']}", "a route of type int (entry 2): expected str"),
        ("{'/a': 'GET'}", "'/a' with str: expected a list or tuple of str, such as [\"GET\"]"),
        ("{'/a': None}", "'/a' with NoneType: expected a list or tuple of str, such as [\"GET\"]"),
        ("{'/a': {'GET'}}", "'/a' with set: expected a list or tuple of str, such as [\"GET\"]"),
        ("{'/a': ['GET', b'PUT']}", "'/a' with a method of type bytes at index 1: expected str"),
        ("{'/\\udc80': ['GET']}", "'/\\udc80' (entry 1): expected text that encodes as UTF-8"),
        ("{'/': ['\\ud800']}", "'\\ud800' (entry 1): expected text that encodes as UTF-8"),
    ],
)
def test_an_init_result_of_another_form_is_refused(failure: Failure, write: Write, result: str, message: str) -> None:
    write("result.py", f"def init():\n    return {result}\n")
    found = failure(lambda: run_init("result:init", []))
    assert found.kind == "init_result"
    assert found.message == f"result:init returned {message}"


def test_an_async_init_is_known_as_one(write: Write) -> None:
    write("async_init.py", "async def init(): ...\ndef plain(): ...\n")
    assert load_init("async_init:init", [])[1] is True
    assert load_init("async_init:plain", [])[1] is False


def test_a_shutdown_function_takes_no_arguments(failure: Failure, write: Write) -> None:
    write("stop.py", "async def stop(): ...\ndef takes(app): ...\n")
    assert load_shutdown("stop:stop", [])[1] is True
    found = failure(lambda: load_shutdown("stop:takes", []))
    assert found.kind == "shutdown_signature"
    assert found.message == "stop:takes takes (app): expected a function without arguments"


def test_an_init_that_cannot_be_called_is_refused(failure: Failure) -> None:
    assert failure(lambda: run_init("sys:maxsize", [])).kind == "not_callable"
