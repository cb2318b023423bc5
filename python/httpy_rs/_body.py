"""`Body` and `AsyncBody`: a request's body as it comes, for handlers that ask for that; `BodyError`.

Here chunks are put together for who reads so and so many bytes. Where they come from is the server's business: a
function that gives the next one, `None` at the end.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator


class BodyError(OSError):
    """The rest of the request's body will not come.

    The client broke off, was too slow, or sent more than the server's limit. A handler that lets it pass has its client
    answered with what went wrong, the `status`, instead of 500, and nothing of it in the error log.
    """

    status: int
    """400, 408 or 413."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


BodyError.__module__ = "httpy_rs"


class _Buffer:
    """Chunks that have come and were not read yet."""

    __slots__ = ("_chunks", "_size", "_start")

    def __init__(self) -> None:
        from collections import deque  # only handlers that read a stream pay for it

        self._chunks: deque[bytes] = deque()
        self._size = 0
        # So many bytes of the first chunk were read.
        self._start = 0

    def _add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)

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


class Body(_Buffer):
    """The body of a request as it comes: an iterator of `bytes`.

        def upload(method, path, params, query, headers, body: httpy_rs.Body):
            size = sum(len(chunk) for chunk in body)
            return 200, str(size), {}

    A handler gets it that annotates its sixth parameter so; an `async def` gets an `AsyncBody`. It is called as soon as
    the request's head is there. The client sends no faster than the body is read; what a handler leaves unread is
    dropped. It can be read while the handler runs, and by the iterator that it returns, on the same thread; after that,
    and on other threads, reading raises `RuntimeError`.
    """

    __slots__ = ("_next",)

    def __init__(self, next_chunk: Callable[[], bytes | None]) -> None:
        super().__init__()
        self._next = next_chunk

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next chunk, never an empty one. Raises `BodyError` when there is more that will not come."""
        if self._chunks:
            return self._take_chunk()
        chunk = self._next()
        if chunk is None:
            raise StopIteration
        return chunk

    def read(self, n: int = -1) -> bytes:
        """Waits for `n` bytes and returns them; fewer only at the end. Without `n`, or when it is negative, all.

        Raises `BodyError` when there is more that will not come; what has come before can be read with a smaller `n`.
        """
        while n < 0 or self._size < n:
            chunk = self._next()
            if chunk is None:
                break
            self._add(chunk)
        return self._take(n)


class AsyncBody(_Buffer):
    """The body of a request as it comes, for `async def` handlers: an async iterator of `bytes`.

        async def upload(method, path, params, query, headers, body: httpy_rs.AsyncBody):
            size = 0
            async for chunk in body:
                size += len(chunk)
            return 200, str(size), {}

    As `Body` in everything else.
    """

    __slots__ = ("_next",)

    def __init__(self, next_chunk: Callable[[], Awaitable[bytes | None]]) -> None:
        super().__init__()
        self._next = next_chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk, never an empty one. Raises `BodyError` when there is more that will not come."""
        if self._chunks:
            return self._take_chunk()
        chunk = await self._next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def read(self, n: int = -1) -> bytes:
        """Waits for `n` bytes and returns them; fewer only at the end. Without `n`, or when it is negative, all.

        Raises `BodyError` when there is more that will not come; what has come before can be read with a smaller `n`.
        """
        while n < 0 or self._size < n:
            chunk = await self._next()
            if chunk is None:
                break
            self._add(chunk)
        return self._take(n)


Body.__module__ = AsyncBody.__module__ = "httpy_rs"
