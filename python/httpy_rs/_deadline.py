"""`DeadlineExceeded`, `shield()` and `remaining()`: what a handler hears of its deadline, and how it holds it off.

The server raises the exception and knows what the clock says (`_enter`, `_leave`, `_seconds_left`); without it nothing
is interrupted. What a request is stands in `_request`.
"""

from __future__ import annotations

import time

from httpy_rs import _request

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

# Set by the server. The first two count the shields of the call that runs on this thread, and do nothing on others.
_enter: Callable[[], None] | None = None
_leave: Callable[[], None] | None = None
# From the token of a request to the seconds until its deadline, if it has one.
_seconds_left: Callable[[object], float | None] | None = None


class DeadlineExceeded(BaseException):
    """Raised by the server inside a handler that still runs when its call's deadline has passed.

    The client has its 504 by then. The exception frees the worker: let it pass, after cleaning up. It derives from
    `BaseException`, so that `except Exception` does not stop it. A handler that catches it and goes on is interrupted
    again every second, until its worker is given up and replaced.

    It is raised where a function is called, or where a loop begins its next iteration. So a lock that was acquired is
    released where `with`, or a `try` directly after it, says so. It is never raised inside an import. Code that cleans
    up (a `finally`, the beginning and end of a `with`, a destructor) and library code get a second to end. Other code
    that must run as a whole goes into a `shield()`.

    Code other than Python is not interrupted before it returns: `time.sleep`, a query, a huge power, a compiled
    handler. Give such calls a timeout of their own; `remaining()` says which one. A handler that returns from such a
    call after its deadline has 0.1 s to end by itself.
    """

    def __str__(self) -> str:
        return super().__str__() or "the call's deadline has passed"


DeadlineExceeded.__module__ = "httpy_rs"


class _Shield:
    """What `shield()` gives."""

    __slots__ = ()

    def __enter__(self) -> None:
        if _enter is not None:
            _enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        if _leave is not None:
            _leave()


def shield() -> _Shield:
    """A context in which the handler is not interrupted by its deadline, for what must be done as a whole.

        with httpy_rs.shield():
            account.withdraw(amount)
            other.deposit(amount)

    A deadline that passes meanwhile is raised as `DeadlineExceeded` where the outermost shield is left. Shields nest.
    The client gets its 504 all the same, and a worker whose handler stays in one for too long is given up like any
    other.

    An `async def` handler is cancelled where it awaits, and nowhere else: it needs no shield but `asyncio.shield()`,
    and this one does nothing there.

    Holds for the thread that runs the handler, which is the only one that is ever interrupted; elsewhere, and in plain
    pytest, it does nothing.
    """
    return _Shield()


def remaining() -> float | None:
    """Seconds until the deadline of the request that is being handled in this context; never negative.

    In an iterator that is a reply's body, the time left for the next chunk. `None` where there is no deadline: outside
    of a request, in a thread without the request's context (`request()` says how a thread gets it), and for events with
    a heartbeat.
    """
    token = _request.current_token()
    if token is not None and _seconds_left is not None:
        return _seconds_left(token)
    current = _request._current.get(None)
    if type(current) is _request.Request and current.deadline is not None:
        return max(0.0, current.deadline - time.monotonic())
    return None
