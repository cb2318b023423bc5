"""`Outlet`: the sending end of one socket, shared by threads. Collects what may go together into one frame.

Whoever puts a message there flushes it before waiting for anything; what is overtaken in a handler is flushed by who
overtakes.

A flush never waits for another one. Between any two steps here the garbage collector can run a destructor, a signal its
handler, a debugger its trace function; each of them may log, and a log record is a message of this outlet. A message
that comes while a flush is under way, on this thread or another one, is sent by that flush.
"""

from __future__ import annotations

import _socket
from collections import deque
from collections.abc import Callable

from httpy_rs._own import Lock, leave, monotonic
from httpy_rs._worker.frame import Message, Oversize, frame

# So many messages, or so many seconds, are kept for the sake of one frame.
MOST = 16
LONGEST = 0.0002


class Outlet:
    """Sends messages in the order in which they were put."""

    def __init__(self, sending: _socket.socket, in_place_of: Callable[[Message], Message | None]) -> None:
        self._socket = sending
        # What is sent for a message that cannot be.
        self._in_place_of = in_place_of
        self._waiting: deque[Message] = deque()
        # Held by the flush that is under way.
        self._sending = Lock()
        self._since = 0.0

    def begin(self, now: float) -> None:
        """From now on messages are collected."""
        self._since = now

    def put(self, message: Message) -> None:
        """Sends it soon: with others, or at the next `flush`."""
        self._waiting.append(message)
        if len(self._waiting) >= MOST or monotonic() - self._since > LONGEST:
            self.flush()

    def send(self, message: Message) -> None:
        """Sends it now, behind those that wait."""
        self._waiting.append(message)
        self.flush()

    def flush(self) -> None:
        """Sends what waits, or leaves it to the flush that is under way. When the parent has gone, ends the process."""
        # Looked at again after the release: a message that came meanwhile was left to this flush.
        while self._waiting and self._sending.acquire(False):
            try:
                self._send_waiting()
            finally:
                self._sending.release()

    def settle(self, limit: float) -> None:
        """As `flush`, but waits for the flush that is under way, for `limit` seconds at most."""
        if self._sending.acquire(timeout=limit):
            # Not after the release: another thread's flush could take what waits, and be late to send it.
            try:
                self._send_waiting()
            finally:
                self._sending.release()
        self.flush()

    def _send_waiting(self) -> None:
        waiting = self._waiting
        messages = [waiting.popleft() for _ in range(len(waiting))]
        if not messages:
            return
        self._since = monotonic()
        try:
            for piece in self._frames(messages):
                self._socket.sendall(piece)
        except OSError:
            leave(0)

    def _frames(self, messages: list[Message]) -> list[bytes]:
        try:
            return [frame(messages)]
        except (Oversize, ValueError):
            return [piece for message in messages for piece in self._alone(message)]

    def _alone(self, message: Message) -> list[bytes]:
        try:
            return [frame([message])]
        except (Oversize, ValueError):
            instead = self._in_place_of(message)
            return [] if instead is None else [frame([instead])]
