"""`AsyncSending`: the chunks of a reply on their way from the event loop. How a body is iterated there, and closed,
stands in `httpy_rs._event_loop.send`, which hands its chunks over here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from httpy_rs._contract import ContractFailure
from httpy_rs._own import monotonic
from httpy_rs._worker import wire
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.outlet import Outlet
from httpy_rs._worker.reply import chunk, cut
from httpy_rs._worker.stream import Sending, begin_chunk
from httpy_rs._worker.wire import Call


class AsyncSending(Sending):
    """One reply's chunks. All of it happens on the loop's thread."""

    def __init__(
        self, connection: Connection, outlet: Outlet, call: Call, event_loop: asyncio.AbstractEventLoop, turn: float
    ) -> None:
        super().__init__(outlet, call)
        self.fault: wire.Said | None = None
        """Why it stops, where the body does not know by itself."""
        self._connection = connection
        self._target = connection.targets[call.handler].name
        self._loop = event_loop
        self._limit = call.chunk_timeout
        self._chunk_limit: float | None = self._limit
        self._number = 0
        self._pieces: deque[bytes] = deque()
        self._waits: asyncio.Future[bool] | None = None
        # Since when the body has let nobody else run, and how long it may.
        self._since = monotonic()
        self._turn = turn
        self.wake = self._go_on

    def begin(self, is_limited: bool) -> None:
        """The first chunk may come."""
        self._chunk_limit = self._limit if is_limited else None
        begin_chunk(self._call, self._chunk_limit)

    def write_item(self, *items: Any) -> bool | asyncio.Future[bool]:
        """Takes what the body has yielded, nothing at its end: whether to go on, or what to wait for to know it."""
        self._connection.unforked(None)
        if not items:
            # It has as long to close as it had for a chunk.
            begin_chunk(self._call, self._limit)
            return False
        (item,) = items
        self._number += 1
        try:
            self._pieces.extend(cut(chunk(self._target, item, self._number)))
        except ContractFailure as failure:
            self.fault = wire.bad_chunk(failure.what)
            return False
        begin_chunk(self._call, self._chunk_limit)
        self._pump()
        if self._call.gone:
            return False
        if self._has_room() and monotonic() - self._since < self._turn:
            return True
        future = self._waits = self._loop.create_future()
        if self._has_room():
            # Others come first.
            self._loop.call_soon(self._go_on)
        return future

    def put_rest(self) -> None:
        """Sends what was written, room or not: the body is complete."""
        while self._pieces and not self._call.gone:
            self.put(self._pieces.popleft())

    def _go_on(self) -> None:
        self._pump()
        future = self._waits
        if future is None or not (self._has_room() or self._call.gone):
            return
        self._waits = None
        self._since = monotonic()
        begin_chunk(self._call, self._chunk_limit)
        if not future.done():
            future.set_result(not self._call.gone)

    def _pump(self) -> None:
        while self._pieces and not self._call.gone and len(self._pieces[0]) <= self.room():
            self.put(self._pieces.popleft())

    def _has_room(self) -> bool:
        return not self._pieces and self.room() > 0
