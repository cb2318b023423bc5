"""`testing.call` with async handlers and with bodies that are iterators."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import httpy_rs
from httpy_rs.testing import ContractFailure, LoadError, acall, call


def returning(body: Any, status: int = 200, headers: Any = None) -> Callable[..., Any]:
    def handler(*arguments: Any) -> Any:
        return status, body, headers

    return handler


def async_returning(body: Any, status: int = 200, headers: Any = None) -> Callable[..., Any]:
    async def handler(*arguments: Any) -> Any:
        await asyncio.sleep(0)
        return status, body, headers

    return handler


class Closing:
    """An iterator that notes what becomes of it."""

    def __init__(self, *chunks: Any) -> None:
        self.chunks = list(chunks)
        self.seen: list[str] = []

    def __iter__(self) -> Closing:
        return self

    def __next__(self) -> Any:
        self.seen.append("next")
        if not self.chunks:
            raise StopIteration
        chunk = self.chunks.pop(0)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def close(self) -> None:
        self.seen.append("close")


class AsyncClosing:
    """Likewise, async."""

    def __init__(self, *chunks: Any) -> None:
        self._inner = Closing(*chunks)
        self.seen = self._inner.seen
        self.close = self._inner.close

    def __aiter__(self) -> AsyncClosing:
        return self

    async def __anext__(self) -> Any:
        await asyncio.sleep(0)
        try:
            return next(self._inner)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.seen.append("aclose")


def test_the_chunks_of_an_iterator_are_the_body() -> None:
    chunks = ["é", b"b", "", bytearray(b"c"), memoryview(b"d_d")[::2], "\udcff"]
    response = call(returning(iter(chunks), 201))
    assert response.status == 201
    assert response.chunks == [b"\xc3\xa9", b"b", b"c", b"dd", b"\xff"]
    assert response.body == b"\xc3\xa9bcdd\xff"
    assert list(response.headers) == []


def test_a_generator_may_be_the_body() -> None:
    assert call(returning(str(number) for number in range(3))).chunks == [b"0", b"1", b"2"]


def test_a_whole_body_is_one_chunk() -> None:
    assert call(returning("ab")).chunks == [b"ab"]
    assert call(returning(None)).chunks == []


def test_an_async_handler_is_called() -> None:
    async def handler(method: str, path: str, params: Any, query: Any, headers: Any, body: bytes) -> Any:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        return 200, body + str(task is not None).encode() + httpy_rs.request().target.encode(), {"X-A": "1"}

    response = call(handler, "POST", "/a", body="é")
    assert response.text == "éTrue/a"
    assert response.headers["X-A"] == "1"


@pytest.mark.parametrize("kind", ["partial", "method", "object", "wrapper", "runner"])
def test_what_stands_before_an_async_handler_does_not_hide_it(kind: str) -> None:
    class Service:
        async def method(self, *arguments: Any) -> Any:
            return 200, "async", None

        async def __call__(self, *arguments: Any) -> Any:
            return 200, "async", None

    async def handler(*arguments: Any) -> Any:
        return 200, "async", None

    @functools.wraps(handler)
    def wrapper(*arguments: Any) -> Any:
        return handler(*arguments)

    @functools.wraps(handler)
    def runner(*arguments: Any) -> Any:
        return 200, "async", None

    found: dict[str, Callable[..., Any]] = {
        "partial": functools.partial(handler),
        "method": Service().method,
        "object": Service(),
        "wrapper": wrapper,
        "runner": runner,
    }
    assert call(found[kind]).text == "async"


def test_an_async_generator_is_the_body() -> None:
    async def chunks() -> AsyncIterator[str]:
        yield "a"
        await asyncio.sleep(0)
        yield "b"

    assert call(async_returning(chunks())).chunks == [b"a", b"b"]


def test_an_async_handler_may_return_a_plain_iterator() -> None:
    body = Closing("a", b"b")
    assert call(async_returning(body)).chunks == [b"a", b"b"]
    assert body.seen == ["next", "next", "next", "close"]


def test_an_async_iterator_of_a_plain_handler_is_refused() -> None:
    body = AsyncClosing("a")
    with pytest.raises(
        ContractFailure,
        match=r"returned \(int, AsyncClosing, NoneType\): expected a plain iterator as body, as the handler is no "
        r"async def, found AsyncClosing$",
    ):
        call(returning(body))


@pytest.mark.parametrize("generator", [lambda *_: (yield), None])
def test_a_generator_function_is_no_handler(generator: Any) -> None:
    async def async_generator(*arguments: Any) -> AsyncIterator[Any]:
        yield 200, "", None

    with pytest.raises(LoadError, match="generator function"):
        call(generator or async_generator)


@pytest.mark.parametrize("make", [returning, async_returning])
@pytest.mark.parametrize(
    ("chunks", "headers", "message"),
    [
        (["a", b"b", 3], None, "yielded int (chunk 3): expected str, bytes, bytearray or memoryview"),
        ([None], None, "yielded NoneType (chunk 1): expected str, bytes, bytearray or memoryview"),
        (
            ["", "a\ud800"],
            None,
            "yielded a str with U+D800 at index 1 (chunk 2): expected text that encodes as UTF-8 (surrogates U+DC80 to "
            "U+DCFF stand for bytes, PEP 383)",
        ),
        (
            ["abc", "def"],
            {"Content-Length": "5"},
            "yielded more than 5 bytes: expected as many as its Content-Length says",
        ),
        (["abc"], {"content-length": "05"}, "yielded 3 bytes in all: expected 5, as its Content-Length says"),
        ([], {"content-length": "18446744073709551615"}, None),
        (
            [],
            {"content-length": "18446744073709551616"},
            'returned Content-Length "18446744073709551616" with an iterator as body: expected a number of bytes',
        ),
        (
            [],
            {"content-length": "five"},
            'returned Content-Length "five" with an iterator as body: expected a number of bytes',
        ),
    ],
)
def test_a_body_that_breaks_the_contract_is_named_and_closed(
    make: Any, chunks: list[Any], headers: Any, message: Any
) -> None:
    body = AsyncClosing(*chunks) if make is async_returning else Closing(*chunks)
    handler = make(body, headers=headers)
    message = message or "yielded 0 bytes in all: expected 18446744073709551615, as its Content-Length says"
    with pytest.raises(ContractFailure) as caught:
        call(handler)
    assert str(caught.value) == f"{__name__}:{handler.__qualname__} {message}"
    assert body.seen[-1] == ("aclose" if make is async_returning else "close")


@pytest.mark.parametrize("length", ["6", "006"])
def test_a_content_length_that_is_right_is_kept(length: str) -> None:
    response = call(returning(iter(["abc", "def"]), headers={"Content-Length": length}))
    assert response.headers["Content-Length"] == length
    assert response.body == b"abcdef"


@pytest.mark.parametrize("chunks", [[], ["a"]])
def test_what_the_iterator_raises_comes_through(chunks: list[Any]) -> None:
    error = KeyError("mine")
    for handler in (returning(Closing(*chunks, error)), async_returning(AsyncClosing(*chunks, error))):
        with pytest.raises(KeyError) as caught:
            call(handler)
        assert caught.value is error


def test_what_close_raises_comes_through() -> None:
    def chunks() -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            raise ValueError("close")

    with pytest.raises(ValueError, match="close"):
        call(returning(chunks()), leave_after=1)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)])
def test_where_no_body_goes_out_the_iterator_is_closed_and_not_asked(method: str, status: int) -> None:
    for body, handler in (
        (Closing("a"), returning),
        (AsyncClosing("a"), async_returning),
    ):
        response = call(handler(body, status), method)
        assert body.seen == ["aclose" if handler is async_returning else "close"]
        assert response.chunks == []
        warned = [] if method == "HEAD" else [f"an iterator as body with status {status} was dropped"]
        assert response.warnings == warned
        assert "Content-Length" not in response.headers


def test_a_client_may_leave() -> None:
    for body, handler in ((Closing("a", "", "b", "c"), returning), (AsyncClosing("a", "", "b", "c"), async_returning)):
        assert call(handler(body), leave_after=2).chunks == [b"a", b"b"]
        assert body.seen == ["next", "next", "next", "aclose" if handler is async_returning else "close"]


def test_what_never_ends_is_left() -> None:
    def forever() -> Iterator[str]:
        while True:
            yield "again"

    assert call(lambda *_: httpy_rs.sse(forever()), leave_after=3).events() == [("again", "message", "")] * 3


def test_events_are_read_back() -> None:
    async def events() -> AsyncIterator[Any]:
        yield "a\nb"
        yield {"data": [1], "event": "list", "id": 7, "retry": 100, "comment": "c"}

    async def handler(*arguments: Any) -> Any:
        return httpy_rs.sse(events())

    response = call(handler)
    assert response.headers["content-type"] == "text/event-stream"
    assert len(response.chunks) == 2
    received = response.events()
    assert received == [("a\nb", "message", ""), ("[1]", "list", "7")]
    assert (received[1].data, received[1].event, received[1].id) == ("[1]", "list", "7")
    assert (received.retry, received.comments) == (100, ["c"])


def test_async_events_of_a_plain_handler_are_refused() -> None:
    async def events() -> AsyncIterator[str]:
        yield "a"

    with pytest.raises(ContractFailure, match=r"expected a plain iterator as body, .* found AsyncEvents$"):
        call(lambda *_: httpy_rs.sse(events()))


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_a_handler_and_its_iterator_share_a_context_and_a_thread_and_no_other_call_does() -> None:
    def chunks(thread: int) -> Iterator[str]:
        yield variable.get()
        variable.set("inside the iterator")
        yield variable.get()
        yield httpy_rs.request().target
        yield str(threading.get_ident() == thread)

    def handler(*arguments: Any) -> Any:
        before = variable.get()
        variable.set("inside")
        return 200, chunks(threading.get_ident()), {"X-Before": before}

    async def async_chunks(thread: int) -> AsyncIterator[str]:
        for chunk in chunks(thread):
            yield chunk

    async def async_handler(*arguments: Any) -> Any:
        status, _, headers = handler()
        return status, async_chunks(threading.get_ident()), headers

    variable.set("outside")
    for each in (handler, async_handler, handler, async_handler):
        response = call(each, path="/a")
        assert response.chunks == [b"inside", b"inside the iterator", b"/a", b"True"]
        assert response.headers["X-Before"] == "outside"
    assert variable.get() == "outside"


def test_where_a_loop_runs_already_acall_is_named() -> None:
    async def handler(*arguments: Any) -> Any:
        return 200, "", None

    async def run() -> None:
        with pytest.raises(
            RuntimeError, match=r"handler, which is async, .*: use `await httpy_rs.testing.acall\(...\)`"
        ):
            call(handler)
        assert call(returning("plain")).text == "plain"

    asyncio.run(run())


def test_acall_runs_on_the_loop_of_the_test() -> None:
    async def chunks() -> AsyncIterator[str]:
        yield "chunk"

    async def run() -> None:
        loop = asyncio.get_running_loop()
        variable.set("outside")

        async def handler(*arguments: Any) -> Any:
            assert asyncio.get_running_loop() is loop
            assert variable.get() == "outside"
            variable.set("inside")
            return 200, chunks(), None

        first, second = await asyncio.gather(acall(handler), acall(handler, "POST", leave_after=0))
        assert (first.chunks, second.chunks) == ([b"chunk"], [])
        assert variable.get() == "outside"

    asyncio.run(run())


def test_acall_runs_a_plain_handler_on_another_thread() -> None:
    async def run() -> None:
        here = threading.get_ident()

        def handler(*arguments: Any) -> Any:
            return 200, (str(threading.get_ident() == here) for _ in range(1)), None

        assert (await acall(handler)).text == "False"

    asyncio.run(run())


def test_acall_that_is_cancelled_cancels_the_handler() -> None:
    seen: list[str] = []

    async def run() -> None:
        waiting = asyncio.Event()

        async def handler(*arguments: Any) -> Any:
            waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        calling = asyncio.ensure_future(acall(handler))
        await waiting.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

    asyncio.run(run())
    assert seen == ["cancelled"]


def test_both_take_the_same_arguments() -> None:
    assert inspect.signature(call) == inspect.signature(acall)
