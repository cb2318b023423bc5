"""`Guard`: keeps `DeadlineExceeded`, which the control thread raises in another thread, to the call it is meant for.

An exception that is sent to a thread arrives between any two steps of its Python code. So the thread says when a call
begins and ends, and takes back at the end what has not arrived; what must not be cut in two goes between `enter` and
`leave`, which is also what `httpy_rs.shield()` does. There are no locks here: a thread may be interrupted wherever it
is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from httpy_rs import _deadline
from httpy_rs._deadline import DeadlineExceeded
from httpy_rs._embed import pause
from httpy_rs._own import get_ident, sleep
from httpy_rs._worker.call import Call


class Guard:
    """What is known of one thread that runs handlers: a thread of plain handlers, or that of the event loop, which
    `httpy_rs.shield()` does nothing for."""

    __slots__ = ("_interrupting", "_is_shieldable", "_pending", "_shields", "_struck", "call", "thread")

    def __init__(self, *, is_shieldable: bool) -> None:
        self.thread = 0
        self.call: Call | None = None
        """What a thread of plain handlers does just now."""
        self._is_shieldable = is_shieldable
        self._shields = 0
        # It is about to be interrupted; it was, and that may not have arrived.
        self._interrupting = False
        self._struck = False
        # Whether it is still in the call that is to be interrupted when it leaves its shield.
        self._pending: Callable[[], bool] | None = None

    # For the thread itself.

    def begin_thread(self) -> None:
        """It is the calling one."""
        self.thread = get_ident()
        _guards[self.thread] = self

    def end(self) -> bool:
        """The call has ended; whatever was meant for it does not arrive any more. True, unless it arrives just here."""
        # The order matters: whoever interrupts says so before looking at the call.
        self.call = None
        if self._interrupting or self._struck or self._shields:
            while self._interrupting:
                sleep(0)
            if self._struck:
                _send(self.thread, None)
            self._struck, self._pending = False, None
            self._shields = 0
        return True

    def enter(self) -> None:
        """Until `leave`, nothing is raised. Raises what was on its way."""
        self._shields += 1
        if self._interrupting or self._struck:
            try:
                while self._interrupting:
                    sleep(0)
                pause()
                self._struck = False
            except DeadlineExceeded:
                self._shields -= 1
                raise

    def leave(self) -> None:
        """Raises `DeadlineExceeded` where that was held off, and this is the outermost one."""
        if self._shields == 0:
            return
        self._shields -= 1
        if self._shields == 0 and self._pending is not None:
            is_in_call, self._pending = self._pending, None
            if is_in_call():
                raise DeadlineExceeded

    def shield(self, enters: bool) -> None:
        """What `httpy_rs.shield()` does."""
        if self._is_shieldable and self.call is not None:
            if enters:
                self.enter()
            else:
                self.leave()

    # For the control thread.

    def strike(self, is_in_call: Callable[[], bool]) -> None:
        """Interrupts the thread, if it is still in the call."""
        self._interrupting = True
        if is_in_call():
            if self._shields == 0:
                self._struck = True
                _send(self.thread, DeadlineExceeded)
                if not is_in_call():
                    _send(self.thread, None)
            else:
                self._pending = is_in_call
        self._interrupting = False


_guards: dict[int, Guard] = {}


def uncut(work: Callable[..., object], *arguments: Any) -> None:
    """Calls `work`, and nothing is raised in this thread meanwhile."""
    guard = _guards.get(get_ident())
    if guard is None:
        work(*arguments)
        return
    guard.enter()
    try:
        work(*arguments)
    finally:
        guard.leave()


def connect() -> None:
    """Has `httpy_rs.shield()` hold off what is sent to the threads of plain handlers."""
    _deadline._enter = lambda: _shield(True)
    _deadline._leave = lambda: _shield(False)


def _shield(enters: bool) -> None:
    guard = _guards.get(get_ident())
    if guard is not None:
        guard.shield(enters)


def _send(thread: int, exception: type | None) -> None:
    try:
        import ctypes

        send: Any = ctypes.pythonapi.PyThreadState_SetAsyncExc
    except ImportError:
        return  # CPython without `ctypes`: nothing is interrupted
    send(ctypes.c_ulong(thread), None if exception is None else ctypes.py_object(exception))
