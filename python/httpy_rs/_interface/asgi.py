"""`App`: an ASGI app as the server calls it, once for each request and once for each WebSocket.

All of it happens on the thread of the event loop that runs the app's lifespan. The order of messages is kept here. How
a scope is made, what HTTP allows in a reply, how it is sent, and time limits are up to the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from httpy_rs._body import BodyError
from httpy_rs._contract import WITHOUT_BODY
from httpy_rs._interface.exchange import ClientGone, Exchange
from httpy_rs._interface.lifespan import Lifespan
from httpy_rs._interface.message import Headers, ProtocolError, body_of, head_of, kind_of, quote
from httpy_rs._interface.websocket import Socket, describe

_START, _BODY = "http.response.start", "http.response.body"
# How far a reply is: no message has come; its head waits for the first body message; its head was sent; all of its
# `Content-Length` was sent; the last message has come.
_NEW, _HELD, _OPEN, _WHOLE, _LAST = range(5)


class App:
    """One ASGI app."""

    def __init__(self, target: str, app: Callable[..., Awaitable[object]]) -> None:
        self._app = app
        self.lifespan = Lifespan(target, app)

    async def __call__(self, exchange: Exchange) -> None:
        """Runs one request. Raises what the app raises, and `ProtocolError` if it returns without a complete reply.

        If the client has left, or the rest of the request's body does not arrive, it may return without a reply.
        """
        scope = exchange.scope
        scope["state"] = self.lifespan.state.copy()
        call: _Call | Socket
        if scope["type"] == "websocket":
            describe(scope)
            call = Socket(exchange)
        else:
            call = _Call(exchange)
        try:
            result = await self._app(scope, call.receive, call.send)
            call.check_returned(result)
        finally:
            call.close()

    async def startup(self) -> None:
        """Waits for the start of the app. Raises `LifespanError` if the app reports that it has failed."""
        await self.lifespan.startup()

    async def shutdown(self) -> None:
        """Waits for the end of the app. Raises `LifespanError` if it has failed."""
        await self.lifespan.shutdown()


class _Call:
    """What an app receives and sends for one request."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        # The app may change its scope.
        self._is_head = exchange.scope["method"] == "HEAD"
        # How far the request was received, and whether its client is known to have left, and the app too.
        self._has_begun = self._is_read = self._is_gone = self._is_told = False
        self._chunk: asyncio.Future[bytes | None] | None = None
        self._left: asyncio.Future[None] | None = None
        # How far the reply was sent.
        self._stage = _NEW
        self._status = 0
        self._headers: Headers = []
        self._length: int | None = None
        self._sent = 0
        # Of the last chunk that had no room.
        self._taken: asyncio.Future[bool] | None = None
        # Is done when the reply is complete; made by what waits for that.
        self._complete: asyncio.Future[None] | None = None

    async def receive(self) -> dict[str, Any]:
        """The app's `receive`."""
        exchange = self._exchange
        if not self._has_begun and self._stage < _WHOLE:
            self._has_begun, self._is_read = True, exchange.is_whole
            return _request(exchange.body, not exchange.is_whole)
        while self._stage < _WHOLE and not self._has_left():
            if self._is_read:
                left = self._left = self._left or exchange.left()
                await self._wait(left)
                self._is_gone = self._is_gone or left.done()
                continue
            # One that a cancelled `receive()` has waited for is the next one's.
            if self._chunk is None:
                self._chunk = exchange.next_chunk()
                self._chunk.add_done_callback(_note)
            chunk = self._chunk
            await self._wait(chunk)
            if chunk is not self._chunk or not chunk.done():
                continue
            self._chunk = None
            try:
                body = chunk.result()
            except BodyError:
                self._is_gone = True
                continue
            self._is_read = body is None
            return _request(body or b"", body is not None)
        if self._is_told:
            # An app that asks for ever does not keep the event loop.
            await asyncio.sleep(0)
        self._is_told = True
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """The app's `send`."""
        stage, exchange = self._stage, self._exchange
        # What follows a complete reply is not for the client, which may have left after it.
        if (self._is_gone or exchange.is_gone()) and stage != _WHOLE:
            raise ClientGone("the client has left")
        kind = kind_of(message)
        if kind != (_START if stage == _NEW else _BODY) or stage == _LAST:
            raise _unexpected(kind, stage)
        if stage == _NEW:
            self._status, self._headers, self._length = head_of(message)
            self._stage = _HELD
            return
        body, is_last = body_of(message)
        is_whole = is_last
        if self._length is not None:
            self._count(self._length, len(body), is_last)
            is_whole = is_last or self._sent >= self._length
        if stage == _HELD and (is_whole or not self._has_body()):
            exchange.answer(self._status, self._headers, body if self._has_body() else b"")
            is_whole = True
        elif stage != _WHOLE:
            await self._stream(body, is_whole)
        elif not is_last:
            # Dropped. A stream that never ends does not keep the event loop.
            await asyncio.sleep(0)
        if is_whole:
            self._stage = _LAST if is_last else max(self._stage, _WHOLE)
            self._note_complete()

    def check_returned(self, result: object) -> None:
        """Raises `ProtocolError` if the app has returned too early."""
        if self._stage >= _WHOLE or self._has_left():
            return
        done = ("sending a response", "a body after http.response.start", "completing its response")[self._stage]
        returned = "" if result is None else f" ({type(result).__name__})"
        raise ProtocolError(f"the app returned{returned} without {done}")

    def close(self) -> None:
        """The app has ended: tasks of its own that still wait for a message hear that the client has left."""
        if self._stage < _WHOLE:
            self._is_gone = True
            self._note_complete()
            if self._taken is not None and not self._taken.done():
                self._taken.set_result(False)

    async def _stream(self, body: bytes, is_whole: bool) -> None:
        exchange = self._exchange
        if self._stage == _HELD:
            exchange.begin(self._status, self._headers)
            self._stage = _OPEN
        if body:
            # Another task may wait for room.
            while self._taken is not None and not self._taken.done():
                await self._wait(self._taken)
                if self._stage != _OPEN or self._has_left():
                    raise ClientGone("the client has left, or has all of the response")
            taken = exchange.write(body)
            if not isinstance(taken, bool):
                self._taken = taken
                taken = await taken
            if not taken:
                self._is_gone = True
                raise ClientGone("the client has left")
        # While it was awaited, another task may have completed the reply.
        if is_whole and self._stage == _OPEN:
            exchange.end()

    def _note_complete(self) -> None:
        if self._complete is not None and not self._complete.done():
            self._complete.set_result(None)

    def _count(self, length: int, size: int, is_last: bool) -> None:
        sent = self._sent + size
        if self._has_body() and (sent > length or (is_last and sent < length)):
            found = f"{sent} bytes" if is_last else f"{sent} bytes or more"
            raise ProtocolError(f"the body has {found}: expected {length}, as its Content-Length says")
        self._sent = sent

    def _has_body(self) -> bool:
        return not self._is_head and self._status not in WITHOUT_BODY

    def _has_left(self) -> bool:
        return self._is_gone or self._exchange.is_gone()

    async def _wait(self, future: asyncio.Future[Any]) -> None:
        """Waits until the future is done or the reply is complete. Does not cancel the future."""
        if future.done():
            return
        if self._complete is None:
            self._complete = future.get_loop().create_future()
        await asyncio.wait((future, self._complete), return_when=asyncio.FIRST_COMPLETED)


def _note(chunk: asyncio.Future[Any]) -> None:
    """asyncio logs an exception that is never read: the app may have stopped to wait for this chunk."""
    if not chunk.cancelled():
        chunk.exception()


def _request(body: bytes, more_body: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more_body}


def _unexpected(kind: str, stage: int) -> ProtocolError:
    if stage == _LAST:
        return ProtocolError(f"send() got {quote(kind)} after the last message of the response")
    expected = _START if stage == _NEW else _BODY
    if kind in (_START, _BODY):
        return ProtocolError(f"send() got {quote(kind)} out of order: expected {quote(expected)}")
    hint = ", because scope['extensions'] does not have it" if kind.startswith("http.response.") else ""
    return ProtocolError(f"send() got {quote(kind)}: expected {quote(expected)}{hint}")
