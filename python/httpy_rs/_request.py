"""`Request` and `request()`: what a handler can know of a request beyond its six arguments.

The server sets the current request as an opaque token. This file turns it into a `Request` when that is requested. Only
the server knows what the token holds (`_describe`).
"""

from __future__ import annotations

import time
from contextvars import ContextVar

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Client = tuple[str, int]
    Described = tuple[str, str | None, Client | None, str, str, float, str | None]

# Holds the server's token, or the `Request` that was made of it.
_current: ContextVar[object] = ContextVar("httpy_rs.request")

# Set by the server: from a token to target, route, client, scheme, HTTP version, seconds left, extras as JSON.
_describe: Callable[[object], Described] | None = None


class Request:
    """What is known of a request besides a handler's six arguments. Read-only."""

    __slots__ = ("_token", "_traceparents", "client", "deadline", "extras", "http_version", "route", "scheme", "target")

    target: str
    """Path and query as the client sent them, still percent-encoded: `/hello/a%20b?x=1`."""
    route: str | None
    """The pattern of the route that matched, `/hello/{name}`; `None` if no route matched."""
    client: tuple[str, int] | None
    """Address and port of the client. `None` if the server does not know them."""
    scheme: str
    """`http`, or the Rust program's value such as `https`; never that of the client's target."""
    http_version: str
    """`1.0`, `1.1` or `2`."""
    deadline: float | None
    """The `time.monotonic()` value, in seconds, at which the client gets its 504. `None` for no deadline."""
    extras: dict[str, Any]
    """Values from the Rust program about the request; clients cannot forge them."""

    def __init__(
        self,
        target: str,
        route: str | None,
        client: tuple[str, int] | None,
        scheme: str,
        http_version: str,
        deadline: float | None,
        extras: dict[str, Any],
    ) -> None:
        self.target = target
        self.route = route
        self.client = client
        self.scheme = scheme
        self.http_version = http_version
        self.deadline = deadline
        self.extras = extras
        # The server's own, for what changes while the request is handled.
        self._token: object = None
        # Those of a test's request.
        self._traceparents: Sequence[str] = ()

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{name}={getattr(self, name)!r}"
            for name in ("target", "route", "client", "scheme", "http_version", "deadline", "extras")
        )
        return f"Request({fields})"


def request() -> Request:
    """The request that is being handled in this context.

    A thread that the handler starts has its own context: call this before starting it, or run it in
    `contextvars.copy_context()`.

    Raises `RuntimeError` if no request is being handled here.
    """
    current = _current.get(None)
    if type(current) is Request:
        return current
    if current is None or _describe is None:
        raise RuntimeError(
            "httpy_rs.request() was called where no request is being handled: call it inside a handler, on the "
            "handler's own thread; a thread or a pool needs contextvars.copy_context().run(...), and a test "
            "httpy_rs.testing.call(...)"
        )
    target, route, client, scheme, http_version, seconds_left, extras_json = _describe(current)
    made = Request(
        target, route, client, scheme, http_version, time.monotonic() + seconds_left, _read_extras(extras_json)
    )
    made._token = current
    # The second ask in the same context finds the `Request` itself.
    _current.set(made)
    return made


def current_token() -> object:
    """The server's token of the request that is being handled in this context; `None` where there is none."""
    current = _current.get(None)
    return current._token if type(current) is Request else current


def _read_extras(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    import json  # only requests with extras pay for it

    extras: dict[str, Any] = json.loads(text)
    return extras
