"""`testing.call` with handlers that read the request's body as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import httpy_rs
from httpy_rs.testing import call


def reader(read: Callable[[Any], Any]) -> Callable[..., Any]:
    def handler(a: Any, b: Any, c: Any, d: Any, e: Any, body: httpy_rs.Body) -> Any:
        return 200, repr(read(body)), None

    return handler


def test_a_body_is_read_in_the_chunks_that_are_sent() -> None:
    sent: list[Any] = ["é", b"", b"b", bytearray(b"c"), memoryview(b"dd")]
    assert call(reader(list), "POST", body=iter(sent)).text == repr(["é".encode(), b"b", b"c", b"dd"])
    assert call(reader(list), "POST", body="é").text == repr(["é".encode()])
    assert call(reader(list), "POST").text == "[]"


def test_a_body_is_read_by_its_length() -> None:
    def read(body: Any) -> Any:
        return body.read(3), next(body), body.read(2), body.read(), body.read(5), body.read(), list(body)

    sent = [b"ab", b"cde", b"f", b"ghi"]
    assert call(reader(read), "POST", body=sent).text == repr((b"abc", b"de", b"fg", b"hi", b"", b"", []))


def test_an_async_handler_reads_its_body() -> None:
    async def handler(a: Any, b: Any, c: Any, d: Any, e: Any, body: httpy_rs.AsyncBody) -> Any:
        first = await body.read(3)
        return 200, repr([first] + [chunk async for chunk in body] + [await body.read(1)]), None

    assert call(handler, "POST", body=[b"ab", b"cde", b"f"]).text == repr([b"abc", b"de", b"f", b""])


def test_an_iterator_may_go_on_reading() -> None:
    def handler(a: Any, b: Any, c: Any, d: Any, e: Any, body: httpy_rs.Body) -> Any:
        return 200, (chunk.upper() for chunk in body), None

    assert call(handler, "POST", body=[b"a", b"b"]).chunks == [b"A", b"B"]


def test_a_handler_that_wants_all_of_it_gets_all_of_it() -> None:
    def text(a: Any, b: Any, c: Any, d: Any, e: Any, body: str) -> Any:
        return 200, repr(body), None

    def binary(a: Any, b: Any, c: Any, d: Any, e: Any, body: bytes) -> Any:
        return 200, repr(body), None

    assert call(text, "POST", body=["a", b"\xff"]).text == repr("a\udcff")
    assert call(binary, "POST", body=["a", b"\xff"]).text == repr(b"a\xff")


def test_a_body_may_break_off() -> None:
    def sent() -> Iterator[bytes]:
        yield b"a"
        raise httpy_rs.BodyError("the client broke off", 400)

    seen = []

    def read(body: Any) -> None:
        for chunk in body:
            seen.append(chunk)

    with pytest.raises(httpy_rs.BodyError, match="the client broke off"):
        call(reader(read), "POST", body=sent())
    assert seen == [b"a"]


def test_what_is_no_chunk_of_a_body_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^chunk 2 of the request's body is int: expected str or bytes$"):
        call(reader(list), "POST", body=[b"a", 1])  # type: ignore[list-item]


def test_a_body_is_not_read_when_its_call_has_ended_nor_on_another_thread() -> None:
    kept: list[Any] = []
    call(reader(kept.append), "POST", body="a")
    with pytest.raises(RuntimeError, match=r"^the request's body was read after its call had ended$"):
        kept[0].read()

    def read(body: Any) -> str:
        raised: list[str] = []

        def run() -> None:
            try:
                body.read()
            except RuntimeError as error:
                raised.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return raised[0]

    expected = "the request's body was read on another thread than its handler's"
    assert call(reader(read), "POST", body="a").text == repr(expected)


def test_nobody_has_gone() -> None:
    assert call(lambda *_: (200, str(httpy_rs.client_gone()), None)).text == "False"
