"""`Chunks`: how a body that is an iterator is driven to its end and closed, for `httpy_rs.testing`.

The server does the same in Rust. What a chunk may be, and whether there may be such a body, is judged in `_contract`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from httpy_rs._contract import ContractFailure, is_async_iterator, read_chunk

__tracebackhide__ = True  # pytest leaves the frames of this file out


class Chunks:
    """The chunks that a client gets of one body. Reads no more of them than `leave_after`, where that is given."""

    def __init__(self, target: str, length: int | None, leave_after: int | None) -> None:
        self.received: list[bytes] = []
        self._target = target
        self._length = length
        self._leave_after = leave_after
        self._yielded = 0
        self._bytes = 0

    def collect(self, stream: Any) -> None:
        """Iterates to the end, or until the client leaves. Raises `ContractFailure`, and what the iterator raises."""
        while self._client_stays():
            try:
                chunk = next(stream)
            except StopIteration:
                return self._end()
            self._add(chunk)
        return None

    async def acollect(self, stream: Any) -> None:
        """`collect` for an async iterator, and for a plain one of an async handler."""
        if not is_async_iterator(stream):
            return self.collect(stream)
        if hasattr(type(stream), "__aiter__"):
            stream = type(stream).__aiter__(stream)
        while self._client_stays():
            try:
                chunk = await type(stream).__anext__(stream)
            except StopAsyncIteration:
                return self._end()
            self._add(chunk)
        return None

    def _client_stays(self) -> bool:
        return self._leave_after is None or len(self.received) < self._leave_after

    def _add(self, chunk: object) -> None:
        self._yielded += 1
        sent = read_chunk(self._target, chunk, self._yielded)
        self._bytes += len(sent)
        if self._length is not None and self._bytes > self._length:
            self._fail(f"more than {self._length} bytes: expected as many as its Content-Length says")
        # HTTP has no empty chunks.
        if sent:
            self.received.append(sent)

    def _end(self) -> None:
        if self._length is not None and self._bytes < self._length:
            self._fail(f"{self._bytes} bytes in all: expected {self._length}, as its Content-Length says")

    def _fail(self, what: str) -> NoReturn:
        raise ContractFailure(self._target, "yielded", "stream_length", what)


def close(stream: Any) -> None:
    """Calls `close()` of an iterator that has it."""
    method = getattr(stream, "close", None)
    if method is not None:
        method()


async def aclose(stream: Any) -> None:
    """Calls `aclose()` of an async iterator that has it, `close()` of a plain one."""
    if not is_async_iterator(stream):
        return close(stream)
    method = getattr(stream, "aclose", None)
    if method is not None:
        await method()
    return None
