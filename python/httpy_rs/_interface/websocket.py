"""`Socket`: what an ASGI app receives and sends for one WebSocket.

Until the app has accepted, this is a request that waits for its reply; the app can refuse it with a reply of its own.
After that, messages go both ways, each as soon as there is room for it. Frames, pings and the close handshake are up to
the server.
"""

from __future__ import annotations

import asyncio
from typing import Any

from httpy_rs._body import BodyError
from httpy_rs._interface.exchange import ClientGone, Exchange
from httpy_rs._interface.message import (
    Headers,
    ProtocolError,
    accepted_headers,
    body_of,
    close_of,
    data_of,
    head_of,
    kind_of,
    quote,
)
from httpy_rs._interface.message_stream import CLOSE, TEXT, Messages, decode_close, encode, encode_close

_ACCEPT, _SEND, _CLOSE = "websocket.accept", "websocket.send", "websocket.close"
_START, _BODY = "websocket.http.response.start", "websocket.http.response.body"
# How far the app is: it has not answered; the head of its refusal waits for a body; that body has begun; messages go
# both ways; nothing is left to send.
_NEW, _HELD, _REFUSING, _OPEN, _DONE = range(5)
_EXPECTED = (
    f"{_ACCEPT}, {_CLOSE} or {_START}",
    _BODY,
    _BODY,
    f"{_SEND} or {_CLOSE}",
    "no more messages",
)
_SWITCHING = 101
_FORBIDDEN = 403
_NORMAL, _NO_STATUS, _ABNORMAL = 1000, 1005, 1006


def describe(scope: dict[str, Any]) -> None:
    """Adds to the scope what only a WebSocket has."""
    lines = (value.decode("latin-1") for name, value in scope["headers"] if name == b"sec-websocket-protocol")
    # As the client offers them, its favourite first.
    scope["subprotocols"] = [name for line in lines for name in map(str.strip, line.split(",")) if name]
    scope["extensions"] = {"websocket.http.response": {}}


class Socket:
    """The `receive` and `send` of one WebSocket."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._messages = Messages()
        self._has_connected = False
        self._chunk: asyncio.Future[bytes | None] | None = None
        # What tasks wait by for a chunk, or for the end.
        self._waiters: set[asyncio.Future[None]] = set()
        # Code and reason, once the socket is closed; a client that is known to have left has closed it.
        self._closed: tuple[int, str] | None = None
        self._is_told = False
        self._stage = _NEW
        # The head of a refusal.
        self._head: tuple[int, Headers] = (_FORBIDDEN, [])
        # Of the last message that had no room.
        self._taken: asyncio.Future[bool] | None = None

    async def receive(self) -> dict[str, Any]:
        """The app's `receive`."""
        if not self._has_connected:
            self._has_connected = True
            return {"type": "websocket.connect"}
        while self._closed is None:
            message = self._messages.take()
            if message is None:
                await self._read()
            elif message[0] == CLOSE:
                self._settle(*decode_close(message[1]))
            elif message[0] == TEXT:
                return {"type": "websocket.receive", "text": message[1].decode()}
            else:
                return {"type": "websocket.receive", "bytes": message[1]}
        if self._is_told:
            # An app that asks for ever does not keep the event loop.
            await asyncio.sleep(0)
        self._is_told = True
        code, reason = self._closed
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    async def send(self, message: Any) -> None:
        """The app's `send`."""
        kind, stage = kind_of(message), self._stage
        if stage != _DONE and self._has_left():
            if stage == _OPEN and kind == _CLOSE:
                # It closes what is closed, as it may, for example in a `finally`.
                self._close(_NORMAL, "")
                return
            raise ClientGone("the client has left")
        if stage == _NEW and kind == _ACCEPT:
            self._exchange.begin(_SWITCHING, accepted_headers(message))
            self._stage = _OPEN
        elif stage == _OPEN and kind == _SEND:
            await self._write(encode(*data_of(message)))
        elif stage == _NEW and kind == _CLOSE:
            # A refusal has no code and no reason, whatever they are.
            self._exchange.answer(_FORBIDDEN, [], b"")
            self._end(_ABNORMAL, "")
        elif stage == _OPEN and kind == _CLOSE:
            self._close(*close_of(message))
        elif stage == _NEW and kind == _START:
            status, headers, _ = head_of(message)
            self._head, self._stage = (status, headers), _HELD
        elif stage in (_HELD, _REFUSING) and kind == _BODY:
            await self._refuse(*body_of(message))
        else:
            raise ProtocolError(f"send() got {quote(kind)} out of order: expected {_EXPECTED[stage]}")

    def check_returned(self, result: object) -> None:
        """Raises `ProtocolError` if the app has returned too early. Closes a socket that it has left open."""
        if self._stage == _OPEN:
            self._close(_NORMAL, "")
        elif self._stage != _DONE and not self._has_left():
            returned = "" if result is None else f" ({type(result).__name__})"
            raise ProtocolError(f"the app returned{returned} without sending {_EXPECTED[self._stage]}")

    def close(self) -> None:
        """The app has ended: tasks of its own that still wait hear that the client has left."""
        self._end(_ABNORMAL, "")

    def _close(self, code: int, reason: str) -> None:
        # There is always room for one more.
        self._exchange.write(encode_close(code, reason))
        self._exchange.end()
        self._end(code, reason)

    def _end(self, code: int, reason: str) -> None:
        """Nothing is sent any more."""
        self._stage = _DONE
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(False)
        self._settle(code, reason)

    def _settle(self, code: int, reason: str) -> None:
        """Nothing is received any more."""
        self._closed = self._closed or (code, reason)
        self._wake()

    def _wake(self, chunk: asyncio.Future[bytes | None] | None = None) -> None:
        if chunk is not None and not chunk.cancelled():
            # asyncio logs an exception that is never read: the app may have stopped to wait for this chunk.
            chunk.exception()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _refuse(self, body: bytes, is_last: bool) -> None:
        status, headers = self._head
        if self._stage == _HELD and is_last:
            self._exchange.answer(status, headers, body)
        else:
            if self._stage == _HELD:
                self._exchange.begin(status, headers)
                self._stage = _REFUSING
            if body:
                await self._write(body)
            if is_last:
                self._exchange.end()
        if is_last:
            self._end(_ABNORMAL, "")

    async def _write(self, data: bytes) -> None:
        # Another task may wait for room.
        while self._taken is not None and not self._taken.done():
            await asyncio.wait((self._taken,))
            if self._stage == _DONE or self._has_left():
                raise ClientGone("the client has left")
        taken = self._exchange.write(data)
        if not isinstance(taken, bool):
            self._taken = taken
            await taken
        # Not looked at: a client that has got this message may leave at once, which is no failure of it.

    async def _read(self) -> None:
        """Waits for a chunk, or for the end. Cancelled, it takes no chunk with it: the next one waits for the same."""
        chunk = self._chunk
        if chunk is None:
            chunk = self._chunk = self._exchange.next_chunk()
            chunk.add_done_callback(self._wake)
        if not chunk.done():
            waiter = chunk.get_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
        if chunk is not self._chunk or not chunk.done():
            return
        self._chunk = None
        try:
            came = chunk.result()
        except BodyError:
            came = None
        if came is not None:
            self._messages.feed(came)
        else:
            # The connection was lost: 1005 where no code has come, as ASGI has it and uvicorn does.
            self._settle(_NO_STATUS if self._stage == _OPEN else _ABNORMAL, "")

    def _has_left(self) -> bool:
        return self._exchange.is_gone() or (self._stage == _OPEN and self._closed is not None)
