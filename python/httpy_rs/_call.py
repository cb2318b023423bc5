"""`Call`: one call of a handler without a server, from its request to its `Response`.

For `httpy_rs.testing`, which decides on which loop or thread it runs.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from json import dumps, loads
from typing import Any, NamedTuple, TypedDict

from httpy_rs import _request
from httpy_rs._arguments import Pairs, arguments, with_query
from httpy_rs._chunk import Chunks, aclose, close
from httpy_rs._contract import CheckedReply, body_stream, check_reply
from httpy_rs._interface import ASYNC, Interface
from httpy_rs._load import check_handler, load_handler
from httpy_rs._pattern import Path
from httpy_rs._response import Response, ResponseHeaders
from httpy_rs._upload import Sent, Upload

__tracebackhide__ = True  # pytest leaves the frames of this file out


class RequestOptions(TypedDict, total=False):
    """What a test may say of a request beside its method and its path."""

    query: Pairs
    """Added to the path, encoded: name to one value or a list of values, or pairs of name and value."""
    headers: Pairs
    """Name to one value or a list of values, or pairs of name and value; only `Host` is added."""
    body: Sent
    """`str` is sent as UTF-8. An iterable of `str` or `bytes` is sent in these chunks, which is what a handler sees
    that reads an `httpy_rs.Body`; what the iterable raises, `httpy_rs.BodyError` for one, is raised there."""
    json: Any
    """Sent as JSON in place of `body`, with `Content-Type: application/json` unless `headers` has another one."""
    extras: Mapping[str, Any] | None
    """What `httpy_rs.request().extras` holds; passes through JSON, as it does in the server."""
    client: tuple[str, int] | None
    """The client's address and port; 127.0.0.1 and 50000 by default."""
    scheme: str
    """`http` by default."""
    http_version: str
    """`1.1` by default."""
    deadline: float | None
    """Seconds from now until the deadline that `httpy_rs.request()` and `httpy_rs.remaining()` return, 30 by default;
    nothing is interrupted."""
    traceparent: str | None
    """One more header line, which `httpy_rs.trace_context()` reads."""
    leave_after: int | None
    """The client leaves after this number of chunks of a body that is an iterator, and the iterator is closed: what
    never ends needs this. By default the client stays to the end."""


class Handler(NamedTuple):
    """A checked handler; `target` is its name in messages."""

    target: str
    function: Callable[..., Any]
    interface: Interface

    @classmethod
    def load(cls, given: Callable[..., Any] | str) -> Handler:
        """The handler that is given by its target, or itself; raises `LoadError` where the server would not start."""
        if isinstance(given, str):
            return cls(given, *load_handler(given, []))
        target = target_of(given)
        return cls(target, given, check_handler(target, given))


class Call:
    """A call of `handler`. `route` is what `path` matched; the other arguments are those of `RequestOptions`."""

    def __init__(
        self,
        handler: Handler,
        method: str,
        path: str,
        route: Path | None,
        *,
        query: Pairs = None,
        headers: Pairs = None,
        body: Sent = b"",
        json: Any = ...,
        extras: Mapping[str, Any] | None = None,
        client: tuple[str, int] | None = ("127.0.0.1", 50000),
        scheme: str = "http",
        http_version: str = "1.1",
        deadline: float | None = 30.0,
        traceparent: str | None = None,
        leave_after: int | None = None,
    ) -> None:
        self.handler = handler
        if json is not ...:
            if body != b"":
                raise TypeError("both body= and json= were given: a request has one body")
            body = dumps(json, allow_nan=False)
        self._upload = Upload(body)
        sent = b"" if handler.interface.body == "stream" else self._upload.whole()
        path = with_query(path, query)
        self._given = arguments(method, path, route, headers, sent, wants_bytes=handler.interface.body == "bytes")
        if json is not ...:
            self._given.headers.setdefault("Content-Type", ["application/json"])
        known: dict[str, Any] = loads(dumps(dict(extras or {})))
        self._request = _request.Request(
            path,
            None if route is None else route.template,
            client,
            scheme,
            http_version,
            None if deadline is None else time.monotonic() + deadline,
            known,
        )
        given = self._given.headers.get("Traceparent", [])
        self._request._traceparents = [*given, *([] if traceparent is None else [traceparent])]
        if traceparent is not None:
            self._given.headers["Traceparent"] = list(self._request._traceparents)
        self._leave_after = leave_after

    def run(self) -> Response:
        """Calls a plain handler. The context that this runs in is the request's."""
        _request._current.set(self._request)
        try:
            result = self.handler.function(*self._arguments())
            try:
                reply = self._checked(result)
                chunks = self._chunks(reply)
                if reply.stream is not None:
                    chunks.collect(reply.stream)
            finally:
                close(body_stream(result))
        finally:
            self._upload.end()
        return _response(reply, chunks)

    async def run_async(self) -> Response:
        """Calls an async handler. The task's context is the request's."""
        _request._current.set(self._request)
        try:
            result = self.handler.function(*self._arguments())
            if inspect.isawaitable(result):
                result = await result
            try:
                reply = self._checked(result)
                chunks = self._chunks(reply)
                if reply.stream is not None:
                    await chunks.acollect(reply.stream)
            finally:
                await aclose(body_stream(result))
        finally:
            self._upload.end()
        return _response(reply, chunks)

    def _arguments(self) -> tuple[Any, ...]:
        if self.handler.interface.body != "stream":
            return self._given
        return (*self._given[:5], self._upload.body(is_async=self.handler.interface.lane == ASYNC))

    def _checked(self, result: object) -> CheckedReply:
        return check_reply(
            self.handler.target, self._given.method, result, is_async=self.handler.interface.lane == ASYNC
        )

    def _chunks(self, reply: CheckedReply) -> Chunks:
        return Chunks(self.handler.target, reply.length, self._leave_after)


def target_of(function: Any) -> str:
    """`module:qualname` of a function; of its type where it has no name of its own, like a partial."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _response(reply: CheckedReply, chunks: Chunks) -> Response:
    whole: list[bytes] = [reply.body] if reply.body else []
    received = whole if reply.stream is None else chunks.received
    return Response(reply.status, ResponseHeaders(reply.headers), received, reply.warnings)
