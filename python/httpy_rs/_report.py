"""`report`: shows an exception that a handler has not caught to the app's own tools, which listen to Python's log and
to its hooks for exceptions.

The server's own log has the exception anyway: the bridge from Python's log to it passes over these records.
"""

from __future__ import annotations

import logging
import sys
import threading

from httpy_rs._deadline import DeadlineExceeded
from httpy_rs._exception import type_name_of, unraisable, user_frames

LOGGER = "httpy_rs"

_logger = logging.getLogger(LOGGER)
# Where the app has no handler either, logging's last resort would print it.
_logger.addHandler(logging.NullHandler())


def report(target: str, error: BaseException) -> None:
    """To be called in the context of the call. Never raises."""
    kind, frames = type(error), user_frames(error)
    # The server's doing, both: the deadline is over, or nobody waits for the call any more.
    if kind is DeadlineExceeded or (kind.__name__ == "CancelledError" and kind.__module__ == "asyncio.exceptions"):
        return
    try:
        _logger.error("%s raised %s", target, type_name_of(kind), exc_info=(kind, error, frames))
        _call_hook(kind, error, frames)
    except DeadlineExceeded:
        return
    except BaseException as raised:
        unraisable(raised)


def _call_hook(kind: type[BaseException], error: BaseException, frames: object) -> None:
    """As the end of a thread does. CPython's own hooks only print."""
    hook = threading.excepthook
    if hook is not threading.__excepthook__:
        hook(threading.ExceptHookArgs((kind, error, frames, threading.current_thread())))
    elif sys.excepthook is not sys.__excepthook__:
        sys.excepthook(kind, error, frames)  # type: ignore[arg-type]
