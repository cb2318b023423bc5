"""`Client`: an ASGI app's side of a request for tests, whose events are at hand, or come when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from httpy_rs._interface.asgi import App
from httpy_rs._interface.exchange import Exchange

Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]
Send = Callable[[Any], Coroutine[Any, Any, None]]
Body = Callable[[Receive, Send], Awaitable[object]]

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
LINES = [(b"content-type", b"text/plain")]
LAST: dict[str, Any] = {"type": "http.response.body"}
DISCONNECT = {"type": "http.disconnect"}


def start(length: int | None = None, status: Any = 200) -> dict[str, Any]:
    """A head with this `Content-Length`."""
    headers = [] if length is None else [(b"content-length", b"%d" % length)]
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(part: Any, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": part, "more_body": more}


def request(part: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": part, "more_body": more}


class Client:
    """An `Exchange`."""

    def __init__(self, *chunks: bytes, whole: bool = True, method: str = "GET") -> None:
        self.scope: dict[str, Any] = {"type": "http", "method": method}
        self.body, self.is_whole = b"".join(chunks), whole
        self.sent: list[Any] = []
        self.asked: list[asyncio.Future[bytes | None]] = []
        self.leaving: list[asyncio.Future[None]] = []
        self.taken: list[bool | asyncio.Future[bool]] = []
        self.gone = False

    def next_chunk(self) -> asyncio.Future[bytes | None]:
        assert all(chunk.done() for chunk in self.asked)
        self.asked.append(asyncio.get_running_loop().create_future())
        return self.asked[-1]

    def left(self) -> asyncio.Future[None]:
        self.leaving.append(asyncio.get_running_loop().create_future())
        return self.leaving[-1]

    def is_gone(self) -> bool:
        return self.gone

    def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.sent.append((status, headers, body))

    def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.sent.append((status, headers))

    def write(self, chunk: bytes) -> bool | asyncio.Future[bool]:
        assert type(chunk) is bytes
        self.sent.append(chunk)
        return self.taken.pop(0) if self.taken else True

    def end(self) -> None:
        self.sent.append("end")

    # What the test does.

    def leave(self) -> None:
        self.gone = True
        for future in self.leaving:
            if not future.done():
                future.set_result(None)

    def run(self, app: Body) -> list[Any]:
        """What was sent by the time an app of this body has returned."""
        run(self.call(app))
        return self.sent

    async def call(self, app: Body) -> None:
        async def whole(scope: dict[str, Any], receive: Receive, send: Send) -> object:
            return await app(receive, send)

        exchange: Exchange = self
        await App("shop:app", whole)(exchange)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(limited())


def sends(*messages: Any) -> Body:
    """An app that sends these."""

    async def app(receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that does not suspend."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    return ended.value.value


async def until_waiting(task: asyncio.Task[Any]) -> None:
    """Lets other tasks run until this one is suspended; enough turns for all that is done in these tests."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
