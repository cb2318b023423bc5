"""The contract between the server and Python as types: aliases for the data, protocols for the functions.

Only for type checkers and readers; the rules themselves are kept in `httpy_rs._contract` and by the server.
"""

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from typing import Protocol, TypedDict

from httpy_rs._body import Body as RequestBody

__all__ = [
    "AsyncHandler",
    "Body",
    "BytesHandler",
    "Chunk",
    "Event",
    "Handler",
    "HeaderValue",
    "Headers",
    "Init",
    "Params",
    "Query",
    "Reply",
    "ReplyHeaders",
    "RouteMap",
    "Status",
    "StreamHandler",
]

Params = dict[str, list[str]]
"""What the route's pattern captured, percent-decoded: lists of one element."""

Query = dict[str, list[str]]
"""The decoded query; repeated keys in order, `?flag` as `{"flag": [""]}`."""

Headers = dict[str, list[str]]
"""The request's headers; names in canonical form (`X-Request-Id`), values as latin-1 text, repeated ones in order."""

Status = int
"""200 to 999, `http.HTTPStatus` too; never a `bool`."""

Chunk = str | bytes | bytearray | memoryview
"""A part of a body; text is sent as UTF-8."""

Body = Chunk | None | Iterator[Chunk] | AsyncIterator[Chunk]
"""The whole body, `None` for an empty one; or an iterator, whose chunks are sent one by one. An async one is for
`async def` handlers."""

HeaderValue = str | list[str] | tuple[str, ...]
"""One value of a header, or several, as latin-1 text."""

ReplyHeaders = dict[str, HeaderValue]
"""Header names to values, for headers that are built step by step."""

# `Mapping`, although only a `dict` is taken at run time: `dict` is invariant, so that `dict[str, str]` would not do.
Reply = tuple[Status, Body, Mapping[str, HeaderValue] | None]
"""What a handler returns: status, body, and a `dict` of headers or `None`."""

RouteMap = dict[str, list[str]]
"""Route pattern to methods: `{"/hello/:name": ["GET"]}`."""


class Event(TypedDict, total=False):
    """An event for `httpy_rs.sse()`, with at least one of these; a type needs data."""

    data: object
    """`str`; anything else is sent as JSON."""
    event: str
    """Its type; "message" by default."""
    id: str | int
    """What a client that reconnects sends as `Last-Event-ID`."""
    retry: int
    """Milliseconds after which a client reconnects."""
    comment: str
    """Clients ignore it."""


class Handler(Protocol):
    """A handler whose body is text: UTF-8, other bytes as lone surrogates (PEP 383)."""

    def __call__(self, method: str, path: str, params: Params, query: Query, headers: Headers, body: str, /) -> Reply:
        """Answers one request; may be called on several threads at once."""


class BytesHandler(Protocol):
    """A handler whose sixth parameter is annotated `bytes`: it gets the body as it was sent."""

    def __call__(self, method: str, path: str, params: Params, query: Query, headers: Headers, body: bytes, /) -> Reply:
        """Answers one request; may be called on several threads at once."""


class StreamHandler(Protocol):
    """A handler whose sixth parameter is annotated `httpy_rs.Body`: it reads the body while it arrives."""

    def __call__(
        self, method: str, path: str, params: Params, query: Query, headers: Headers, body: RequestBody, /
    ) -> Reply:
        """Answers one request; may be called on several threads at once."""


class AsyncHandler(Protocol):
    """A handler that is an `async def`; its body may be `bytes` too."""

    def __call__(
        self, method: str, path: str, params: Params, query: Query, headers: Headers, body: str, /
    ) -> Awaitable[Reply]:
        """Answers one request, on the event loop; many calls are under way at once."""


class Init(Protocol):
    """The function that is called once before any request, and names the routes."""

    def __call__(self) -> Mapping[str, list[str] | tuple[str, ...]] | None:
        """The routes to serve, as a `dict`; `None` for none."""
