"""`Body` and `AsyncBody`: whatever way a body is read, it is the same body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import httpy_rs
from httpy_rs import AsyncBody, Body, BodyError

CHUNKS = [b"abc", b"d", b"efghij"]
WHOLE = b"abcdefghij"


def chunks(*of: Any) -> Callable[[], bytes | None]:
    """A function that gives each of these, or raises it, and then the last one again and again."""
    rest = list(of)

    def next_chunk() -> bytes | None:
        found = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(found, BaseException):
            raise found
        chunk: bytes | None = found
        return chunk

    return next_chunk


def body(*of: Any) -> Body:
    return Body(chunks(*of))


def async_body(*of: Any) -> AsyncBody:
    plain = chunks(*of)

    async def next_chunk() -> bytes | None:
        return plain()

    return AsyncBody(next_chunk)


def test_an_iterator_gives_the_chunks_as_they_come() -> None:
    assert list(body(*CHUNKS, None)) == CHUNKS


@pytest.mark.parametrize("size", range(1, 12))
def test_read_gives_as_many_bytes_as_asked_for_and_fewer_only_at_the_end(size: int) -> None:
    found = body(*CHUNKS, None)
    parts = list(iter(lambda: found.read(size), b""))
    assert parts == [WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]
    assert found.read(size) == b""
    assert list(found) == []


@pytest.mark.parametrize("size", [-1, -7])
def test_read_without_a_number_gives_all(size: int) -> None:
    assert body(*CHUNKS, None).read(size) == body(*CHUNKS, None).read() == WHOLE
    assert body(None).read() == b""


def test_reading_nothing_waits_for_nothing() -> None:
    assert body(ZeroDivisionError()).read(0) == b""


def test_both_ways_of_reading_can_be_mixed() -> None:
    found = body(*CHUNKS, None)
    assert (found.read(2), next(found), found.read(2), next(found), found.read()) == (b"ab", b"c", b"de", b"fghij", b"")


def test_what_came_before_an_error_can_still_be_read() -> None:
    found = body(b"abc", BodyError("broke off", 400))
    for _ in range(2):
        with pytest.raises(BodyError, match=r"^broke off$") as raised:
            found.read()
        assert raised.value.status == 400
    assert found.read(2) == b"ab"
    assert next(found) == b"c"
    with pytest.raises(BodyError):
        next(found)


def test_an_async_body_is_read_in_the_same_ways() -> None:
    async def read() -> list[bytes]:
        found = async_body(*CHUNKS, None)
        parts = [await found.read(2), await found.__anext__(), await found.read(2)]
        return [*parts, *[chunk async for chunk in found], await found.read()]

    assert asyncio.run(read()) == [b"ab", b"c", b"de", b"fghij", b""]


def test_an_async_body_raises_too() -> None:
    with pytest.raises(BodyError):
        asyncio.run(async_body(b"abc", BodyError("broke off")).read())


def test_nobody_has_gone_where_there_is_no_server() -> None:
    assert httpy_rs.client_gone() is False
    assert isinstance(BodyError("x"), OSError)
    assert BodyError("x").status == 400
