"""`Call`: one call of a handler, and the server's end of what the handler can ask about it: `httpy_rs.request()`,
`remaining()`, `client_gone()` and `trace_context()`. A call is the token of its request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from httpy_rs import _client, _deadline, _request, _trace_context
from httpy_rs._own import monotonic
from httpy_rs._worker.frame import Broken, Message

# The lanes, as messages name them.
SYNC = "sync"
ASYNC = "async"


class Call:
    """One job that has come, until it is answered."""

    __slots__ = ("due", "gone", "job", "lane", "number", "received", "receiving", "sending")

    def __init__(self, lane: str, job: Message, received: float) -> None:
        if len(job) != 9:
            raise Broken(f"a job of {len(job)} items")
        self.lane = lane
        self.number: int = job[0]
        self.job = job
        self.received = received
        # Nobody waits for its answer any more.
        self.gone = False
        # When it, or its next chunk, is to be there; `None` for no limit.
        self.due: float | None = received + job[8][5]
        # The streams of its request and of its reply, where it has them.
        self.receiving: Any = None
        self.sending: Any = None


def connect() -> None:
    """Has the functions that handlers call ask calls."""
    _request._describe = _describe
    _client._is_gone = _is_gone
    _deadline._seconds_left = _seconds_left
    _trace_context._traceparents = _traceparents


def current() -> Call | None:
    """The call whose request is handled in this context."""
    token = _request.current_token()
    return token if type(token) is Call else None


def _describe(
    token: object,
) -> tuple[str, str | None, tuple[str, int] | None, str, str, float, str | None]:
    call = _checked(token)
    target, route, client, scheme, version, seconds, extras, _, _, _ = call.job[8]
    left = call.received + seconds - monotonic()
    return target, route, client, scheme, version, max(0.0, left), extras


def _is_gone(token: object) -> bool:
    return _checked(token).gone


def _seconds_left(token: object) -> float | None:
    due = _checked(token).due
    return None if due is None else max(0.0, due - monotonic())


def _traceparents(token: object) -> Sequence[str]:
    job = _checked(token).job
    trace: str | None = job[8][7]
    if trace is not None:
        return [trace]
    lines: Sequence[str] = job[6].get("Traceparent", ())
    return lines


def _checked(token: object) -> Call:
    if type(token) is not Call:
        raise TypeError("not a request's token")
    return token
