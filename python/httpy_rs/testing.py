"""`call`: a handler called in plain pytest, under the server's rules, without a server.

    from httpy_rs.testing import call
    from worker import go_request

    def test_says_hello():
        response = call(go_request, path="/hello/you", route="/hello/:target")
        assert response.status == 200
        assert response.text == "hello you"

It calls `async def` handlers too, and reads bodies that are iterators to their end; `acall` is for tests that are
`async def` themselves. What only a server can do is not here: limits of bodies, deadlines, queues, heartbeats, and the
answer 500 to a failure, which is raised instead. The arguments' rules stand in `_arguments`, those of the reply in
`_contract` and `_chunk`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from httpy_rs._arguments import RequestHeaders
from httpy_rs._call import Call
from httpy_rs._context import Start
from httpy_rs._contract import ContractFailure
from httpy_rs._event_stream import ReceivedEvent, ReceivedEvents
from httpy_rs._load import LoadError
from httpy_rs._response import Response, ResponseHeaders
from httpy_rs._upload import Sent

__all__ = [
    "ContractFailure",
    "LoadError",
    "ReceivedEvent",
    "ReceivedEvents",
    "Response",
    "ResponseHeaders",
    "acall",
    "call",
]


def call(
    handler: Callable[..., Any] | str,
    method: str = "GET",
    path: str = "/",
    *,
    route: str | None = None,
    headers: RequestHeaders = None,
    body: Sent = b"",
    json: Any = ...,
    extras: Mapping[str, Any] | None = None,
    client: tuple[str, int] | None = ("127.0.0.1", 50000),
    scheme: str = "http",
    http_version: str = "1.1",
    deadline: float | None = 30.0,
    traceparent: str | None = None,
    leave_after: int | None = None,
) -> Response:
    """Calls `handler`, a function or its target `"module:attribute"`, and returns the response a client would get.

    - `path`: as a client sends it, percent-encoded, with its query.
    - `route`: the pattern (`/hello/{name}`, `/hello/:name`, `/{*rest}`) that fills the params; none by default.
    - `headers`: name to one value or a list of values, or pairs of name and value; only `Host` is added.
    - `body`: `str` is sent as UTF-8. An iterable of `str` or `bytes` is sent in these chunks, which is what a handler
      sees that reads an `httpy_rs.Body`; what the iterable raises, `httpy_rs.BodyError` for one, is raised there.
    - `json`: sent as JSON in place of `body`, with `Content-Type: application/json` unless `headers` has another one.
    - `extras`, `client`, `scheme`, `http_version`: what `httpy_rs.request()` tells; extras pass through JSON as they do
      in the server.
    - `deadline`: seconds from now until the deadline that `httpy_rs.request()` and `httpy_rs.remaining()` tell; nothing
      is interrupted.
    - `traceparent`: a header line more, which `httpy_rs.trace_context()` reads.
    - `leave_after`: the client leaves when it has got so many chunks of a body that is an iterator, and the iterator is
      closed: what never ends needs this. By default the client stays to the end.

    An `async def` handler, and an async iterator that it returns, run on an event loop of their own.

    Raises `ContractFailure` for a reply that the contract forbids, `LoadError` for a handler that the server would not
    start with, `ValueError` for a request that would not reach it, `TypeError` for arguments that make no request,
    `RuntimeError` for an async handler where an event loop runs already, and whatever the handler, its iterator or the
    iterator's `close()` raises.
    """
    prepared = Call(
        handler,
        method,
        path,
        route,
        headers,
        body,
        json,
        extras,
        client,
        scheme,
        http_version,
        deadline,
        traceparent,
        leave_after,
    )
    if not prepared.is_async:
        return Start().copy().run(prepared.run)
    if _is_loop_running():
        raise RuntimeError(
            f"httpy_rs.testing.call cannot run {prepared.target}, which is async, where an event loop is running "
            "already: use `await httpy_rs.testing.acall(...)`, with the same arguments"
        )
    return Start().copy().run(lambda: asyncio.run(prepared.run_async()))


async def acall(
    handler: Callable[..., Any] | str,
    method: str = "GET",
    path: str = "/",
    *,
    route: str | None = None,
    headers: RequestHeaders = None,
    body: Sent = b"",
    json: Any = ...,
    extras: Mapping[str, Any] | None = None,
    client: tuple[str, int] | None = ("127.0.0.1", 50000),
    scheme: str = "http",
    http_version: str = "1.1",
    deadline: float | None = 30.0,
    traceparent: str | None = None,
    leave_after: int | None = None,
) -> Response:
    """`call` for tests that are `async def`: the same arguments, response and failures.

    An async handler runs on the loop of the test, in a task and a context of its own; a plain one beside it on another
    thread, as in the server.
    """
    prepared = Call(
        handler,
        method,
        path,
        route,
        headers,
        body,
        json,
        extras,
        client,
        scheme,
        http_version,
        deadline,
        traceparent,
        leave_after,
    )
    context = Start().copy()
    if not prepared.is_async:
        return await asyncio.get_running_loop().run_in_executor(None, context.run, prepared.run)
    return await context.run(lambda: asyncio.ensure_future(prepared.run_async()))


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
