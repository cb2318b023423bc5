"""`Body` and `AsyncBody`: whatever way a body is read, it is the same body."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import pickle
import shutil
import tarfile
from collections.abc import Callable, Iterator
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


# What reads files.

TEXT = b"name,price\napple,2\n\n\npear,3\r\n" + b"x" * 1000 + b"\nno end"
CUTS = (1, 2, 3, 7, 11, 64, 100_000)


def cut(size: int, data: bytes = TEXT) -> Body:
    chunks = iter([data[start : start + size] for start in range(0, len(data), size)])
    return Body(lambda: next(chunks, None))


def copied(file: Any) -> bytes:
    copy = io.BytesIO()
    shutil.copyfileobj(file, copy)
    return copy.getvalue()


READS: list[Callable[[Any], Any]] = [
    lambda file: [file.readline() for _ in range(9)],
    lambda file: [file.readline(5) for _ in range(300)],
    lambda file: (file.readline(0), file.readline(None)),
    lambda file: file.readlines(),
    lambda file: file.readlines(15),
    lambda file: (file.read(3), file.readline(), file.read(12), file.readline(), file.read(None)),
    lambda file: (file.read(0), file.read(5), file.read(), file.read(), file.readline()),
    lambda file: (file.readinto(buffer := bytearray(20)), buffer, file.readline()),
    lambda file: list(csv.DictReader(io.TextIOWrapper(file, "utf-8"))),
    lambda file: io.TextIOWrapper(file, "utf-8", newline="").read(),
    lambda file: list(io.TextIOWrapper(file, "utf-8")),
    lambda file: copied(file),
    lambda file: [file.readable(), file.writable(), file.seekable(), file.isatty(), file.closed],
]


@pytest.mark.parametrize("size", CUTS)
@pytest.mark.parametrize("read", READS)
def test_a_body_is_read_as_any_binary_file(size: int, read: Callable[[Any], Any]) -> None:
    if read is READS[-1]:
        assert read(cut(size)) == [True, False, False, False, False]
    else:
        assert read(cut(size)) == read(io.BytesIO(TEXT))


@pytest.mark.parametrize("size", CUTS)
def test_formats_are_read_from_a_body(size: int) -> None:
    assert json.load(cut(size, b'{"item": ["tea"]}')) == {"item": ["tea"]}
    assert pickle.load(cut(size, pickle.dumps({"item": b"x" * 100_000}, protocol=5))) == {"item": b"x" * 100_000}
    with gzip.open(cut(size, gzip.compress(TEXT))) as unpacked:
        assert unpacked.read() == TEXT
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("text")
        member.size = len(TEXT)
        tar.addfile(member, io.BytesIO(TEXT))
    with tarfile.open(fileobj=cut(size, archive.getvalue()), mode="r|*") as tar:
        file = tar.extractfile(tar.next() or "text")
        assert file is not None
        assert file.read() == TEXT
    assert io.BufferedReader(cut(size)).readlines() == TEXT.splitlines(True)


def test_a_line_is_given_before_the_rest_has_come() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one\ntw"
        yield b"o\n"
        raise AssertionError("nobody has asked for more")

    come = chunks()
    body = Body(lambda: next(come))
    assert (body.readline(), body.readline()) == (b"one\n", b"two\n")


def test_read1_gives_what_is_there() -> None:
    body = cut(7)
    assert (body.read1(3), body.read1(), body.read1(0), body.read1(100)) == (TEXT[:3], TEXT[3:7], b"", TEXT[7:14])


def test_a_closed_body_is_not_read() -> None:
    with cut(7) as body:
        assert body.read(3) == TEXT[:3]
    assert body.closed
    reads: list[Callable[[], object]] = [body.read, body.readline, body.read1, body.__next__, body.readable]
    for read in reads:
        with pytest.raises(ValueError, match="closed file"):
            read()
    with pytest.raises(io.UnsupportedOperation):
        cut(7).fileno()


def test_a_fault_is_raised_by_whatever_reads() -> None:
    def broken() -> bytes | None:
        raise BodyError("the client has gone")

    for read in ("read", "readline", "readlines", "read1"):
        with pytest.raises(BodyError):
            getattr(Body(broken), read)()


@pytest.mark.parametrize("size", CUTS)
def test_an_async_body_is_read_as_a_stream_reader(size: int) -> None:
    async def results(body: Any) -> list[Any]:
        found: list[Any] = [
            await body.readline(),
            body.at_eof(),
            await body.readexactly(3),
            await body.readuntil(b"\n\n"),
        ]
        found += [await body.readuntil(b"\r\n"), await body.readline()]
        for awaitable in (body.readuntil(b"never"), body.readexactly(1)):
            try:
                found.append(await awaitable)
            except asyncio.IncompleteReadError as error:
                found.append((error.partial, error.expected))
        return [*found, await body.readline(), await body.read(), body.at_eof()]

    async def main() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(TEXT)
        reader.feed_eof()
        sync = cut(size)

        async def next_chunk() -> bytes | None:
            return next(sync, None)

        assert await results(AsyncBody(next_chunk)) == await results(reader)

    asyncio.run(main())
