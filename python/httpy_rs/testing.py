"""`call`: a handler called in plain pytest, under the server's rules, without a server.

    from httpy_rs.testing import call
    from worker import go_request

    def test_says_hello():
        response = call(go_request, path="/hello/you", route="/hello/:target")
        assert response.status == 200
        assert response.text == "hello you"

What only a server can do is not here: limits of bodies, deadlines, queues, and the answer 500 to a failure, which is
raised instead. The arguments' rules stand in `_arguments`, those of the reply in `_contract`.
"""

from __future__ import annotations

import contextvars
import json
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from httpy_rs import _request
from httpy_rs._arguments import RequestHeaders, arguments
from httpy_rs._contract import ContractFailure, check_reply
from httpy_rs._event_stream import ReceivedEvent
from httpy_rs._load import LoadError, check_handler, load_handler
from httpy_rs._pattern import Pattern

__all__ = ["ContractFailure", "LoadError", "ReceivedEvent", "Response", "ResponseHeaders", "call"]


class ResponseHeaders:
    """The headers of a response, in order; names in any case."""

    def __init__(self, lines: List[Tuple[str, str]]) -> None:
        self._lines = lines

    def get(self, name: str, default: Optional[str] = None) -> Optional[str]:
        """The first value of `name`, or `default`."""
        return next(iter(self.get_list(name)), default)

    def get_list(self, name: str) -> List[str]:
        """All values of `name` in order; empty when there is no such header."""
        return [value for other, value in self._lines if other.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        for value in self.get_list(name):
            return value
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_list(name))

    def __iter__(self) -> Iterator[Tuple[str, str]]:
        """Name and value of each line, names as the handler spelt them."""
        return iter(self._lines)

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    def __repr__(self) -> str:
        return f"ResponseHeaders({self._lines!r})"


class Response:
    """What a client would get. `Content-Length` is among the headers where the handler gave it, and for `HEAD`."""

    __slots__ = ("body", "headers", "status", "warnings")

    def __init__(self, status: int, headers: ResponseHeaders, body: bytes, warnings: List[str]) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.warnings = warnings
        """What the server would warn about in its log, without the target's name."""

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not UTF-8 as lone surrogates (PEP 383)."""
        return self.body.decode("utf-8", "surrogateescape")

    def json(self) -> Any:
        """The body read as JSON; raises `ValueError` when it is none."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"Response(status={self.status}, headers={self.headers!r}, body={self.body!r})"


def call(
    handler: Union[Callable[..., Any], str],
    method: str = "GET",
    path: str = "/",
    *,
    route: Optional[str] = None,
    headers: RequestHeaders = None,
    body: Union[str, bytes] = b"",
    extras: Optional[Mapping[str, Any]] = None,
    client: Optional[Tuple[str, int]] = ("127.0.0.1", 50000),
    scheme: str = "http",
    http_version: str = "1.1",
    deadline: Optional[float] = 30.0,
) -> Response:
    """Calls `handler`, a function or its target `"module:attribute"`, and returns the response a client would get.

    - `path`: as a client sends it, percent-encoded, with its query.
    - `route`: the pattern (`/hello/{name}`, `/hello/:name`, `/{*rest}`) that fills the params; none by default.
    - `headers`: name to one value or a list of values, or pairs of name and value; only `Host` is added.
    - `body`: `str` is sent as UTF-8.
    - `extras`, `client`, `scheme`, `http_version`: what `httpy_rs.request()` tells; extras pass through JSON as they do
      in the server.
    - `deadline`: seconds from now until the deadline that `httpy_rs.request()` and `httpy_rs.remaining()` tell; nothing
      is interrupted.

    Raises `ContractFailure` for a reply that the contract forbids, `LoadError` for a handler that the server would not
    start with, `ValueError` for a request that would not reach it, and whatever the handler raises.
    """
    if isinstance(handler, str):
        target = handler
        function, wants, _ = load_handler(target, [])
    else:
        target, function = _target(handler), handler
        wants = check_handler(target, function)
    pattern = None if route is None else Pattern(route)
    given = arguments(method, path, pattern, headers, body, wants_bytes=wants == "bytes")
    known: Dict[str, Any] = json.loads(json.dumps(dict(extras or {})))
    request = _request.Request(
        path,
        None if pattern is None else pattern.template,
        client,
        scheme,
        http_version,
        None if deadline is None else time.monotonic() + deadline,
        known,
    )

    def run() -> object:
        _request._current.set(request)
        return function(*given)

    reply = check_reply(target, method, contextvars.Context().run(run))
    return Response(reply.status, ResponseHeaders(reply.headers), reply.body, reply.warnings)


def _target(handler: Any) -> str:
    """`module:qualname` of a function; of its type where it has no name of its own, like a partial."""
    named = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{named.__module__}:{named.__qualname__}"
