"""`DeadlineExceeded`, `shield()` and `remaining()`: how a handler learns of its deadline, and delays it.

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

    The client already has its 504. The exception frees the worker: clean up, and do not catch it. It derives from
    `BaseException`, so that `except Exception` does not catch it. A handler that catches it and continues is
    interrupted again every second, until its worker is given up and replaced.

    It is raised where a function is called, or where a loop begins its next iteration. So a lock that was acquired is
    released by its `with`, or by a `try` directly after it. It is never raised inside an import. Code that cleans up (a
    `finally`, the beginning and end of a `with`, a destructor) and library code have one second to end. Put other code
    that must not be interrupted into a `shield()`.

    Code other than Python is not interrupted before it returns: `time.sleep`, a query, a huge power, a compiled
    handler. Give such calls a timeout, for example `remaining()`. A handler that returns from such a call after its
    deadline has 0.1 s to end by itself.
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
    """A context in which the deadline does not interrupt the handler, for code that must run completely.

        with httpy_rs.shield():
            account.withdraw(amount)
            other.deposit(amount)

    If the deadline passes meanwhile, `DeadlineExceeded` is raised where the outermost shield is left. Shields nest. The
    client gets its 504 at the deadline, and a worker whose handler stays in a shield for too long is given up like any
    other.

    An `async def` handler is only cancelled where it awaits: use `asyncio.shield()` there; this one has no effect.

    It applies to the thread that runs the handler, which is the only one that is ever interrupted. On other threads,
    and in plain pytest, it has no effect.
    """
    return _Shield()


def remaining() -> float | None:
    """Seconds until the deadline of the request that is being handled in this context; never negative.

    In an iterator that is a reply's body, the time left for the next chunk. `None` if there is no deadline: outside
    of a request, in a thread without the request's context (see `request()`), and for events with a heartbeat.
    """
    token = _request.current_token()
    if token is not None and _seconds_left is not None:
        return _seconds_left(token)
    current = _request._current.get(None)
    if type(current) is _request.Request and current.deadline is not None:
        return max(0.0, current.deadline - time.monotonic())
    return None
