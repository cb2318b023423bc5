"""`testing.call`: what it does beyond the vectors."""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from typing import Any

import pytest

import httpy_rs
from httpy_rs.testing import ContractFailure, LoadError, call


def go_request(method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any:
    """The published example's shape: a capture in, a header out."""
    return 200, f"hello {params['target'][0]}", {"X-Test": ["1", "2"]}


def echo_json(method: str, path: str, params: Any, query: Any, headers: Any, body: str) -> tuple[int, str, Any]:
    return 200, body, {"content-type": "application/json"}


def tell(*arguments: Any) -> Any:
    tell.request = httpy_rs.request()  # type: ignore[attr-defined]
    return 204, None, None


def told(*arguments: Any, **options: Any) -> httpy_rs.Request:
    call(tell, *arguments, **options)
    request: httpy_rs.Request = tell.request  # type: ignore[attr-defined]
    return request


def test_a_handler_is_called() -> None:
    response = call(go_request, path="/hello/you", route="/hello/:target")
    assert (response.status, response.text, response.body) == (200, "hello you", b"hello you")
    assert response.headers["x-test"] == "1"
    assert response.headers.get("X-TEST") == "1"
    assert response.headers.get("x-none") is None
    assert response.headers.get("x-none", "0") == "0"
    assert response.headers.get_list("x-Test") == ["1", "2"]
    assert "X-test" in response.headers
    assert "x-none" not in response.headers
    assert list(response.headers) == [
        ("X-Test", "1"),
        ("X-Test", "2"),
        ("Content-Type", "text/plain; charset=utf-8"),
    ]
    assert len(response.headers) == 3
    with pytest.raises(KeyError):
        response.headers["x-none"]


def test_a_response_shows_what_it_is() -> None:
    shown = repr(call(lambda *_: (201, b"a", {"X-A": "1", "Content-Type": "b"})))
    assert shown == "Response(status=201, headers=ResponseHeaders([('X-A', '1'), ('Content-Type', 'b')]), body=b'a')"


def test_a_target_is_loaded() -> None:
    with pytest.raises(ContractFailure, match=r"^builtins:print returned NoneType: expected a tuple"):
        call("builtins:print")


def test_a_target_that_does_not_load_is_refused() -> None:
    with pytest.raises(LoadError, match="no_such_module"):
        call("no_such_module:handler")


def test_a_function_that_the_server_would_refuse_is_refused() -> None:
    with pytest.raises(LoadError, match=r"<lambda> takes \(\): expected six positional arguments"):
        call(lambda: None)


def test_json_is_read() -> None:
    assert call(echo_json, "POST", body='{"a": [1]}').json() == {"a": [1]}
    with pytest.raises(ValueError, match="line 1 column 1"):
        call(echo_json, "POST", body="x").json()


@pytest.mark.parametrize("value", [{"item": "tea", "é": [1, None]}, [], "text", 1.5, None, False])
def test_json_is_sent_with_its_type(value: Any) -> None:
    def handler(method: Any, path: Any, params: Any, query: Any, headers: Any, body: str) -> Any:
        assert headers["Content-Type"] == ["application/json"]
        return 200, body, None

    assert call(handler, "POST", json=value).json() == value


def test_the_type_of_json_is_what_the_headers_say() -> None:
    given = {"content-type": "application/problem+json"}
    handler: Any = lambda *arguments: (200, arguments[4]["Content-Type"][0], None)  # noqa: E731
    assert call(handler, "POST", json={}, headers=given).text == "application/problem+json"


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        call(tell, json=float("nan"))
    with pytest.raises(TypeError, match="not JSON serializable"):
        call(tell, json=object())
    with pytest.raises(TypeError, match=r"^both body= and json= were given"):
        call(tell, body="a", json={})


@pytest.mark.parametrize("body", [{"item": "tea"}, {}, 5, None])
def test_a_body_that_is_none_is_refused_with_what_is_expected(body: Any) -> None:
    def reads(a: Any, b: Any, c: Any, d: Any, e: Any, body: httpy_rs.Body) -> Any:
        return 204, None, None

    for handler in (tell, reads):
        with pytest.raises(TypeError, match=rf"body is {type(body).__name__}: expected str, .* json= sends"):
            call(handler, body=body)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"X": 1}, r"^header 'X' is int: expected str, or a list of str$"),
        ({"X": None}, r"^header 'X' is NoneType"),
        ({"X": b"1"}, r"^header 'X' is bytes"),
        ({"X": ["1", 2]}, r"^header 'X' is int"),
        ([("X", 1)], r"^header 'X' is int"),
        ({1: "X"}, r"^header name 1 is int: expected str$"),
    ],
)
def test_headers_of_other_types_are_refused_with_what_was_found(headers: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(tell, headers=headers)


def test_text_gives_bytes_that_are_not_utf_8_as_surrogates() -> None:
    assert call(lambda *_: (200, b"a\xff", None)).text == "a\udcff"


def test_a_body_of_str_is_sent_as_utf_8() -> None:
    def handler(a: Any, b: Any, c: Any, d: Any, e: Any, body: bytes) -> Any:
        return 200, body, None

    assert call(handler, "POST", body="é\udcff").body == b"\xc3\xa9\xff"
    assert call(handler, "POST", body=b"\x00\xff").body == b"\x00\xff"


def test_an_exception_comes_through_as_it_is() -> None:
    error = SystemExit(3)

    def handler(*arguments: Any) -> Any:
        raise error

    with pytest.raises(SystemExit) as caught:
        call(handler)
    assert caught.value is error


def test_a_contract_failure_is_an_assertion_error_that_names_the_function() -> None:
    def handler(*arguments: Any) -> Any:
        return 200, "x"

    with pytest.raises(AssertionError) as caught:
        call(handler)
    assert type(caught.value) is ContractFailure
    assert str(caught.value) == (
        f"{__name__}:{handler.__qualname__} returned (int, str): expected 3 items (status, body, headers), found 2"
    )


def test_a_partial_is_named_by_its_type() -> None:
    with pytest.raises(ContractFailure, match=r"^functools:partial returned NoneType"):
        call(functools.partial(lambda *_: None))


def test_warnings_are_those_of_the_log() -> None:
    response = call(lambda *_: (204, "abc", {"Connection": "close"}))
    assert response.warnings == [
        "hop-by-hop headers were dropped: Connection",
        "a body of 3 bytes with status 204 was dropped",
    ]
    assert response.body == b""


def test_the_request_is_known() -> None:
    before = time.monotonic()
    request = told("GET", "/a%20b?x", route="/:name", extras={"user": ("ann", 1)}, deadline=5.0)
    after = time.monotonic()
    assert (request.target, request.route) == ("/a%20b?x", "/{name}")
    assert (request.client, request.scheme, request.http_version) == (("127.0.0.1", 50000), "http", "1.1")
    assert request.extras == {"user": ["ann", 1]}
    assert request.deadline is not None
    assert before + 5 <= request.deadline <= after + 5


def test_the_request_is_as_given() -> None:
    request = told(client=None, scheme="https", http_version="2", deadline=None)
    assert (request.client, request.scheme, request.http_version) == (None, "https", "2")
    assert (request.deadline, request.route, request.extras) == (None, None, {})


def test_extras_that_are_no_json_are_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        call(tell, extras={"user": object()})


def test_each_call_has_a_copy_of_the_context_that_is_there() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    variable.set("outside")
    seen = []

    def handler(*arguments: Any) -> Any:
        seen.append(variable.get())
        variable.set("inside")
        return 200, "", None

    call(handler)
    call(handler)
    assert seen == ["outside", "outside"]
    assert variable.get() == "outside"
    with pytest.raises(RuntimeError):
        httpy_rs.request()


def test_calls_may_run_on_several_threads_at_once() -> None:
    both_inside = threading.Barrier(2, timeout=30)
    found = []

    def handler(*arguments: Any) -> Any:
        both_inside.wait()
        return 200, httpy_rs.request().target, None

    threads = [
        threading.Thread(target=lambda path=path: found.append(call(handler, path=path).text)) for path in ("/1", "/2")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["/1", "/2"]


def headers_of(given: Any) -> Any:
    seen = {}

    def handler(method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any:
        seen.update(headers)
        return 204, None, None

    call(handler, headers=given)
    return seen


def test_headers_may_be_given_in_three_ways() -> None:
    assert headers_of({"x-a": "1"}) == {"X-A": ["1"], "Host": ["testserver"]}
    assert headers_of({"x-a": ["1", "2"], "host": "h"}) == {"X-A": ["1", "2"], "Host": ["h"]}
    assert headers_of([("x-a", "1"), ("X-A", " 2\t")]) == {"X-A": ["1", "2"], "Host": ["testserver"]}


@pytest.mark.parametrize(
    "options",
    [
        {"path": "hello"},
        {"path": ""},
        {"path": "/a b"},
        {"path": "/a\r\nb"},
        {"path": "/a#b"},
        {"path": "/\udcff"},
        {"method": "GE T"},
        {"method": ""},
        {"headers": {"X A": "1"}},
        {"headers": {"X-A": "€"}},
        {"headers": {"X-A": "1\n"}},
        {"path": "/other", "route": "/hello/{name}"},
        {"path": "/hello/", "route": "/hello/{name}"},
        {"path": "/hello/a/b", "route": "/hello/{name}"},
        {"path": "/files/", "route": "/files/{*rest}"},
        {"path": "/h%65llo", "route": "/hello"},
        {"path": "/a/b", "route": "/a%2Fb"},
    ],
)
def test_a_request_that_would_not_reach_the_handler_is_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|does not|codec"):
        call(tell, **options)


def test_a_route_that_is_no_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^route \"/<id>\": `<id>` is no capture: write `/{id}` or `/:id`$"):
        call(tell, path="/a", route="/<id>")


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/", {"n": "2", "a b": ["é", "&"]}, "/?n=2&a+b=%C3%A9&a+b=%26"),
        ("/?n=1", [("n", "2")], "/?n=1&n=2"),
        ("/", {"n": "\udcff"}, "/?n=%FF"),
        ("/", {}, "/"),
        ("/", None, "/"),
    ],
)
def test_a_query_is_added_to_the_path(path: str, query: Any, target: str) -> None:
    assert told("GET", path, query=query).target == target


def test_a_query_of_other_types_is_refused_with_what_was_found() -> None:
    with pytest.raises(TypeError, match=r"^query parameter 'n' is int: expected str, or a list of str$"):
        call(tell, query={"n": 2})  # type: ignore[arg-type]
