"""ASGI apps that break a rule: what was found, and what was expected."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from httpy_rs._interface.message import ProtocolError
from tests.exchange import LAST, LINES, START, Client, Receive, Send, body, sends, start


def refused(*messages: Any, client: Client | None = None) -> str:
    """The error of the last of these messages, which is raised in the app."""
    client = client or Client()
    texts = []

    async def app(receive: Receive, send: Send) -> None:
        for message in messages[:-1]:
            await send(message)
        before = list(client.sent)
        with pytest.raises(ProtocolError) as caught:
            await send(messages[-1])
        texts.append(str(caught.value))
        assert client.sent == before
        raise KeyError  # else the call would fail for its reply

    with pytest.raises(KeyError):
        client.run(app)
    return texts[0]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((LAST,), "send() got 'http.response.body' out of order: expected 'http.response.start'"),
        ((START, START), "send() got 'http.response.start' out of order: expected 'http.response.body'"),
        (
            (START, body(b"", True), START),
            "send() got 'http.response.start' out of order: expected 'http.response.body'",
        ),
        ((START, LAST, LAST), "send() got 'http.response.body' after the last message of the response"),
        ((start(1), body(b"a"), LAST), "send() got 'http.response.body' after the last message of the response"),
        (("text",), "send() got a message of type str: expected a dict"),
        (({},), 'send() got a message whose "type" is of type NoneType: expected str'),
        (({"type": 5},), 'send() got a message whose "type" is of type int: expected str'),
        (({"type": "websocket.accept"},), "send() got 'websocket.accept': expected 'http.response.start'"),
        (
            (START, {"type": "http.response.pathsend", "path": "/file"}),
            "send() got 'http.response.pathsend': expected 'http.response.body', because scope['extensions'] does not "
            "have it",
        ),
        (
            (START, {"type": "http.response.trailers"}),
            "send() got 'http.response.trailers': expected 'http.response.body', because scope['extensions'] does not "
            "have it",
        ),
        (
            ({"type": "x" * 100},),
            f"send() got '{'x' * 64}...': expected 'http.response.start'",
        ),
        (({"type": "http.response.start"},), "the status is of type NoneType: expected int"),
        ((start(status="200"),), "the status is of type str: expected int"),
        ((start(status=True),), "the status is of type bool: expected int"),
        ((start(status=103),), "the status is 103: expected 200 to 999"),
        ((start(status=1000),), "the status is 1000: expected 200 to 999"),
        ((START, body("text")), "the body is of type str: expected bytes"),
        ((START, body(None)), "the body is of type NoneType: expected bytes"),
        ((START, body(b"one", True), body(5)), "the body is of type int: expected bytes"),
        ((start(4), body(b"abc")), "the body has 3 bytes: expected 4, as its Content-Length says"),
        ((start(2), body(b"abc")), "the body has 3 bytes: expected 2, as its Content-Length says"),
        (
            (start(5), body(b"abc", True), body(b"abc", True)),
            "the body has 6 bytes or more: expected 5, as its Content-Length says",
        ),
        ((start(5), body(b"abc", True), LAST), "the body has 3 bytes: expected 5, as its Content-Length says"),
        (
            (start(3), body(b"abc", True), body(b"d")),
            "the body has 4 bytes: expected 3, as its Content-Length says",
        ),
    ],
)
def test_a_message_that_breaks_a_rule_raises_in_the_app(messages: tuple[Any, ...], expected: str) -> None:
    assert refused(*messages) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (None, "the headers are of type NoneType: expected pairs of name and value"),
        ({b"name": b"value"}, "the headers are of type dict: expected pairs of name and value"),
        ([(b"name",)], "the headers are of type list: expected pairs of name and value"),
        ([("name", b"value")], "the name of a header is of type str: expected bytes"),
        ([(b"name", "value")], "the value of the header 'name' is of type str: expected bytes"),
        ([(b"name", 5)], "the value of the header 'name' is of type int: expected bytes"),
        ([(b"Content-Length", b"-1")], "the Content-Length is '-1': expected digits"),
        ([(b"content-length", b"")], "the Content-Length is '': expected digits"),
        ([(b"content-length", b"9" * 19)], f"the Content-Length is '{'9' * 19}': expected digits"),
        (
            [(b"content-length", b"1"), (b"content-length", b"2")],
            "there are two headers Content-Length, 1 and 2: expected one at most",
        ),
        ([(b"", b"")] * 1025, "there are 1025 headers: expected 1024 at most"),
        ([(b"n", b"v" * 1024)] * 1024, "the headers have 1049600 bytes: expected 1048576 at most"),
    ],
)
def test_a_wrong_header_raises_in_the_app(headers: Any, expected: str) -> None:
    assert refused({"type": "http.response.start", "status": 200, "headers": headers}) == expected


def test_after_a_refused_message_the_right_one_is_sent() -> None:
    async def app(receive: Receive, send: Send) -> None:
        with pytest.raises(ProtocolError):
            await send(LAST)
        await send(START)
        with pytest.raises(ProtocolError):
            await send(body("text"))
        await send(body(b"bytes"))

    assert Client().run(app) == [(200, LINES, b"bytes")]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)])
def test_a_reply_that_has_no_body_may_have_any_length(method: str, status: int) -> None:
    def sent(*messages: Any) -> Any:
        return Client(method=method).run(sends(*messages))

    head = start(5, status)
    lines = head["headers"]
    assert sent(head, LAST) == [(status, lines, b"")]
    assert sent(head, body(b"longer")) == [(status, lines, b"")]
    assert sent(head, body(b"a", True), LAST) == [(status, lines, b"")]
    assert sent(head, body(b"longer", True), body(b"more", True), LAST) == [(status, lines, b"")]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((), "the app returned without sending a response"),
        ((START,), "the app returned without a body after http.response.start"),
        ((START, body(b"", True)), "the app returned without completing its response"),
        ((start(5), body(b"abc", True)), "the app returned without completing its response"),
    ],
)
def test_an_app_that_returns_too_early_is_an_error(messages: tuple[Any, ...], expected: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        Client().run(sends(*messages))
    assert str(caught.value) == expected


def test_an_app_that_returns_what_it_should_have_awaited_is_an_error_that_says_so() -> None:
    async def app(receive: Receive, send: Send) -> object:
        inner.append(sends(START, LAST)(receive, send))
        return inner[0]

    inner: list[Any] = []
    with pytest.raises(ProtocolError, match=r"^the app returned \(coroutine\) without sending a response$"):
        Client().run(app)
    inner[0].close()


@pytest.mark.parametrize("messages", [(), (START,), (START, body(b"one", True)), (START, LAST)])
def test_what_the_app_raises_is_passed_on_before_and_after_the_reply(messages: tuple[Any, ...]) -> None:
    raised = SystemError("of the app")

    async def app(receive: Receive, send: Send) -> None:
        await sends(*messages)(receive, send)
        raise raised

    with pytest.raises(SystemError) as caught:
        Client().run(app)
    assert caught.value is raised


def test_an_app_runs_on_after_its_reply() -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        await sends(START, LAST)(receive, send)
        await asyncio.sleep(0)
        client.sent.append("background")

    assert client.run(app)[1:] == ["background"]
