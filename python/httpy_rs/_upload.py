"""`Upload`: a request's body as a test gives it, read through the `Body` or `AsyncBody` that a handler asks for.

For `httpy_rs.testing`. It holds handlers to what the server does: a body is read on the handler's thread, and while
its call runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from httpy_rs._body import AsyncBody, Body

__tracebackhide__ = True  # pytest leaves the frames of this file out

CHUNK = (str, bytes, bytearray, memoryview)
Chunk = str | bytes | bytearray | memoryview
Sent = Chunk | Iterable[Chunk]


class Upload:
    """The chunks of one request."""

    def __init__(self, sent: Sent) -> None:
        # Iterated, a mapping would send its keys.
        if not isinstance(sent, CHUNK) and (isinstance(sent, Mapping) or not isinstance(sent, Iterable)):
            raise TypeError(
                f"the request's body is {type(sent).__name__}: expected str, bytes, or an iterable of these; "
                "json= sends a value as JSON"
            )
        self._chunks = _chunks(sent)
        self._thread: int | None = None
        self._ended = False

    def whole(self) -> bytes:
        """All of them at once, for handlers that want them so."""
        return b"".join(self._chunks)

    def body(self, *, is_async: bool) -> Body | AsyncBody:
        """What a handler reads them from; its thread is the one that calls this."""
        self._thread = threading.get_ident()
        return AsyncBody(self._anext) if is_async else Body(self._next)

    def end(self) -> None:
        """The call has ended."""
        self._ended = True

    def _next(self) -> bytes | None:
        if threading.get_ident() != self._thread:
            raise RuntimeError("the request's body was read on another thread than its handler's")
        if self._ended:
            raise RuntimeError("the request's body was read after its call had ended")
        return next(self._chunks, None)

    async def _anext(self) -> bytes | None:
        return self._next()


def _chunks(sent: Sent) -> Iterator[bytes]:
    """What was given as bytes, nothing empty."""
    given: Iterable[Any] = [sent] if isinstance(sent, CHUNK) else sent
    for number, chunk in enumerate(given, start=1):
        if not isinstance(chunk, CHUNK):
            raise TypeError(f"chunk {number} of the request's body is {type(chunk).__name__}: expected str or bytes")
        data = chunk.encode("utf-8", "surrogateescape") if isinstance(chunk, str) else bytes(chunk)
        if data:
            yield data
