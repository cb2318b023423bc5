"""`Outlet`: the sending end of one socket, shared by threads. Collects what may go together into one frame.

Whoever puts a message there flushes it before waiting for anything; what is overtaken in a handler is flushed by who
overtakes.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable
from threading import Lock
from time import monotonic

from httpy_rs._worker.frame import Message, Oversize, frame

# So many messages, or so many seconds, are kept for the sake of one frame.
MOST = 16
LONGEST = 0.0002


class Outlet:
    """Sends messages in the order in which they were put."""

    def __init__(self, sending: socket.socket, in_place_of: Callable[[Message], Message | None]) -> None:
        self._socket = sending
        # What is sent for a message that cannot be.
        self._in_place_of = in_place_of
        self._waiting: deque[Message] = deque()
        self._lock = Lock()
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
        """Sends what waits. When the parent has gone, that ends the process."""
        waiting = self._waiting
        if not waiting:
            return
        with self._lock:
            messages = [waiting.popleft() for _ in range(len(waiting))]
            if not messages:
                return
            self._since = monotonic()
            try:
                for piece in self._frames(messages):
                    self._socket.sendall(piece)
            except OSError:
                os._exit(0)

    def settle(self) -> None:
        """As `flush`; and what another thread is about to send is sent, too, before the process may end."""
        self.flush()
        with self._lock:
            pass

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
