"""`prepare`: lets `breakpoint()` wait for the developer, or refuses it where nobody could type.

Works on `bdb`, which `pdb` and most other debuggers for the terminal are made of. A debugger that brings its own input,
such as one that listens on a port, is never refused.
"""

from __future__ import annotations

import os
import sys

from httpy_rs import _request

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType
    from typing import Any

# Set by the server. The first takes the deadline away from the call of this token, if its app is in debug, and says
# whether it is. The second is why a debugger is refused that reads the standard input of a server without a terminal.
_stop_clock: Callable[[object], bool] | None = None
refusal: str | None = None

WITHOUT_TERMINAL = (
    "a debugger reads the standard input, and this server has no terminal: start it in one, or use a debugger that "
    "listens on a port"
)
IN_WORKER = (
    "a debugger reads the standard input, which is empty in a worker process: run handlers on threads while you debug "
    "(Executor::threads()), or use a debugger that listens on a port"
)


def prepare(bdb: ModuleType) -> None:
    """Changes what every debugger begins with."""
    debugger: Any = bdb.Bdb
    plain = debugger.set_trace

    def set_trace(self: Any, frame: FrameType | None = None) -> Any:
        is_debug = _begin()
        if refusal is not None and getattr(self, "stdin", sys.stdin) is sys.stdin and not _can_read(is_debug):
            raise RuntimeError(refusal)
        return plain(self, sys._getframe(1) if frame is None else frame)

    debugger.set_trace = set_trace


def _begin() -> bool:
    """Takes the deadline away from the call of this context; whether its app is in debug."""
    token = _request.current_token()
    return token is not None and _stop_clock is not None and _stop_clock(token)


def _can_read(is_debug: bool) -> bool:
    """Whether somebody may type: at a terminal; in debug, also through what is no terminal."""
    try:
        descriptor = sys.stdin.fileno()
        if os.isatty(descriptor) or not is_debug:
            return os.isatty(descriptor)
        return os.fstat(descriptor).st_rdev != os.stat(os.devnull).st_rdev
    except (AttributeError, OSError, ValueError):
        # None, or an object of the app's own.
        return sys.stdin is not None
