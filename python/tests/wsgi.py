"""The server's side of a WSGI app for tests, and what an app returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from httpy_rs._body import Body
from httpy_rs._interface.message import ProtocolError
from httpy_rs._interface.wsgi import App

LINES = [(b"a", b"b")]
LENGTH_3 = [("Content-Length", "3")]


class Chunks:
    """What an app returns: these chunks, or what is raised in place of one."""

    def __init__(self, *chunks: Any, close: BaseException | None = None) -> None:
        self.chunks = list(chunks)
        self.closed = 0
        self.error = close

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self.chunks:
            raise StopIteration
        chunk = self.chunks.pop(0)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


def scope(method: str = "GET", **items: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 81),
        **items,
    }


def body(*chunks: bytes) -> Body:
    left = [*chunks, None]
    return Body(lambda: left.pop(0) if left else None)


def environ(*chunks: bytes, **items: Any) -> dict[str, Any]:
    """What an app gets for this scope and this body."""
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    App("shop:app", app)(scope(**items), body(*chunks))
    return seen[0]


def reply(
    result: Any, headers: Any = None, status: Any = "200 OK", method: str = "GET"
) -> tuple[int, Any, list[bytes]]:
    """The status and headers of what an app returns, and its chunks as they are sent."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [("A", "b")] if headers is None else headers)
        return result

    return sent(app, method)


def sent(app: Callable[..., Any], method: str = "GET") -> tuple[int, Any, list[bytes]]:
    """The same of an app."""
    number, lines, content = App("shop:app", app)(scope(method), body())
    if isinstance(content, bytes):
        return number, lines, [content]
    chunks: list[Any] = ["streamed"]
    try:
        chunks.extend(content)
    finally:
        content.close()  # type: ignore[attr-defined]
    return number, lines, chunks


def refused(app: Callable[..., Any]) -> str:
    with pytest.raises(ProtocolError) as caught:
        sent(app)
    return str(caught.value)
