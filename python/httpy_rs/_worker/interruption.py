"""`Guard`: one thread that runs handlers, and the call in which it is to be interrupted.

The control thread asks for an interruption. The thread raises `DeadlineExceeded` itself, if it is still in that call
(`httpy_rs._interrupt`), so it never meets another one. There are no locks here.
"""

from __future__ import annotations

from collections.abc import Callable

from httpy_rs import _deadline, _interrupt
from httpy_rs._deadline import DeadlineExceeded
from httpy_rs._own import get_ident
from httpy_rs._worker import trace
from httpy_rs._worker.wire import Call


class Guard:
    """One thread that runs handlers: a thread of plain handlers, or that of the event loop, which `httpy_rs.shield()`
    does nothing for."""

    __slots__ = ("_asked", "_is_shieldable", "_shields", "call", "thread")

    def __init__(self, *, is_shieldable: bool) -> None:
        self.thread = 0
        self.call: Call | None = None
        """What a thread of plain handlers does just now."""
        self._is_shieldable = is_shieldable
        self._shields = 0
        # The call that is to be interrupted.
        self._asked: Call | None = None

    # For the thread itself.

    def begin_thread(self) -> None:
        """It is the calling one."""
        self.thread = get_ident()
        _guards[self.thread] = self
        trace.note_thread()

    def end(self) -> None:
        """The call has ended: it is not interrupted any more."""
        # The order matters: whoever asks for an interruption says so before looking at the call.
        self.call = None
        self._shields = 0
        if self._asked is not None:
            self._asked = None
            _interrupt.end()

    def is_shielded(self) -> bool:
        """Whether it is in a shield of a call. From any thread."""
        return self.call is not None and self._shields > 0

    def shield(self, enters: bool) -> None:
        """What `httpy_rs.shield()` does."""
        if not self._is_shieldable or self.call is None:
            return
        if enters:
            self._shields += 1
        elif self._shields > 0:
            self._shields -= 1
            if self._shields == 0 and self._asked is self.call:
                self._asked = None
                raise DeadlineExceeded

    # For the control thread.

    def strike(self, call: Call, is_in_call: Callable[[], bool]) -> None:
        """Has the thread interrupted, if it is still in the call."""

        def strikes(raises: bool) -> bool | None:
            if self._asked is not call or not is_in_call():
                return None
            if self._shields > 0:
                return False
            if raises:
                self._asked = None
            return True

        self._asked = call
        if is_in_call():
            _interrupt.interrupt(self.thread, call, strikes)
        else:
            self._asked = None


_guards: dict[int, Guard] = {}


def connect() -> None:
    """Has `httpy_rs.shield()` hold off the interruptions of plain handlers."""
    _deadline._enter = lambda: _shield(True)
    _deadline._leave = lambda: _shield(False)
    trace.connect()


def _shield(enters: bool) -> None:
    guard = _guards.get(get_ident())
    if guard is not None:
        guard.shield(enters)
