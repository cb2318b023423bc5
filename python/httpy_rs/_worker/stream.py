"""`Sending`: the chunks of one reply on their way, as far as the parent has room for them; `send`: a plain handler's
iterator, from its first chunk to its `close()`.

There are no locks that the control thread waits for: the handler's thread may be interrupted anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from httpy_rs._chunk import close
from httpy_rs._contract import ContractFailure
from httpy_rs._own import Lock, monotonic
from httpy_rs._report import report
from httpy_rs._worker import wire
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.frame import Message
from httpy_rs._worker.outlet import Outlet
from httpy_rs._worker.reply import Answer, chunk, cut
from httpy_rs._worker.wire import Call

WINDOW = 256 * 1024  # bytes that may be on their way


class Stalled(Exception):
    """The client has taken nothing for too long."""


class Sending:
    """One reply's chunks."""

    def __init__(self, outlet: Outlet, call: Call) -> None:
        self._outlet = outlet
        self._call = call
        # Each is counted by one thread only.
        self._sent = 0
        self._taken = 0
        # Locked while there is nothing to look at.
        self._bell = Lock()
        self.wake: Callable[[], object] = self._ring
        """Called when there may be room, or nobody wants any more."""

    # For the control thread.

    def credit(self, size: int) -> None:
        """So many bytes were taken."""
        self._taken += size
        self.wake()

    # For the thread of the handler.

    def room(self) -> int:
        """So many bytes may be sent."""
        return WINDOW - (self._sent - self._taken)

    def say(self, said: wire.Said, times: Sequence[float]) -> None:
        """Sends a message about the call."""
        self._outlet.send(wire.about(self._call.number, said, times))

    def put(self, piece: bytes) -> None:
        """Sends a piece for which there is room."""
        self._sent += len(piece)
        self._outlet.send(wire.part(self._call.number, piece))

    def write(self, data: bytes, limit: float) -> bool:
        """Sends a chunk, and waits until there is room for more; false when nobody wants any more. Raises `Stalled`."""
        for piece in cut(data):
            if not self._wait(len(piece), limit):
                return False
            self.put(piece)
        return self._wait(1, limit)

    def _wait(self, size: int, limit: float) -> bool:
        until = monotonic() + limit if self.room() < size else 0.0
        while not self._call.gone and self.room() < size:
            left = until - monotonic()
            if left <= 0.0:
                raise Stalled
            self._bell.acquire(timeout=left)
        return not self._call.gone

    def _ring(self) -> None:
        with suppress(RuntimeError):  # it rings already
            self._bell.release()


def send(connection: Connection, sending: Sending, call: Call, reply: Answer, times: list[float]) -> Message:
    """Sends the head of a reply, the chunks of its body, and closes that: the message that ends the reply."""
    limit = call.chunk_timeout
    chunk_limit = limit if reply.heartbeat is None else None
    fault: wire.Said | None = None
    closing = None
    begin_chunk(call, chunk_limit)
    connection.settle_log(call)
    sending.say(reply.said, times)
    if reply.allows_body(call.method) and not call.gone:
        fault = _iterate(connection, sending, call, reply.stream, chunk_limit)
    begin_chunk(call, limit)
    try:
        close(reply.stream)
        connection.unforked(None)
    except BaseException as error:
        connection.unforked(error)
        closing = raised_closing(connection, call, error)
    return wire.about(call.number, wire.end(fault, closing))


def _iterate(
    connection: Connection, sending: Sending, call: Call, body: Any, chunk_limit: float | None
) -> wire.Said | None:
    """Sends chunks until there is none, or nobody wants any more; why it broke off."""
    limit, number = call.chunk_timeout, 0
    target = connection.targets[call.handler].name
    try:
        while True:
            number += 1
            try:
                item = next(body)
            except StopIteration:
                connection.unforked(None)
                return None
            connection.unforked(None)
            if not sending.write(chunk(target, item, number), limit):
                return None
            begin_chunk(call, chunk_limit)
    except Stalled:
        return wire.INTERRUPTED
    except ContractFailure as failure:
        return wire.bad_chunk(failure.what)
    except BaseException as error:
        connection.unforked(error)
        return raised(connection, call, error)


def raised(connection: Connection, call: Call, error: BaseException) -> wire.Said:
    """What is said of a call that has raised: what happened to the client's upload, where `error` says just that.

    In the context of the call, as code of the app may hear of it, too.
    """
    fault = None if call.receiving is None else call.receiving.fault_behind(error)
    if fault is not None:
        return wire.broke_off(*fault)
    report(connection.targets[call.handler].name, error)
    return wire.raised(connection.exception(error))


def raised_closing(connection: Connection, call: Call, error: BaseException) -> wire.Described:
    """What is said of a body whose `close()` has raised; likewise."""
    report(connection.targets[call.handler].name, error)
    return connection.exception(error)


def fill(times: list[float], call: Call) -> None:
    """A call that has raised has come no further than where it did."""
    while 0 < len(times) < 3:
        times.append(monotonic() - call.received)


def begin_chunk(call: Call, limit: float | None) -> None:
    """From now on the handler has its time for one more chunk, or as long as it likes."""
    call.due = None if limit is None else monotonic() + limit
