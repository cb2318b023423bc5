"""What a handler can ask about its call: `httpy_rs.request()`, `remaining()`, `client_gone()` and `trace_context()`. A
`Call` is the token of its request.
"""

from __future__ import annotations

from collections.abc import Sequence

from httpy_rs import _client, _deadline, _request, _trace_context
from httpy_rs._own import monotonic
from httpy_rs._worker.wire import Call


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
    left = call.received + call.seconds - monotonic()
    return call.target, call.route, call.client, call.scheme, call.version, max(0.0, left), call.extras


def _is_gone(token: object) -> bool:
    return _checked(token).gone


def _seconds_left(token: object) -> float | None:
    due = _checked(token).due
    return None if due is None else max(0.0, due - monotonic())


def _traceparents(token: object) -> Sequence[str]:
    call = _checked(token)
    if call.trace is not None:
        return [call.trace]
    return () if call.headers is None else call.headers.get("Traceparent", ())


def _checked(token: object) -> Call:
    if type(token) is not Call:
        raise TypeError("not a request's token")
    return token
