"""`Handler`: a thread that calls a function, as a handler is called, and is interrupted in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from httpy_rs import _interrupt
from httpy_rs._worker import trace

# Far more than anything takes: a test that would wait for ever fails instead.
LIMIT = 60.0

trace.connect()


class Handler(threading.Thread):
    """A thread that calls a function, as a handler is called."""

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self.is_inside = False
        self.result: object = None
        self.begins: Callable[[], object] = lambda: None

    def run(self) -> None:
        trace.note_thread()
        try:
            self.begins()
            self.is_inside = True
            self.result = self._function()
        except BaseException as error:
            self.result = error
        self.is_inside = False
        _interrupt.end()

    def strikes(self, raises: bool) -> bool | None:
        """As the server says of a call that is overdue."""
        return True if self.is_inside else None

    def interrupted(self) -> object:
        """What it ends with when it is interrupted again and again."""
        self.start()
        ends = time.monotonic() + LIMIT
        while self.is_alive() and time.monotonic() < ends:
            assert self.ident is not None
            _interrupt.interrupt(self.ident, self, self.strikes)
            self.join(0.05)
        assert not self.is_alive(), "it is never interrupted"
        return self.result


def run(handler: Handler, starts: bool = True) -> object:
    """What it ends with."""
    if starts:
        handler.start()
    handler.join(LIMIT)
    assert not handler.is_alive()
    return handler.result
