"""What a WSGI app is given: its environ, its input and the log of its errors."""

from __future__ import annotations

import io
import logging
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from httpy_rs._interface.message import ProtocolError
from httpy_rs._interface.wsgi import App
from tests.wsgi import body, environ, scope, sent


def test_the_environ_has_what_the_specification_and_frameworks_use() -> None:
    found = environ(
        method="PUT",
        raw_path=b"/sub/caf%C3%A9%2F//%ff",
        root_path="/sub",
        query_string=b"q=%20\xe9",
        headers=[
            (b"host", b"h"),
            (b"content-type", b"text/plain"),
            (b"content-length", b"3"),
            (b"accept", b"a/b"),
            (b"accept", b"c/d"),
            (b"x-a", b"1"),
            (b"x-a", b"\xe9"),
            (b"cookie", b"a=b; c=d"),
        ],
    )
    assert isinstance(found.pop("wsgi.input").read(), bytes)
    assert found.pop("wsgi.errors").write("") == 0
    assert found == {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "/sub",
        "PATH_INFO": "/caf\xc3\xa9///\xff",
        "QUERY_STRING": "q=%20\xe9",
        "RAW_URI": "/sub/caf%C3%A9%2F//%ff?q=%20\xe9",
        "REQUEST_URI": "/sub/caf%C3%A9%2F//%ff?q=%20\xe9",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "81",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
        "HTTP_HOST": "h",
        "HTTP_ACCEPT": "a/b,c/d",
        "HTTP_X_A": "1,\xe9",
        "HTTP_COOKIE": "a=b; c=d",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }


def test_an_environ_is_the_apps_own() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        sizes.append(len(environ))
        environ["mine"] = environ["wsgi.version"] = 1
        return []

    sizes: list[int] = []
    whole = App("shop:app", app, multiprocess=True)
    for _ in range(2):
        whole(scope(), body())
    assert sizes[0] == sizes[1]


def test_multiprocess_is_up_to_the_server() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [str(environ["wsgi.multiprocess"]).encode()]

    assert App("shop:app", app, multiprocess=True)(scope(), body())[2] == b"True"


@pytest.mark.parametrize(
    ("raw_path", "root_path", "expected"),
    [
        (b"/caf%C3%A9", "/caf\xe9", ("/caf\xc3\xa9", "")),
        (b"/caf%c3%a9/x", "/caf\xe9", ("/caf\xc3\xa9", "/x")),
        (b"/a%2Fb/c", "/a/b", ("/a/b", "/c")),
        (b"/%ff/x", "/\ufffd", ("", "/\xff/x")),
        (b"/a?", "", ("", "/a?")),
    ],
)
def test_the_prefix_is_found_in_the_path_however_it_is_encoded(
    raw_path: bytes, root_path: str, expected: tuple[str, str]
) -> None:
    found = environ(raw_path=raw_path, root_path=root_path)
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == expected


@pytest.mark.parametrize(("scheme", "port"), [("http", "80"), ("https", "443")])
def test_a_server_that_is_not_known_has_a_name_and_the_port_of_the_scheme(scheme: str, port: str) -> None:
    for server in (None, ("", None)):
        found = environ(server=server, scheme=scheme, client=None, http_version="2")
        assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("localhost", port)
        assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == ("", "")
        assert found["SERVER_PROTOCOL"] == "HTTP/2"


def test_a_header_whose_name_has_an_underscore_is_dropped() -> None:
    found = environ(headers=[(b"x_under", b"1"), (b"x-under", b"2"), (b"content_length", b"5")])
    assert found["HTTP_X_UNDER"] == "2"
    assert not {"HTTP_CONTENT_LENGTH", "CONTENT_LENGTH"} & found.keys()


def test_the_input_is_read_by_lines_and_ends_with_nothing() -> None:
    stream = environ(b"one\ntw", b"o\nthree\nfour")["wsgi.input"]
    assert stream.readline() == b"one\n"
    assert stream.readline(2) == b"tw"
    assert next(stream) == b"o\n"
    assert list(stream) == [b"three\n", b"four"]
    assert [stream.read(5), stream.read(), stream.readline()] == [b"", b"", b""]
    assert environ(b"a\nb")["wsgi.input"].readlines() == [b"a\n", b"b"]
    assert environ(b"ab", b"cd")["wsgi.input"].read(3) == b"abc"
    assert io.TextIOWrapper(environ(b"caf\xc3", b"\xa9")["wsgi.input"], "utf-8").read() == "caf\xe9"


def test_lines_of_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    errors = environ()["wsgi.errors"]
    print("one", 1, file=errors)
    errors.writelines(["two", "\n\nthree\nfo"])
    assert caplog.messages == ["one 1", "two", "three"]
    errors.write("ur")
    errors.flush()
    errors.flush()
    assert caplog.messages[3:] == ["four"]
    assert {(record.name, record.levelname) for record in caplog.records} == {("wsgi.errors", "ERROR")}


@pytest.mark.parametrize("result", [[b"one"], iter([b"one", b"two"]), None, ValueError("wrong")])
def test_an_unfinished_line_of_errors_is_logged_at_the_end(caplog: pytest.LogCaptureFixture, result: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.errors"].write("50% unfinished")
        start_response("200 OK", [])
        if isinstance(result, ValueError):
            raise result
        return result

    try:
        sent(app)
    except (ProtocolError, ValueError):
        assert result is None or isinstance(result, ValueError)
    assert caplog.messages == ["50% unfinished"]


def test_a_log_that_is_written_to_errors_does_not_go_in_circles(capsys: pytest.CaptureFixture[str]) -> None:
    errors = environ()["wsgi.errors"]
    handler = logging.StreamHandler(errors)
    logging.getLogger().addHandler(handler)
    try:
        logging.getLogger("shop").error("once")
    finally:
        logging.getLogger().removeHandler(handler)
    assert capsys.readouterr().err.splitlines() == ["once"]
