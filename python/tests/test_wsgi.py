"""A WSGI app as the server calls it: its reply, and the rules that it may break."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from httpy_rs._interface.message import ProtocolError
from httpy_rs._interface.wsgi import App
from tests.wsgi import LENGTH_3, LINES, Chunks, body, refused, reply, scope, sent

# The body.


@pytest.mark.parametrize(
    ("result", "chunks"),
    [
        ([b"one"], [b"one"]),
        ([b"x" * 70_000], [b"x" * 70_000]),
        ([b"one", b"", b"two"], [b"onetwo"]),
        ((b"one", b"two"), [b"onetwo"]),
        ([b"x" * 65_536, b""], [b"x" * 65_536]),
        ([], [b""]),
        ((), [b""]),
        (iter([]), [b""]),
        (iter([b"", b""]), [b""]),
        ([bytearray(b"one"), memoryview(b"two")], [b"onetwo"]),
        ([type("Bytes", (bytes,), {})(b"one")], [b"one"]),
        (iter([b"one"]), ["streamed", b"one"]),
        (iter([b"", b"one", b"", bytearray(b"two")]), ["streamed", b"one", b"two"]),
        ([b"x" * 40_000, b"", b"y" * 40_000], ["streamed", b"x" * 40_000, b"y" * 40_000]),
    ],
)
def test_short_lists_and_ends_are_one_reply_and_the_rest_is_streamed(result: Any, chunks: list[Any]) -> None:
    found = reply(result)
    assert found == (200, LINES, chunks)
    assert {type(chunk) for chunk in found[2]} <= {bytes, str}


def test_a_stream_is_taken_chunk_by_chunk() -> None:
    chunks = Chunks(b"one", b"two", b"three")

    def app(environ: dict[str, Any], start_response: Any) -> Chunks:
        start_response("200 OK", [])
        return chunks

    _, _, content = App("shop:app", app)(scope(), body())
    assert not isinstance(content, bytes)
    assert iter(content) is content
    assert len(chunks.chunks) == 2
    assert [next(content), next(content)] == [b"one", b"two"]
    assert len(chunks.chunks) == 1
    # The client has left.
    for _ in range(2):
        content.close()  # type: ignore[attr-defined]
    assert chunks.closed == 1
    assert list(content) == []


def test_a_stream_that_is_closed_before_its_first_chunk_gives_none() -> None:
    chunks = Chunks(b"one", b"two")
    _, _, content = App("shop:app", lambda environ, start: (start("200 OK", []), chunks)[1])(scope(), body())
    content.close()  # type: ignore[union-attr]
    assert list(content) == []
    assert chunks.closed == 1


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((b"abc",), [b"abc"]),
        ((b"ab", b"c"), ["streamed", b"ab", b"c"]),
        ((b"a", b"", b"b", b"c"), ["streamed", b"a", b"b", b"c"]),
    ],
)
def test_a_body_whose_length_is_reached_is_complete_and_what_follows_is_not_asked_for(
    chunks: tuple[bytes, ...], expected: list[Any]
) -> None:
    found = Chunks(*chunks, ValueError("asked for"))
    assert reply(found, LENGTH_3) == (200, [(b"content-length", b"3")], expected)
    assert found.closed == 1


@pytest.mark.parametrize("chunks", [[b"abc"], [b"a", b"bc"]])
def test_a_list_may_have_its_length(chunks: list[bytes]) -> None:
    assert reply(chunks, LENGTH_3)[2] == [b"abc"]


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        ([b"ab"], "2 bytes"),
        ([b"ab", b"cd"], "4 bytes"),
        ([], "0 bytes"),
        (Chunks(b"ab"), "2 bytes"),
        (Chunks(), "0 bytes"),
        (Chunks(b"abcd", ValueError("asked for")), "4 bytes or more"),
        (Chunks(b"ab", b"cd", ValueError("asked for")), "4 bytes or more"),
    ],
)
def test_a_body_that_has_not_its_length_is_an_error_with_both(chunks: Any, found: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        reply(chunks, LENGTH_3)
    assert str(caught.value) == f"the body has {found}: expected 3, as its Content-Length says"
    assert isinstance(chunks, list) or chunks.closed == 1


@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "205 Reset"), ("GET", "304 Not Modified")],
)
def test_a_reply_without_a_body_ends_with_the_first_chunk(method: str, status: str) -> None:
    chunks = Chunks(b"", b"longer", ValueError("asked for"))
    for result in (chunks, [b"longer"], [], Chunks()):
        found = reply(result, LENGTH_3, status, method)
        assert found == (int(status[:3]), [(b"content-length", b"3")], [b""])
    assert chunks.closed == 1


def test_head_is_what_the_client_has_sent_even_if_the_app_changes_it() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["REQUEST_METHOD"] = "GET"
        start_response("200 OK", [])
        return [b"body"]

    assert sent(app, "HEAD")[2] == [b""]


@pytest.mark.parametrize("size", [10, 20_000])
def test_a_file_is_sent_by_the_wrapper_and_closed(size: int) -> None:
    file = io.BytesIO(b"x" * size)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file, 16_384)

    assert b"".join(sent(app)[2][1:]) == b"x" * size
    assert file.closed


# `start_response` and `write`.


def test_start_response_may_come_with_the_first_chunk() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("201 Created", [("A", "b")])
        yield b"late"

    assert sent(app) == (201, LINES, ["streamed", b"late"])


def test_start_response_may_come_at_the_end_of_an_empty_body() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("404 Not Found", [("A", "b")])

    assert sent(app) == (404, LINES, [b""])


def test_what_is_written_goes_out_before_the_chunk_that_follows() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [("A", "b")])
        write(b"one")
        yield b"two"
        write(b"")
        write(b"three")
        write(b"four")
        yield b""
        write(b"five")

    assert sent(app) == (200, LINES, ["streamed", b"onetwo", b"threefour", b"five"])


@pytest.mark.parametrize("chunks", [[b"two"], [b"tw", b"o"]])
def test_what_is_written_goes_out_before_a_list(chunks: list[bytes]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"one")
        return chunks

    assert sent(app)[2] == [b"onetwo"]


def test_all_may_be_written_and_the_app_return_nothing_more() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("A", "b")])
        write(b"one")
        write(bytearray(b"two"))
        return []

    assert sent(app) == (200, LINES, [b"onetwo"])


def test_what_is_written_is_bytes() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])("text")
        return []

    assert refused(app) == "a chunk of the body is of type str: expected bytes"


def fail(start_response: Any, status: str = "500 Wrong", headers: Any = None) -> Any:
    """What an app does that has caught an exception."""
    try:
        raise ValueError("wrong")
    except ValueError:
        return start_response(status, [("A", "b")] if headers is None else headers, sys.exc_info())


def test_a_head_that_was_not_taken_is_replaced_with_exc_info() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", LENGTH_3)(b"")
        yield b""
        fail(start_response)
        yield b"sorry"

    assert sent(app) == (500, LINES, ["streamed", b"sorry"])


def test_a_first_head_may_have_exc_info() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        fail(start_response)
        return [b"sorry"]

    assert sent(app) == (500, LINES, [b"sorry"])


@pytest.mark.parametrize("written", [False, True])
def test_once_the_head_is_taken_exc_info_is_raised(written: bool) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        if written:
            write(b"one")
        else:
            yield b"one"
        fail(start_response)

    with pytest.raises(ValueError, match="wrong") as caught:
        sent(app)
    # The frame of start_response() does not keep the traceback that refers to it.
    frames = [entry.frame for entry in caught.traceback if entry.name == "start_response"]
    assert [frame.f_locals["exc_info"] for frame in frames] == [None]


@pytest.mark.parametrize(("status", "headers"), [("wrong", []), ("500 Wrong", [("A", 5)])])
def test_a_wrong_head_with_exc_info_leaves_the_first_one(status: str, headers: list[Any]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("A", "b")])
        with pytest.raises(ProtocolError):
            fail(start_response, status, headers)
        return [b"one"]

    assert sent(app) == (200, LINES, [b"one"])


@pytest.mark.parametrize("exc_info", [(), (None,), ((),)])
def test_a_second_head_without_exc_info_is_an_error(exc_info: tuple[Any, ...]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [], *exc_info)
        return []

    assert refused(app) == "start_response() was called again: expected exc_info with the second call"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "the status is of type int: expected str"),
        (b"200 OK", "the status is of type bytes: expected str"),
        ("OK", "the status is 'OK': expected 200 to 999, a space and a reason"),
        ("20 OK", "the status is '20 OK': expected 200 to 999, a space and a reason"),
        ("2000 OK", "the status is '2000 OK': expected 200 to 999, a space and a reason"),
        ("100 Continue", "the status is '100 Continue': expected 200 to 999, a space and a reason"),
        ("\u0662\u0660\u0660 OK", "the status is '\u0662\u0660\u0660 OK': expected 200 to 999, a space and a reason"),
    ],
)
def test_a_wrong_status_raises_in_the_app(status: Any, expected: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        reply([b""], [], status)
    assert str(caught.value) == expected


@pytest.mark.parametrize(("status", "number"), [("200", 200), ("299 ", 299), ("999 Custom reason", 999)])
def test_a_reason_may_be_missing(status: str, number: int) -> None:
    assert reply([b""], status=status)[0] == number


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("A", "b"),), "the headers are of type tuple: expected list"),
        (None, "the headers are of type NoneType: expected list"),
        ([("A",)], "a header is \"('A',)\": expected a tuple of name and value"),
        ([["A", "b"]], "a header is \"['A', 'b']\": expected a tuple of name and value"),
        (["Ab"], "a header is \"'Ab'\": expected a tuple of name and value"),
        ([(b"A", "b")], "the name of a header is of type bytes: expected str"),
        ([("\u20ac", "b")], "the name of a header is '\u20ac': expected characters up to U+00FF"),
        ([("A", 5)], "the value of 'a' is of type int: expected str"),
        ([("A", "\u20ac")], "the value of 'a' is '\u20ac': expected characters up to U+00FF"),
        ([("A", "b\r\nc")], "the value of 'a' is 'b\\r\\nc': expected no control characters"),
        ([("A", "b\x7f")], "the value of 'a' is 'b\\x7f': expected no control characters"),
        ([("Content-Length", "-1")], "the Content-Length is '-1': expected digits"),
        ([("Content-Length", "")], "the Content-Length is '': expected digits"),
        (LENGTH_3 * 2, "there are two headers Content-Length, 3 and 3: expected one at most"),
        ([("A", "b")] * 1025, "there are 1025 headers: expected 1024 at most"),
        ([("A", "b" * 1024)] * 1024, "the headers have 1049600 bytes: expected 1048576 at most"),
    ],
)
def test_a_wrong_header_raises_in_the_app(headers: Any, expected: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", headers)
        return []

    assert refused(app) == expected


def test_names_are_lowered_and_values_are_latin_1() -> None:
    given = [("X-A", "\xe9\tb"), ("x-a", ""), ("Connection", "close")]
    assert reply([b""], given)[1] == [(b"x-a", b"\xe9\tb"), (b"x-a", b""), (b"connection", b"close")]


# Failures, and `close()`.


@pytest.mark.parametrize("result", [[b"one"], [], Chunks(b"one"), Chunks()])
def test_a_body_without_a_head_is_an_error(result: Any) -> None:
    expected = "the app returned a body without a call of start_response()"
    assert refused(lambda environ, start_response: result) == expected
    assert isinstance(result, list) or result.closed == 1


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (["text"], "a chunk of the body is of type str: expected bytes"),
        ([b"one", None], "a chunk of the body is of type NoneType: expected bytes"),
        (iter([None]), "a chunk of the body is of type NoneType: expected bytes"),
        (Chunks(b"one", 5), "a chunk of the body is of type int: expected bytes"),
        ("text", "a chunk of the body is of type str: expected bytes"),
        (b"bytes", "a chunk of the body is of type int: expected bytes"),
        (None, "the app returned NoneType: expected an iterable of bytes"),
        (5, "the app returned int: expected an iterable of bytes"),
    ],
)
def test_a_body_that_is_not_of_bytes_is_an_error_that_names_the_type(result: Any, expected: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        reply(result)
    assert str(caught.value) == expected


@pytest.mark.parametrize("chunks", [Chunks(ValueError("wrong")), Chunks(b"one", ValueError("wrong"))])
def test_what_an_app_has_returned_is_closed_once_if_it_raises(chunks: Chunks) -> None:
    with pytest.raises(ValueError, match="wrong"):
        reply(chunks)
    assert chunks.closed == 1


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(3), TypeError("wrong")])
@pytest.mark.parametrize("late", [False, True])
def test_what_an_app_raises_is_passed_on(error: BaseException, late: bool) -> None:
    ended = []

    def generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        try:
            start_response("200 OK", [])
            if late:
                yield b"one"
            raise error
        finally:
            ended.append(1)

    def plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        raise error

    for app in (generator, plain):
        with pytest.raises(type(error)) as caught:
            sent(app)
        assert caught.value is error
    assert ended == [1]


def test_an_error_of_iter_is_the_apps() -> None:
    class Wrong(Chunks):
        def __iter__(self) -> Iterator[Any]:
            raise TypeError("of the app")

    chunks = Wrong()
    with pytest.raises(TypeError, match="of the app"):
        reply(chunks)
    assert chunks.closed == 1


def test_a_close_that_fails_after_a_whole_reply_is_logged_and_the_reply_is_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert reply(Chunks(b"abc", close=ValueError("wrong")), LENGTH_3)[2] == [b"abc"]
    assert caplog.messages == ["shop:app: close() raised after the reply was complete"]
    assert "ValueError: wrong" in caplog.text


def test_a_close_that_fails_does_not_replace_the_failure(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="first"):
        reply(Chunks(ValueError("first"), close=ValueError("second")))
    assert "ValueError: second" in caplog.text


def test_a_close_that_fails_after_a_stream_is_for_the_server() -> None:
    chunks = Chunks(b"one", b"two", close=ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        reply(chunks)
    assert chunks.closed == 1


# The standard library's judge of both sides.


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("chunks", [(), (b"abc",), (b"a\nb", b"c\n", b"d" * 70_000)])
@pytest.mark.parametrize("form", ["list", "generator", "written"])
def test_the_validator_of_the_standard_library_finds_nothing(method: str, chunks: tuple[bytes, ...], form: str) -> None:
    whole = b"".join(chunks)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        stream = environ["wsgi.input"]
        data = [stream.read(2), stream.readline(), *stream, *stream.readlines()]
        environ["wsgi.errors"].writelines(["line\n"])
        environ["wsgi.errors"].flush()
        write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-Size", str(len(whole)))])
        if form == "written":
            for chunk in data:
                write(chunk)
            return []
        return data if form == "list" else (chunk for chunk in data)

    headers = [(b"host", b"localhost"), (b"content-length", b"%d" % len(whole)), (b"x-a", b"b")]
    asked = scope(method, headers=headers, raw_path=b"/sub/a", root_path="/sub", query_string=b"a=b")
    number, lines, content = App("shop:app", validator(app))(asked, body(*chunks))
    got = content if isinstance(content, bytes) else b"".join(content)
    if not isinstance(content, bytes):
        content.close()  # type: ignore[attr-defined]
    assert (number, got) == (200, b"" if method == "HEAD" else whole)
    assert lines == [(b"content-type", b"text/plain"), (b"x-size", b"%d" % len(whole))]
