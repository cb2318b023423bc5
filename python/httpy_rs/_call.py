"""`Call`: one call of a handler without a server, from its request to its `Response`.

For `httpy_rs.testing`, which decides on which loop or thread it runs.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from httpy_rs import _request
from httpy_rs._arguments import RequestHeaders, arguments
from httpy_rs._chunk import Chunks, aclose, close
from httpy_rs._contract import CheckedReply, body_stream, check_reply
from httpy_rs._load import check_handler, load_handler
from httpy_rs._pattern import Pattern
from httpy_rs._response import Response, ResponseHeaders
from httpy_rs._signature import is_async
from httpy_rs._upload import Sent, Upload


class Call:
    """A handler with its arguments, which are those of `httpy_rs.testing.call`."""

    def __init__(
        self,
        handler: Callable[..., Any] | str,
        method: str,
        path: str,
        route: str | None,
        headers: RequestHeaders,
        body: Sent,
        sent_json: Any,
        extras: Mapping[str, Any] | None,
        client: tuple[str, int] | None,
        scheme: str,
        http_version: str,
        deadline: float | None,
        traceparent: str | None,
        leave_after: int | None,
    ) -> None:
        if isinstance(handler, str):
            self.target = handler
            self._function, self._wants, self.is_async = load_handler(handler, [])
        else:
            self.target, self._function = _target(handler), handler
            self._wants, self.is_async = check_handler(self.target, handler), is_async(handler)
        pattern = None if route is None else Pattern(route)
        if sent_json is not ...:
            if body != b"":
                raise TypeError("both body= and json= were given: a request has one body")
            body = json.dumps(sent_json, allow_nan=False)
        self._upload = Upload(body)
        sent = b"" if self._wants == "stream" else self._upload.whole()
        self._given = arguments(method, path, pattern, headers, sent, wants_bytes=self._wants == "bytes")
        if sent_json is not ...:
            self._given.headers.setdefault("Content-Type", ["application/json"])
        known: dict[str, Any] = json.loads(json.dumps(dict(extras or {})))
        self._request = _request.Request(
            path,
            None if pattern is None else pattern.template,
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
            result = self._function(*self._arguments())
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
            result = self._function(*self._arguments())
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
        if self._wants != "stream":
            return self._given
        return (*self._given[:5], self._upload.body(is_async=self.is_async))

    def _checked(self, result: object) -> CheckedReply:
        return check_reply(self.target, self._given.method, result, is_async=self.is_async)

    def _chunks(self, reply: CheckedReply) -> Chunks:
        return Chunks(self.target, reply.length, self._leave_after)


def _response(reply: CheckedReply, chunks: Chunks) -> Response:
    whole: list[bytes] = [reply.body] if reply.body else []
    received = whole if reply.stream is None else chunks.received
    return Response(reply.status, ResponseHeaders(reply.headers), received, reply.warnings)


def _target(handler: Any) -> str:
    """`module:qualname` of a function; of its type where it has no name of its own, like a partial."""
    named = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{named.__module__}:{named.__qualname__}"
