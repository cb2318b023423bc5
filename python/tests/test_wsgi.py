"""A WSGI app as the server calls it: its environ, its reply, and the rules that it may break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from httpy_rs._body import Body
from httpy_rs._interface.message import ProtocolError
from httpy_rs._interface.wsgi import App
from httpy_rs._load import load_wsgi
from tests.conftest import Failure, Write

LINES = [(b"a", b"b")]


class Chunks:
    """What an app returns: these chunks, or what is raised in place of one."""

    def __init__(self, *chunks: Any) -> None:
        self.chunks = list(chunks)
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self.chunks:
            raise StopIteration
        chunk = self.chunks.pop(0)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def close(self) -> None:
        self.closed += 1


def scope(method: str = "GET", **items: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 50000),
        "server": ("localhost", 81),
        **items,
    }


def body(*chunks: bytes) -> Body:
    left = [*chunks, None]
    return Body(lambda: left.pop(0) if left else None)


def environ(*chunks: bytes, **items: Any) -> dict[str, Any]:
    """What an app gets for this scope and this body."""
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    App(app)(scope(**items), body(*chunks))
    return seen[0]


def reply(
    result: Any, headers: Any = None, status: Any = "200 OK", method: str = "GET"
) -> tuple[int, Any, list[bytes]]:
    """The status and headers of what an app returns, and its chunks as they are sent."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [("A", "b")] if headers is None else headers)
        return result

    return sent(app, method)


def sent(app: Callable[..., Any], method: str = "GET") -> tuple[int, Any, list[bytes]]:
    number, lines, content = App(app)(scope(method), body())
    if isinstance(content, bytes):
        return number, lines, [content]
    chunks: list[Any] = ["streamed"]
    try:
        chunks.extend(content)
    finally:
        content.close()  # type: ignore[attr-defined]
    return number, lines, chunks


def test_the_environ_has_what_the_specification_and_frameworks_use() -> None:
    found = environ(
        method="PUT",
        raw_path=b"/sub/caf%C3%A9%2F%ff",
        root_path="/sub",
        query_string=b"q=%20x",
        headers=[
            (b"host", b"h"),
            (b"content-type", b"text/plain"),
            (b"content-length", b"3"),
            (b"x-a", b"1"),
            (b"x-a", b"\xe9"),
        ],
    )
    expected = {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "/sub",
        "PATH_INFO": "/caf\xc3\xa9/\xff",
        "QUERY_STRING": "q=%20x",
        "RAW_URI": "/sub/caf%C3%A9%2F%ff?q=%20x",
        "REQUEST_URI": "/sub/caf%C3%A9%2F%ff?q=%20x",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "81",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
        "HTTP_HOST": "h",
        "HTTP_X_A": "1,\xe9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {name: found[name] for name in expected} == expected


def test_a_header_whose_name_has_an_underscore_is_dropped() -> None:
    found = environ(headers=[(b"x_under", b"1"), (b"x-under", b"2")])
    assert found["HTTP_X_UNDER"] == "2"


def test_a_prefix_alone_leaves_no_path() -> None:
    found = environ(raw_path=b"/caf%C3%A9", root_path="/caf\xe9")
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/caf\xc3\xa9", "")


def test_the_input_is_read_by_lines_and_ends_with_nothing() -> None:
    stream = environ(b"one\ntw", b"o\nthree")["wsgi.input"]
    assert stream.readline() == b"one\n"
    assert list(stream) == [b"two\n", b"three"]
    assert stream.read(5) == stream.read() == b""
    assert environ(b"a\nb")["wsgi.input"].readlines() == [b"a\n", b"b"]


def test_errors_are_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    errors = environ()["wsgi.errors"]
    errors.write("one\n")
    errors.writelines(["two", "\n"])
    errors.flush()
    assert caplog.messages == ["one", "two"]
    assert {record.levelname for record in caplog.records} == {"ERROR"}


@pytest.mark.parametrize(
    ("result", "chunks"),
    [
        ([b"one"], [b"one"]),
        ([b"one", b"", b"two"], [b"onetwo"]),
        ((b"one", b"two"), [b"onetwo"]),
        ([], [b""]),
        (iter([]), [b""]),
        (iter([b"", b""]), [b""]),
        ([bytearray(b"one"), memoryview(b"two")], [b"onetwo"]),
        (iter([b"", b"one", b"", b"two"]), ["streamed", b"one", b"two"]),
        ([b"x" * 40_000] * 2, ["streamed", b"x" * 40_000, b"x" * 40_000]),
    ],
)
def test_short_lists_and_ends_are_one_reply_and_the_rest_is_streamed(result: Any, chunks: list[Any]) -> None:
    assert reply(result) == (200, LINES, chunks)


def test_a_body_whose_length_is_reached_is_complete_and_what_follows_is_not_asked_for() -> None:
    chunks = Chunks(b"abc", ValueError("asked for"))
    assert reply(chunks, [("Content-Length", "3")])[2] == [b"abc"]
    assert chunks.closed == 1
    chunks = Chunks(b"ab", b"c", ValueError("asked for"))
    assert reply(chunks, [("Content-Length", "3")])[2] == ["streamed", b"ab", b"c"]
    assert chunks.closed == 1


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")]
)
def test_a_reply_without_a_body_ends_with_the_first_chunk(method: str, status: str) -> None:
    chunks = Chunks(b"abc", ValueError("asked for"))
    assert reply(chunks, status=status, method=method)[2] == [b""]
    assert chunks.closed == 1


def test_start_response_may_come_with_the_first_chunk() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("201 Created", [("A", "b")])
        yield b"late"

    assert sent(app) == (201, LINES, ["streamed", b"late"])


def test_what_is_written_goes_out_before_the_chunk_that_follows() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        write = start_response("200 OK", [("A", "b")])
        write(b"one")
        yield b"two"
        write(b"three")
        yield b""
        write(b"four")

    assert sent(app) == (200, LINES, ["streamed", b"onetwo", b"three", b"four"])

    def listed(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("A", "b")])(b"one")
        return [b"two"]

    assert sent(listed) == (200, LINES, [b"onetwo"])


def test_a_head_that_was_not_taken_is_replaced_with_exc_info_and_else_raises_it() -> None:
    def failed(start_response: Any) -> Any:
        import sys

        try:
            raise ValueError("wrong")
        except ValueError:
            return start_response("500 Wrong", [("A", "b")], sys.exc_info())

    def before(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        failed(start_response)
        return [b"sorry"]

    assert sent(before) == (500, LINES, [b"sorry"])

    def after(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        failed(start_response)

    with pytest.raises(ValueError, match="wrong"):
        sent(after)


@pytest.mark.parametrize("chunks", [Chunks(ValueError("wrong")), Chunks(b"one", ValueError("wrong")), Chunks("text")])
def test_what_an_app_returned_is_closed_once_when_it_raises(chunks: Chunks) -> None:
    with pytest.raises((ValueError, ProtocolError)):
        reply(chunks)
    assert chunks.closed == 1


def test_a_file_is_sent_by_the_wrapper_and_closed() -> None:
    import io

    file = io.BytesIO(b"x" * 20_000)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file, 16_384)

    assert [len(chunk) for chunk in sent(app)[2][1:]] == [16_384, 3_616]
    assert file.closed


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, [], "the status is of type int: expected str"),
        ("OK", [], "the status is 'OK': expected 200 to 999"),
        ("2000 OK", [], "the status is '2000 OK': expected 200 to 999"),
        ("100 Continue", [], "the status is '100 Continue': expected 200 to 999"),
        ("200 OK", (("A", "b"),), "the headers are of type tuple: expected list"),
        ("200 OK", [("A", 5)], r"a header is \"\('A', 5\)\": expected a name and a value"),
        ("200 OK", [("A", "\u20ac")], "expected a name and a value of latin-1 text"),
        ("200 OK", [("A",)], "expected a name and a value"),
        ("200 OK", [("A", "b")] * 1025, "there are 1025 headers: expected 1024 at most"),
        ("200 OK", [("A", "b" * 1024)] * 1024, "expected 1048576 at most"),
    ],
)
def test_a_wrong_head_raises_in_the_app(status: Any, headers: Any, expected: str) -> None:
    with pytest.raises(ProtocolError, match=expected):
        reply([b""], headers, status)


def test_a_head_twice_none_and_a_wrong_chunk_are_errors() -> None:
    def twice(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(ProtocolError, match="called again without exc_info"):
        sent(twice)
    with pytest.raises(ProtocolError, match="without a call of start_response"):
        sent(lambda environ, start_response: [b"one"])
    with pytest.raises(ProtocolError, match="a chunk of the body is of type str: expected bytes"):
        reply(["text"])
    with pytest.raises(TypeError):
        reply(None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_the_validator_of_the_standard_library_finds_nothing(method: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        data = environ["wsgi.input"].read(100)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [data or b"none"]

    headers = [(b"host", b"localhost")]
    number, _, content = App(validator(app))(scope(method, headers=headers), body(b"abc"))
    chunks = [content] if isinstance(content, bytes) else list(content)
    if not isinstance(content, bytes):
        content.close()  # type: ignore[attr-defined]
    assert (number, b"".join(chunks)) == (200, b"" if method == "HEAD" else b"abc")


APPS = """
    import functools
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"app"]
    class Site:
        def __call__(self, environ, start_response):
            return app(environ, start_response)
        wsgi_app = __call__
    site = Site()
    def wrapper(*arguments, **named):
        return app(*arguments, **named)
    partial = functools.partial(lambda more, environ, start_response: app(environ, start_response), 5)
    def create_app():
        return app
    async def asgi(scope, receive, send):
        pass
    async def two(environ, start_response):
        pass
    def handler(method, path, params, query, headers, body):
        pass
    number = 5
"""


@pytest.mark.parametrize("name", ["app", "site", "site.wsgi_app", "wrapper", "partial", "create_app()"])
def test_apps_of_every_form_are_loaded(write: Write, name: str) -> None:
    write("wsgi_shop.py", APPS)
    app = load_wsgi(f"wsgi_shop:{name}", [])
    assert app(scope(), body())[2] == b"app"


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("number", "not_callable", "is of type int: expected a WSGI app"),
        ("asgi", "signature", ": is it an ASGI app?"),
        ("two", "signature", ": is it an ASGI app?"),
        ("handler", "signature", ": is it a handler?"),
        ("create_app", "signature", 'if it is a factory, the target is "wsgi_shop:create_app()"'),
    ],
)
def test_what_is_no_app_is_refused_with_what_was_found(
    write: Write, failure: Failure, name: str, kind: str, text: str
) -> None:
    write("wsgi_shop.py", APPS)
    found = failure(lambda: load_wsgi(f"wsgi_shop:{name}", []))
    assert found.kind == kind
    assert text in found.message
