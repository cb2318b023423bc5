"""`App` and `call`: handlers called in plain pytest, by the server's rules, without a server.

    from httpy_rs.testing import App

    app = App("worker:go_request", init="worker:go_init")

    def test_says_hello():
        response = app.get("/hello/you")
        assert response.status == 200
        assert response.text == "hello you"

`App` finds the route as the server does. `call` calls one handler and needs the route; `acall` does so in tests that
are `async def`. All run `async def` handlers, and read bodies that are iterators to their end. Limits of bodies,
deadlines, queues and heartbeats need a server. Where the server would answer 500, these raise. The rules for
arguments are in `_arguments`, those of routes in `_route`, those of the reply in `_contract` and `_chunk`.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from types import TracebackType
from typing import Any, TypeVar, Unpack

from httpy_rs._call import Call, Handler, RequestOptions, target_of
from httpy_rs._context import Start
from httpy_rs._contract import ContractFailure
from httpy_rs._event_stream import ReceivedEvent, ReceivedEvents
from httpy_rs._interface import ASYNC
from httpy_rs._load import LoadError, check_plain, load_init, load_shutdown, run_init
from httpy_rs._pattern import Path, Pattern
from httpy_rs._response import Response, ResponseHeaders
from httpy_rs._route import Routes

__all__ = [
    "App",
    "ContractFailure",
    "LoadError",
    "ReceivedEvent",
    "ReceivedEvents",
    "RequestOptions",
    "Response",
    "ResponseHeaders",
    "acall",
    "call",
]

__tracebackhide__ = True  # pytest leaves the frames of this file out

T = TypeVar("T")


class App:
    """A handler with the routes, the init function and the shutdown function of its app.

    - `handler`: a function, or its target `"module:attribute"`.
    - `init`: the init function or its target, called here; or its result, a `dict` of routes to lists of methods.
      Without routes, every path goes to the handler, as if the Rust program mounts it at a path itself.
    - `shutdown`: the shutdown function or its target, called at the end of a `with` block.

    Async functions of one app share an event loop, as in the server. Each call runs in a copy of the `contextvars` as
    init has set them.

    Raises `LoadError` for an app that the server would not start.
    """

    def __init__(
        self,
        handler: Callable[..., Any] | str,
        *,
        init: Callable[[], Any] | str | Mapping[str, Any] | None = None,
        shutdown: Callable[[], Any] | str | None = None,
    ) -> None:
        # Not set as the thread's own loop, which it would stay.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._has_loop = False
        # Nothing that imports and init leave in it reaches the test's own.
        self._context = Start().copy()
        self._handler = self._context.run(Handler.load, handler)
        self._shutdown = None if shutdown is None else self._plain(shutdown, load_shutdown, "shutdown_signature")[1]
        entries = self._entries(init)
        self._routes = Routes(entries) if entries else None
        self._start = self._context.run(Start)

    def __enter__(self) -> App:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._shutdown is not None:
                self._shutdown()
        finally:
            self._runner.close()

    def request(self, method: str, path: str, **options: Unpack[RequestOptions]) -> Response:
        """Sends a request, and returns the response that a client would get: 404 and 405 if no route matches.

        `path` is what a client sends, percent-encoded; its query is in it, or in `query=`. The other options, and the
        exceptions, are those of `call`.
        """
        found = None if self._routes is None else self._routes.find(method, path.partition("?")[0])
        prepared = Call(self._handler, method, path, found if isinstance(found, Path) else None, **options)
        if isinstance(found, Response):
            return found
        context = self._start.copy()
        if prepared.handler.interface.lane != ASYNC:
            return context.run(prepared.run)
        return self._on_loop(context, prepared.handler.target, prepared.run_async)

    def get(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("GET", ...)`."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("POST", ...)`."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("PUT", ...)`."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("PATCH", ...)`."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("DELETE", ...)`."""
        return self.request("DELETE", path, **options)

    def head(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("HEAD", ...)`."""
        return self.request("HEAD", path, **options)

    def options(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("OPTIONS", ...)`."""
        return self.request("OPTIONS", path, **options)

    def _entries(self, init: Callable[[], Any] | str | Mapping[str, Any] | None) -> list[tuple[str, list[str]]]:
        if isinstance(init, str) or callable(init):
            return run_init(*self._plain(init, load_init, "init_signature"))
        return run_init("init", lambda: init)

    def _plain(
        self,
        given: Callable[[], Any] | str,
        load: Callable[[str, list[str]], tuple[Callable[[], Any], bool]],
        kind: str,
    ) -> tuple[str, Callable[[], Any]]:
        """A function without arguments: its name, and how it is called on this thread."""
        if isinstance(given, str):
            target, (function, is_async) = given, self._context.run(load, given, [])
        else:
            target, function, is_async = target_of(given), given, check_plain(target_of(given), given, kind)
        if is_async:
            return target, lambda: self._on_loop(self._context, target, function)
        return target, lambda: self._context.run(function)

    def _on_loop(self, context: Context, target: str, work: Callable[[], Awaitable[T]]) -> T:
        _refuse_running_loop(target)
        if not self._has_loop:
            self._has_loop = True
            # Without a `with` block nothing else closes it.
            weakref.finalize(self, self._runner.get_loop().close)
        return _run(self._runner, context, work)


def call(
    handler: Callable[..., Any] | str,
    method: str = "GET",
    path: str = "/",
    *,
    route: str | None = None,
    **options: Unpack[RequestOptions],
) -> Response:
    """Calls `handler`, a function or its target `"module:attribute"`, and returns the response a client would get.

    - `path`: as a client sends it, percent-encoded, with its query.
    - `route`: the pattern (`/hello/{name}`, `/hello/:name`, `/{*rest}`) that fills the params; none by default.
    - the other options of the request: `RequestOptions`.

    An `async def` handler, and an async iterator that it returns, run on their own event loop.

    Raises `ContractFailure` for a reply that the contract forbids, `LoadError` for a handler that the server would not
    start with, `ValueError` for a request that would not reach it, `TypeError` for arguments that make no request,
    `RuntimeError` for an async handler where an event loop runs already, and whatever the handler, its iterator or the
    iterator's `close()` raises.
    """
    prepared = _prepare(handler, method, path, route, options)
    context = Start().copy()
    if prepared.handler.interface.lane != ASYNC:
        return context.run(prepared.run)
    _refuse_running_loop(prepared.handler.target)
    with asyncio.Runner() as runner:
        return _run(runner, context, prepared.run_async)


async def acall(
    handler: Callable[..., Any] | str,
    method: str = "GET",
    path: str = "/",
    *,
    route: str | None = None,
    **options: Unpack[RequestOptions],
) -> Response:
    """`call` for tests that are `async def`: the same arguments, response and failures.

    An async handler runs on the loop of the test, in its own task and context; a plain one on another thread, as in the
    server.
    """
    prepared = _prepare(handler, method, path, route, options)
    context = Start().copy()
    if prepared.handler.interface.lane != ASYNC:
        return await asyncio.get_running_loop().run_in_executor(None, context.run, prepared.run)
    return await context.run(lambda: asyncio.ensure_future(prepared.run_async()))


def _prepare(
    handler: Callable[..., Any] | str, method: str, path: str, route: str | None, options: RequestOptions
) -> Call:
    return Call(Handler.load(handler), method, path, _find(route, path.partition("?")[0]), **options)


def _find(route: str | None, raw_path: str) -> Path | None:
    if route is None:
        return None
    try:
        pattern = Pattern(route)
    except ValueError as problem:
        raise ValueError(f'route "{route}": {problem}') from None
    return pattern.find(raw_path)


def _run(runner: asyncio.Runner, context: Context, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns on the loop of `runner`. What it raises comes without asyncio's own frames."""

    async def outcome() -> tuple[T, None] | tuple[None, Exception]:
        try:
            return await work(), None
        except Exception as error:
            return None, error

    result, error = runner.run(outcome(), context=context)
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def _refuse_running_loop(target: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"httpy_rs.testing cannot run {target}, which is async, where an event loop is running already: use "
        "`await httpy_rs.testing.acall(...)`, or a test that is no `async def`"
    )
