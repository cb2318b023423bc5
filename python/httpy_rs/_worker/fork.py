"""`Fork`: what becomes of a process that a handler forks: it must not answer, nor hold what belongs to its parent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from httpy_rs import _embed
from httpy_rs._exception import attempt
from httpy_rs._fork import begin_children
from httpy_rs._own import leave

set_handler = signal.signal


class Fork:
    """Whether this is such a child."""

    def __init__(self) -> None:
        self.is_child = False
        self._closes: list[Callable[[], Any]] = []

    def watch(self, closes: list[Callable[[], Any]]) -> None:
        """From now on a child closes its copies of what `closes` closes."""
        self._closes = closes
        begin_children(self._note)
        # After the hook of `threading`, which is imported by now.
        os.register_at_fork(after_in_child=_embed._mend_main_thread)

    def end_child(self, error: BaseException | None) -> NoReturn:
        """Ends the child as a program ends whose main function raised `error`, or returned.

        Runs nothing that is registered for the exit of the parent.
        """
        # App code may have taken away what prints.
        status = 0 if error is None else attempt(lambda: _status(error), 1)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # app code took it away, or closed it
                continue
        leave(status)

    def _note(self) -> None:
        self.is_child = True
        for close in self._closes:
            close()
        # As in any Python, unless the app has handlers of its own.
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) is leave_to_the_parent:
                set_handler(number, handler)


def leave_to_the_parent(number: int, frame: Any) -> None:
    """The handler of signals that go to all processes of a service: the parent drains, and ends its workers then."""


def _status(error: BaseException) -> int:
    if not isinstance(error, SystemExit):
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1
