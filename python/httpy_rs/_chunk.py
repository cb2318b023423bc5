"""`Chunks`: what a body that is an iterator may yield, and how it is driven to its end and closed.

The server has its own copy of the rules in Rust. For `httpy_rs.testing`; whether there may be such a body at all is
judged in `_contract`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from httpy_rs._contract import NO_BYTE, PEP_383, ContractFailure, exact, is_async_iterator, is_binary, type_name

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
        sent = self._sent(chunk)
        self._bytes += len(sent)
        if self._length is not None and self._bytes > self._length:
            self._fail(f"more than {self._length} bytes: expected as many as its Content-Length says")
        # HTTP has no empty chunks.
        if sent:
            self.received.append(sent)

    def _sent(self, chunk: Any) -> bytes:
        if issubclass(type(chunk), str):
            text = exact(chunk)
            bad = NO_BYTE.search(text)
            if bad:
                self._fail(
                    f"a str with U+{ord(bad.group()):04X} at index {bad.start()} (chunk {self._yielded}): {PEP_383}"
                )
            return text.encode("utf-8", "surrogateescape")
        if not is_binary(chunk):
            self._fail(f"{type_name(chunk)} (chunk {self._yielded}): expected str, bytes, bytearray or memoryview")
        return memoryview(chunk).tobytes()

    def _end(self) -> None:
        if self._length is not None and self._bytes < self._length:
            self._fail(f"{self._bytes} bytes in all: expected {self._length}, as its Content-Length says")

    def _fail(self, what: str) -> NoReturn:
        raise ContractFailure(f"{self._target} yielded {what}")


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
