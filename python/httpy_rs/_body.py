"""`Body` and `AsyncBody`: a request's body that is read while it arrives; `BodyError`.

This file joins and cuts chunks for readers. The server supplies them, by a function that returns the next one, or
`None` at the end.
"""

from __future__ import annotations

import io

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator


class BodyError(OSError):
    """The rest of the request's body will not arrive.

    The client disconnected, was too slow, or sent more than the server's limit. If the handler does not catch it, the
    client gets `status` instead of 500, and the error log has no line.
    """

    status: int
    """400, 408 or 413."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


BodyError.__module__ = "httpy_rs"


class _Buffer:
    """Chunks that have come and were not read yet."""

    def __init__(self) -> None:
        from collections import deque  # only handlers that read a stream pay for it

        self._chunks: deque[bytes] = deque()
        self._size = 0
        # Bytes of the first chunk that were read.
        self._start = 0

    def _add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)

    def _drop(self) -> None:
        self._chunks.clear()
        self._size = self._start = 0

    def _take_chunk(self) -> bytes:
        """The first chunk, or what is left of it; there must be one."""
        chunk = self._chunks.popleft()
        if self._start:
            chunk = chunk[self._start :]
            self._start = 0
        self._size -= len(chunk)
        return chunk

    def _take(self, n: int) -> bytes:
        """`n` bytes, all when that is negative, fewer where there are no more."""
        if n < 0 or n > self._size:
            n = self._size
        parts = []
        left = n
        while left:
            first = self._chunks[0]
            if len(first) - self._start <= left:
                part = self._take_chunk()
            else:
                part = first[self._start : self._start + left]
                self._start += left
                self._size -= left
            parts.append(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _Search:
    """Looks for the end of a line, or another separator, in a buffer to which chunks are added."""

    __slots__ = ("_index", "_limit", "_passed", "_separator", "_tail")

    def __init__(self, separator: bytes, limit: int = -1) -> None:
        self._separator = separator
        self._limit = limit
        # Chunks that were looked at, their bytes, and the last of these, where a separator may begin.
        self._index = 0
        self._passed = 0
        self._tail = b""

    def end_in(self, buffer: _Buffer) -> int | None:
        """The number of bytes up to the separator and with it, or the limit; `None` if more chunks are needed."""
        separator, overlap = self._separator, len(self._separator) - 1
        while self._index < len(buffer._chunks):
            chunk = buffer._chunks[self._index]
            start = 0 if self._index else buffer._start
            end = None
            if self._tail:
                at = (self._tail + chunk[start : start + overlap]).find(separator)
                if at >= 0:
                    end = self._passed - len(self._tail) + at + len(separator)
            if end is None:
                at = chunk.find(separator, start)
                if at >= 0:
                    end = self._passed + at - start + len(separator)
            self._index += 1
            self._passed += len(chunk) - start
            if overlap:
                self._tail = (self._tail + chunk[max(start, len(chunk) - overlap) :])[-overlap:]
            if 0 <= self._limit <= (self._passed if end is None else end):
                return self._limit
            if end is not None:
                return end
        return None


class Body(_Buffer, io.BufferedIOBase):
    """The body of a request while it arrives: a binary file that cannot be rewound, and an iterator of `bytes`.

        def upload(method, path, params, query, headers, body: httpy_rs.Body):
            size = sum(len(chunk) for chunk in body)
            return 200, str(size), {}

    A handler whose sixth parameter is annotated with it gets it; an `async def` gets an `AsyncBody`. The handler is
    called when the request's head has arrived. The client sends no faster than the body is read; what is not read is
    dropped. It can be read while the handler runs, and by the iterator that it returns, on the same thread. After
    that, and on other threads, reading raises `RuntimeError`.

    Code that reads files can read it: `json.load(body)`, `csv.reader(io.TextIOWrapper(body, "utf-8"))`,
    `tarfile.open(fileobj=body, mode="r|*")`. Unlike a file, it iterates over chunks and not over lines.

    All that reads raises `BodyError` when there is more that will not come, and `ValueError` once it is closed.
    """

    def __init__(self, next_chunk: Callable[[], bytes | None]) -> None:
        super().__init__()
        self._next = next_chunk

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next chunk, never an empty one."""
        self._check()
        if self._chunks:
            return self._take_chunk()
        chunk = self._next()
        if chunk is None:
            raise StopIteration
        return chunk

    def read(self, n: int | None = -1) -> bytes:
        """Waits for `n` bytes and returns them; fewer only at the end. Without `n`, or if it is negative, all.

        After a `BodyError`, what has arrived before can be read with a smaller `n`.
        """
        self._check()
        n = -1 if n is None else n
        while (n < 0 or self._size < n) and self._more():
            continue
        return self._take(n)

    def read1(self, n: int = -1) -> bytes:
        """Up to `n` bytes that have arrived, without `n` all of them; waits only if there are none."""
        self._check()
        if n != 0 and not self._size:
            self._more()
        return self._take(n)

    def readline(self, size: int | None = -1) -> bytes:
        """One line with its end, or up to `size` bytes of it; no bytes at the end."""
        self._check()
        size = -1 if size is None else size
        if size == 0:
            return b""
        search = _Search(b"\n", size)
        while (end := search.end_in(self)) is None:
            if not self._more():
                return self._take(size)
        return self._take(end)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """The remaining lines; stops when they have `hint` bytes."""
        lines: list[bytes] = []
        left = -1 if hint is None or hint <= 0 else hint
        while line := self.readline():
            lines.append(line)
            if left > 0 and (left := max(0, left - len(line))) == 0:
                break
        return lines

    def readable(self) -> bool:
        """True."""
        self._check()
        return True

    def close(self) -> None:
        """Drops what was not read."""
        self._drop()
        super().close()

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")

    def _more(self) -> bool:
        chunk = self._next()
        if chunk is not None:
            self._add(chunk)
        return chunk is not None


class AsyncBody(_Buffer):
    """The body of a request while it arrives, for `async def` handlers: an async iterator of `bytes`.

        async def upload(method, path, params, query, headers, body: httpy_rs.AsyncBody):
            size = 0
            async for chunk in body:
                size += len(chunk)
            return 200, str(size), {}

    It has the methods of `asyncio.StreamReader`, but `read(n)` waits for all `n` bytes. Otherwise it is like `Body`.
    """

    def __init__(self, next_chunk: Callable[[], Awaitable[bytes | None]]) -> None:
        super().__init__()
        self._next = next_chunk
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk, never an empty one. Raises `BodyError` if the rest will not arrive."""
        if self._chunks:
            return self._take_chunk()
        chunk = await self._next()
        if chunk is None:
            self._ended = True
            raise StopAsyncIteration
        return chunk

    async def read(self, n: int | None = -1) -> bytes:
        """Waits for `n` bytes and returns them; fewer only at the end. Without `n`, or when it is negative, all.

        Raises `BodyError` if the rest will not arrive; what has arrived before can be read with a smaller `n`.
        """
        n = -1 if n is None else n
        while (n < 0 or self._size < n) and await self._more():
            continue
        return self._take(n)

    async def readline(self) -> bytes:
        """One line with its end; what is left where no end comes."""
        search = _Search(b"\n")
        while (end := search.end_in(self)) is None:
            if not await self._more():
                return self._take(-1)
        return self._take(end)

    async def readexactly(self, n: int) -> bytes:
        """`n` bytes. Raises `asyncio.IncompleteReadError` where there are fewer."""
        if n < 0:
            raise ValueError("readexactly size can not be less than zero")
        data = await self.read(n)
        if len(data) < n:
            raise _incomplete(data, n)
        return data

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """What comes up to the separator, and with it. Raises `asyncio.IncompleteReadError` where none comes."""
        if not separator:
            raise ValueError("Separator should be at least one-byte string")
        search = _Search(separator)
        while (end := search.end_in(self)) is None:
            if not await self._more():
                raise _incomplete(self._take(-1), None)
        return self._take(end)

    def at_eof(self) -> bool:
        """Whether all was read and the end has come."""
        return self._ended and not self._size

    async def _more(self) -> bool:
        chunk = await self._next()
        if chunk is None:
            self._ended = True
            return False
        self._add(chunk)
        return True


def _incomplete(data: bytes, expected: int | None) -> EOFError:
    from asyncio import IncompleteReadError  # only async handlers get here

    return IncompleteReadError(data, expected)


Body.__module__ = AsyncBody.__module__ = "httpy_rs"
