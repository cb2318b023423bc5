"""`Receiving`: the streamed body of one request on its way to its handler, through `httpy_rs.Body` or `AsyncBody`.

The control thread puts in what comes. There are no locks: the handler's thread may be interrupted anywhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from httpy_rs._body import AsyncBody, Body, BodyError
from httpy_rs._own import Lock, get_ident, getpid, monotonic
from httpy_rs._worker.frame import PART, Broken
from httpy_rs._worker.wire import Call

if TYPE_CHECKING:
    import asyncio

UNREAD = 256 * 1024  # bytes that may have come and not have been read
GIVE_BACK = UNREAD // 4  # bytes that were read are told together

_LATE = (408, "the request's body did not come in the time that the call had")
_ENDED = "the request's body was read after its call had ended"
_FORKED = "the request's body was read in a process that its handler has forked"
_OTHER_THREAD = "the request's body was read on another thread than its handler's"

_LEAST = 64  # bytes that a chunk counts for at least, as in `stream.rs` of the Rust crate `httpy-core`

# Lane, number, bytes.
GiveBack = Callable[[str, int, int], None]


def weight(chunk: bytes) -> int:
    """How many bytes a chunk counts for."""
    return max(len(chunk), _LEAST)


class Receiving:
    """What has come of one body and was not read."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        # Each is counted by one thread only.
        self._come = 0
        self._read = 0
        self._told = 0
        self._complete = False
        self._is_over = False  # nothing else comes
        self.fault: tuple[int, str] | None = None
        """Status and text: why there is no more."""
        self._closed = False
        # Locked while there is nothing to look at.
        self._bell = Lock()
        self.wake: Callable[[], object] = self._ring
        """Called when there is something to take."""
        self._call: Call | None = None
        self._thread = self._process = 0
        self._give_back: GiveBack | None = None

    @classmethod
    def whole(cls, parts: list[bytes]) -> Receiving:
        """A body of which all has come."""
        body = cls()
        body._chunks.extend(part for part in parts if part)
        body._complete = True
        return body

    def decoded(self, mode: str) -> str | bytes:
        """All of it, where it came ahead of its job, as the handler wants it."""
        data = b"".join(self._chunks)
        return data.decode("utf-8", "surrogateescape") if mode == "text" else data

    # For the control thread; of an async handler's, for the loop's.

    def feed(self, item: object) -> None:
        """A chunk, `None` at the end, or status and text. Raises `Broken`."""
        if self._is_over:
            raise Broken("more of a request's body behind its end")
        if type(item) is bytes and len(item) <= PART:
            self._come += weight(item)
            if self._come - self._read > UNREAD + PART:
                raise Broken(f"{self._come - self._read} bytes of a request's body that nobody has asked for")
            if item and not self._closed:
                self._chunks.append(item)
        elif item is None:
            self._complete = self._is_over = True
        elif type(item) is tuple and len(item) == 2:
            self._is_over = True
            self.fault = item
        else:
            raise Broken("a chunk of a request's body that is none")
        self.wake()

    # For the thread of the handler.

    def body(self, call: Call, give_back: GiveBack) -> Body:
        """What a plain handler reads; its thread is the one that calls this."""
        self.open(call, give_back)
        return Body(self._next)

    def async_body(self, call: Call, give_back: GiveBack, event_loop: asyncio.AbstractEventLoop) -> AsyncBody:
        """What an async handler reads, on the loop that calls this."""
        from asyncio import sleep

        self.open(call, give_back)
        waiting: list[asyncio.Future[None]] = []

        def wake() -> None:
            while waiting:
                future = waiting.pop()
                if not future.done():
                    future.set_result(None)

        async def next_chunk() -> bytes | None:
            while True:
                found = self.take()
                if found is not None:
                    # Others come first from time to time.
                    await sleep(0)
                    return found[0]
                if any(not future.done() for future in waiting):
                    raise RuntimeError("the request's body is being read by another task")
                future: asyncio.Future[None] = event_loop.create_future()
                waiting.append(future)
                if not self._is_empty():
                    wake()
                await future

        self.wake = wake
        return AsyncBody(next_chunk)

    def close(self) -> None:
        """The call has ended."""
        self._closed = True
        self._chunks.clear()

    def fault_behind(self, error: BaseException) -> tuple[int, str] | None:
        """What happened to the client's upload, where `error` says just that."""
        return self.fault if isinstance(error, BodyError) else None

    def open(self, call: Call, give_back: GiveBack) -> None:
        """The call begins, on the thread that calls this, which alone reads the body."""
        self._call, self._give_back = call, give_back
        self._thread, self._process = get_ident(), getpid()

    def _next(self) -> bytes | None:
        while True:
            found = self.take()
            if found is not None:
                return found[0]
            due = None if self._call is None else self._call.due
            left = -1.0 if due is None else max(0.0, due - monotonic())
            if not self._bell.acquire(timeout=left) and self._is_empty():
                self.fault = _LATE

    def take(self) -> tuple[bytes | None] | None:
        """The next chunk, or the end, if there is one of them. Raises `BodyError` where no more comes."""
        if self._closed:
            raise RuntimeError(_ENDED)
        if getpid() != self._process:
            raise RuntimeError(_FORKED)
        if get_ident() != self._thread:
            raise RuntimeError(_OTHER_THREAD)
        if self._chunks:
            chunk = self._chunks.popleft()
            self._read += weight(chunk)
            self._tell()
            return (chunk,)
        if self.fault is not None:
            status, text = self.fault
            raise BodyError(text, status)
        return (None,) if self._complete else None

    def _tell(self) -> None:
        """Gives back what was read; not of a body that came ahead, or has."""
        call, size = self._call, self._read - self._told
        if size >= GIVE_BACK and not self._complete and call is not None and self._give_back is not None:
            self._told = self._read
            self._give_back(call.lane, call.number, size)

    def _is_empty(self) -> bool:
        return not self._chunks and not self._complete and self.fault is None

    def _ring(self) -> None:
        with suppress(RuntimeError):  # it rings already
            self._bell.release()
