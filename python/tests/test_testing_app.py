"""`testing.App`: the routes, functions and event loop of an app; `test_vectors` has what requests find."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import httpy_rs
from httpy_rs.testing import App, ContractFailure, LoadError

Write = Callable[..., Path]

SHOP = """
    import httpy_rs

    PRICES = {}

    def startup():
        PRICES["tea"] = "3.5"
        return {"/price/:item": ["GET"]}

    def stop():
        PRICES.clear()

    def handle(method, path, params, query, headers, body):
        return 200, PRICES[params["item"][0]], None
"""


def show(method: str, path: str, params: Any, query: Any, headers: Any, body: str) -> Any:
    """Answers with what it got."""
    request = httpy_rs.request()
    return 200, repr((method, path, params, query, request.route, body)), {"X-Test": headers.get("X-Test", [])}


def test_an_app_is_given_by_its_targets(write: Write) -> None:
    write("shop.py", SHOP)
    with App("shop:handle", init="shop:startup", shutdown="shop:stop") as app:
        assert app.get("/price/tea").text == "3.5"
        assert app.get("/prices").status == 404
        refused = app.post("/price/tea")
        assert (refused.status, refused.headers["allow"], refused.body) == (405, "GET,HEAD", b"")
    with pytest.raises(KeyError):
        app.get("/price/tea")


def test_an_app_is_given_by_its_functions() -> None:
    calls = []
    with App(show, init=lambda: calls.append("init"), shutdown=lambda: calls.append("shutdown")) as app:
        assert calls == ["init"]
        app.get("/")
    assert calls == ["init", "shutdown"]


def test_each_method_is_sent_with_its_options() -> None:
    app = App(show, init={"/{name}": ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]})
    for method in ("get", "post", "put", "patch", "delete", "options"):
        response = getattr(app, method)("/a?n=1", query={"n": "2"}, headers={"X-Test": ["1", "2"]}, json=[3])
        expected = (method.upper(), "/a", {"name": ["a"]}, {"n": ["1", "2"]}, "/{name}", "[3]")
        assert (response.text, response.headers.get_list("x-test")) == (repr(expected), ["1", "2"])
    assert (app.head("/a").status, app.head("/a").body) == (200, b"")


@pytest.mark.parametrize("init", [None, {}, lambda: None])
def test_without_routes_every_path_goes_to_the_handler(init: Any) -> None:
    assert App(show, init=init).request("PURGE", "/a/b").text == repr(("PURGE", "/a/b", {}, {}, None, ""))


def test_what_would_be_a_500_is_raised() -> None:
    with pytest.raises(ContractFailure, match="expected 3 items"):
        App(lambda *_: (200, "a")).get("/")
    with pytest.raises(ZeroDivisionError):
        App(lambda *_: (1 // 0, "a", None)).get("/")


def test_what_no_client_can_send_is_refused_before_a_route_is_looked_for() -> None:
    app = App(show, init={"/a": ["GET"]})
    with pytest.raises(ValueError, match='expected a path that begins with "/"'):
        app.get("b")
    with pytest.raises(TypeError, match="both body= and json= were given"):
        app.get("/b", body="a", json={})


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"init": "no_such_module:init"}, "module_not_found", 'no module "no_such_module"'),
        (
            {"init": lambda app: None},
            "init_signature",
            r"<lambda> takes \(app\): expected a function without arguments",
        ),
        ({"init": lambda: 1 // 0}, "init_exception", r"<lambda> raised ZeroDivisionError: "),
        ({"init": lambda: [("/", ["GET"])]}, "init_result", "<lambda> returned list: expected a dict of routes"),
        ({"init": {"/": "GET"}}, "init_result", "^init returned '/' with str: expected a list"),
        ({"init": [("/", ["GET"])]}, "init_result", "^init returned list: expected a dict of routes"),
        ({"shutdown": lambda app: None}, "shutdown_signature", r"<lambda> takes \(app\)"),
    ],
)
def test_an_app_that_the_server_would_not_start_is_refused(options: Any, kind: str, message: str) -> None:
    with pytest.raises(LoadError, match=message) as refused:
        App(show, **options)
    assert refused.value.kind == kind


def test_async_functions_share_a_loop_from_init_to_shutdown() -> None:
    loops = []

    async def note() -> None:
        loops.append(asyncio.get_running_loop())

    async def handle(*arguments: Any) -> Any:
        await note()
        return 200, "", None

    with App(handle, init=note, shutdown=note) as app:
        app.get("/")
        app.get("/")
        assert not loops[0].is_closed()
    assert len(loops) == 4
    assert len(set(loops)) == 1
    assert loops[0].is_closed()


def test_without_a_with_block_the_loop_is_closed_with_the_app() -> None:
    loops = []

    async def handle(*arguments: Any) -> Any:
        loops.append(asyncio.get_running_loop())
        return 200, "", None

    app = App(handle)
    app.get("/")
    assert not loops[0].is_closed()
    del app
    gc.collect()
    assert loops[0].is_closed()


def test_a_shutdown_that_raises_is_told_and_the_loop_closed() -> None:
    loops = []

    async def shutdown() -> None:
        loops.append(asyncio.get_running_loop())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), App(show, shutdown=shutdown):
        pass
    assert loops[0].is_closed()


def test_where_a_loop_runs_already_plain_handlers_alone_are_called() -> None:
    async def handle(*arguments: Any) -> Any:
        return 200, "", None

    async def run() -> None:
        assert App(show).get("/").status == 200
        with pytest.raises(RuntimeError, match="handle, which is async, where an event loop is running already"):
            App(handle).get("/")

    asyncio.run(run())


@pytest.mark.parametrize("is_async", [False, True])
def test_each_call_begins_with_the_context_that_init_has_left(is_async: bool) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def init() -> None:
        variable.set("init")

    async def async_init() -> None:
        init()

    def handle(*arguments: Any) -> Any:
        found = variable.get()
        variable.set("call")
        return 200, found, None

    app = App(handle, init=async_init if is_async else init)
    assert [app.get("/").text, app.get("/").text, variable.get()] == ["init", "init", "unset"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_failure_shows_the_frames_of_the_test_and_the_handler_alone(is_async: bool) -> None:
    def plain(*arguments: Any) -> Any:
        raise ZeroDivisionError

    async def asynchronous(*arguments: Any) -> Any:
        raise ZeroDivisionError

    handler = asynchronous if is_async else plain
    with pytest.raises(ZeroDivisionError) as raised:
        App(handler).get("/")
    shown = raised.traceback.filter(raised)
    assert [entry.name for entry in shown] == [
        "test_a_failure_shows_the_frames_of_the_test_and_the_handler_alone",
        handler.__name__,
    ]
