"""`Exchange`: one request of an ASGI application in a worker process, as `httpy_rs._interface.exchange` describes it.

All of it happens on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from httpy_rs._body import BodyError
from httpy_rs._interface.message import Headers
from httpy_rs._worker import wire
from httpy_rs._worker.async_stream import AsyncSending
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.frame import PART
from httpy_rs._worker.outlet import Outlet
from httpy_rs._worker.reply import cut
from httpy_rs._worker.running import Running
from httpy_rs._worker.upload import Receiving


class Exchange:
    """See `httpy_rs._interface.exchange.Exchange`, also for the methods that are not documented here."""

    def __init__(
        self,
        connection: Connection,
        outlet: Outlet,
        running: Running,
        sending: Callable[[], AsyncSending],
        completed: Callable[[Running], None],
    ) -> None:
        """`completed` is called when the reply is complete, before the end of the task."""
        self._connection = connection
        self._outlet = outlet
        self._running = running
        self._make_sending = sending
        self._note_completed = completed
        call = running.call
        self.scope: dict[str, Any] = call.params
        self.body: bytes = call.body
        self.is_whole = True
        self._receiving: Receiving | None = call.receiving
        if self._receiving is not None and call.body is wire.STREAMED:
            self.body, self.is_whole = b"", False
            self._receiving.open(call, connection.give_back)
            self._receiving.wake = self._feed
        elif self._receiving is not None:
            self.body = self._receiving.decoded("bytes")
        self._chunk: asyncio.Future[bytes | None] | None = None
        self._left: asyncio.Future[None] | None = None
        self.has_answered = False
        """Its reply has begun, so that a failure is not the answer."""
        self.is_complete = False
        """Nothing follows of its reply."""
        self.fault: tuple[int, str] | None = None
        """Status and text: why the rest of the request's body did not come, once the application has seen that."""

    def next_chunk(self) -> asyncio.Future[bytes | None]:
        self._chunk = asyncio.get_running_loop().create_future()
        self._feed()
        return self._chunk

    def left(self) -> asyncio.Future[None]:
        self._left = asyncio.get_running_loop().create_future()
        if self.is_gone():
            self.leave()
        return self._left

    def is_gone(self) -> bool:
        return self._running.call.gone

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        self._begin_reply()
        rest: bytes | None = body
        if len(body) > PART:
            for piece in cut(body):
                self._outlet.put(wire.part(self._running.call.number, piece))
            rest = None
        self._complete(wire.app(status, headers, rest), self._running.times or [])

    def begin(self, status: int, headers: Headers) -> None:
        self._begin_reply()
        sending = self._running.sending = self._make_sending()
        sending.begin(is_limited=True)
        sending.say(wire.app_head(status, headers), self._running.times or [])

    def write(self, chunk: bytes) -> bool | asyncio.Future[bool]:
        sending = self._running.sending
        return sending is not None and sending.write_item(chunk)

    def end(self) -> None:
        self._connection.unforked(None)
        if self._running.sending is not None:
            self._running.sending.put_rest()
        self._complete(wire.COMPLETE, [])

    # For the lane.

    def leave(self) -> None:
        """The client has left."""
        future = self._left
        if future is not None and not future.done():
            future.set_result(None)

    def _begin_reply(self) -> None:
        self._connection.unforked(None)
        self.has_answered = True
        self._running.stamp()
        self._running.stamp()
        self._connection.settle_log(self._running.call)

    def _complete(self, said: wire.Said, times: list[float]) -> None:
        self._outlet.put(wire.about(self._running.call.number, said, times))
        self.is_complete = True
        if self._receiving is not None:
            self._receiving.close()
        self._note_completed(self._running)

    def _feed(self) -> None:
        future = self._chunk
        if future is None or future.done() or self._receiving is None:
            return
        try:
            found = self._receiving.take()
        except (BodyError, RuntimeError) as error:
            self.fault = self._receiving.fault
            future.set_exception(error)
            return
        if found is not None:
            future.set_result(found[0])
