"""WebSockets of ASGI apps: what they receive, and what becomes of what they send."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from httpy_rs import BodyError
from httpy_rs._interface.exchange import ClientGone
from httpy_rs._interface.message_stream import BINARY, CLOSE, TEXT, Messages, decode_close, encode, encode_close
from tests.exchange import Body, Client, Receive, Send, run, sends, until_waiting

CONNECT = {"type": "websocket.connect"}
ACCEPT: dict[str, Any] = {"type": "websocket.accept"}
CLOSED: dict[str, Any] = {"type": "websocket.close"}
NORMAL = encode_close(1000, "")


class SocketClient(Client):
    """An `Exchange` of a WebSocket."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(whole=False)
        self.scope = {"type": "websocket", "headers": list(headers)}

    def gives(self, data: bytes | None) -> None:
        """Answers what waits for a chunk."""
        self.asked[-1].set_result(data)


def text(data: str) -> dict[str, Any]:
    return {"type": "websocket.send", "text": data}


def disconnect(code: int, reason: str = "") -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def refused(app: Body) -> str:
    """What the `RuntimeError` of an app says."""
    with pytest.raises(RuntimeError) as raised:
        SocketClient().run(app)
    return str(raised.value)


# The handshake.


def test_the_scope_has_the_subprotocols_in_the_order_of_the_client() -> None:
    client = SocketClient((b"sec-websocket-protocol", b"a, b"), (b"x", b"y"), (b"sec-websocket-protocol", b"c,"))
    client.run(sends(CLOSED))
    assert client.scope["subprotocols"] == ["a", "b", "c"]
    assert client.scope["extensions"] == {"websocket.http.response": {}}
    assert client.scope["state"] == {}


def test_an_app_accepts_with_headers_and_a_subprotocol() -> None:
    accept = {**ACCEPT, "subprotocol": "b", "headers": [(b"X-A", b"1")]}
    lines = [(b"x-a", b"1"), (b"sec-websocket-protocol", b"b")]
    assert SocketClient().run(sends(accept, CLOSED)) == [(101, lines), NORMAL, "end"]


def test_an_app_that_closes_before_it_has_accepted_refuses_with_403() -> None:
    assert SocketClient().run(sends(CLOSED)) == [(403, [], b"")]


def test_an_app_refuses_with_a_response_of_its_own() -> None:
    start = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"y")]}
    part = {"type": "websocket.http.response.body", "body": b"a", "more_body": True}
    last = {"type": "websocket.http.response.body", "body": b"b"}
    assert SocketClient().run(sends(start, last)) == [(401, [(b"x", b"y")], b"b")]
    assert SocketClient().run(sends(start, part, last)) == [(401, [(b"x", b"y")]), b"a", b"b", "end"]


def test_an_app_that_returns_without_an_answer_has_broken_a_rule() -> None:
    assert refused(sends()) == (
        "the app returned without sending websocket.accept, websocket.close or websocket.http.response.start"
    )
    start = {"type": "websocket.http.response.start", "status": 401}
    assert refused(sends(start)) == "the app returned without sending websocket.http.response.body"


def test_a_client_that_leaves_before_the_answer_is_a_disconnect() -> None:
    client = SocketClient()
    got: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        got.append(await receive())
        got.append(await receive())
        with pytest.raises(ClientGone):
            await send(ACCEPT)

    async def play() -> None:
        task = asyncio.create_task(client.call(app))
        await until_waiting(task)
        client.gone = True
        client.asked[-1].set_exception(BodyError("the client has gone", 400))
        await task

    run(play())
    assert got == [CONNECT, disconnect(1006)]
    assert client.sent == []


# Messages.


async def echo(receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def play_echo(*chunks: bytes | None) -> list[Any]:
    client = SocketClient()

    async def play() -> None:
        task = asyncio.create_task(client.call(echo))
        for chunk in chunks:
            await until_waiting(task)
            client.gives(chunk)
        await task

    run(play())
    return client.sent[1:]


def test_messages_come_one_by_one_wherever_the_stream_is_cut() -> None:
    messages = [encode(TEXT, "h\u00e9".encode()), encode(BINARY, b""), encode(BINARY, b"x" * 1000), encode(TEXT, b"")]
    stream = b"".join([*messages, encode_close(1000, "")])
    for cut in (1, 2, 3, 7, 500, len(stream)):
        chunks = [stream[begin : begin + cut] for begin in range(0, len(stream), cut)]
        # A client that closes is told nothing more; the call still has an end.
        assert play_echo(*chunks) == [*messages, NORMAL, "end"], cut


def test_a_stream_that_ends_without_a_close_is_a_connection_that_was_lost() -> None:
    got: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        for _ in range(2):
            got.append(await receive())
        with pytest.raises(OSError, match="the client has left"):
            await send(text("x"))

    client = SocketClient()

    async def play() -> None:
        task = asyncio.create_task(client.call(app))
        await until_waiting(task)
        client.gives(None)
        await task

    run(play())
    assert got == [disconnect(1005)] * 2


def test_an_app_that_closes_hears_that_and_sends_nothing_more() -> None:
    got: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        waits = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await send({**CLOSED, "code": 3001, "reason": "why"})
        got.append(await waits)
        got.append(await receive())
        with pytest.raises(RuntimeError, match=r"'websocket.send' out of order: expected no more messages"):
            await send(text("x"))

    client = SocketClient()
    assert client.run(app)[1:] == [encode_close(3001, "why"), "end"]
    assert got == [disconnect(3001, "why")] * 2


def test_a_receive_that_is_cancelled_loses_no_message() -> None:
    got: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        waits = asyncio.create_task(receive())
        await asyncio.sleep(0)
        waits.cancel()
        got.append(await receive())
        assert waits.cancelled()

    client = SocketClient()

    async def play() -> None:
        task = asyncio.create_task(client.call(app))
        await until_waiting(task)
        client.gives(encode(TEXT, b"a"))
        await task

    run(play())
    assert got == [{"type": "websocket.receive", "text": "a"}]
    assert len(client.asked) == 1


def test_each_of_two_tasks_that_wait_gets_a_message() -> None:
    got: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        got.extend(await asyncio.gather(receive(), receive()))

    client = SocketClient()

    async def play() -> None:
        task = asyncio.create_task(client.call(app))
        for data in ("a", "b"):
            await until_waiting(task)
            client.gives(encode(TEXT, data.encode()))
        await task

    run(play())
    assert sorted(message["text"] for message in got) == ["a", "b"]


def test_a_task_that_once_survived_its_cancellation_hears_of_the_end() -> None:
    got: list[Any] = []

    async def app(receive: Receive, send: Send) -> None:
        async def reader() -> None:
            try:
                await receive()
            except asyncio.CancelledError:
                got.append(await receive())

        await receive()
        await send(ACCEPT)
        waits = asyncio.create_task(reader())
        await asyncio.sleep(0)
        waits.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        await send(CLOSED)
        await waits

    SocketClient().run(app)
    assert got == [disconnect(1000)]


def test_an_app_that_receives_for_ever_does_not_keep_the_event_loop() -> None:
    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(CLOSED)
        while True:
            await receive()

    async def play() -> None:
        task = asyncio.create_task(SocketClient().call(app))
        await until_waiting(task)
        task.cancel()

    run(play())


def test_a_close_behind_a_client_that_has_left_is_no_failure() -> None:
    async def app(receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await receive()
        await send({**CLOSED, "code": 1011})

    client = SocketClient()

    async def play() -> None:
        task = asyncio.create_task(client.call(app))
        await until_waiting(task)
        client.gives(None)
        await task

    run(play())
    assert client.sent[-1] == "end"


def test_a_refusal_needs_no_code_that_may_be_sent() -> None:
    assert SocketClient().run(sends({**CLOSED, "code": 1006, "reason": ["q", "missing"]})) == [(403, [], b"")]


def test_a_refusal_in_parts_goes_on_while_a_task_waits_for_a_message() -> None:
    start = {"type": "websocket.http.response.start", "status": 401}
    part = {"type": "websocket.http.response.body", "body": b"a", "more_body": True}
    client = SocketClient()

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        waits = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await send(start)
        await send(part)
        client.asked[-1].set_exception(BodyError("the client has gone", 400))
        assert await waits == disconnect(1006)
        await send({**part, "more_body": False})

    assert client.run(app) == [(401, []), b"a", b"a", "end"]


def test_a_message_waits_for_room_and_others_wait_behind_it() -> None:
    client = SocketClient()

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await asyncio.gather(send(text("a")), send(text("b")))

    async def play() -> None:
        room: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        client.taken.append(room)
        task = asyncio.create_task(client.call(app))
        await until_waiting(task)
        assert client.sent[1:] == [encode(TEXT, b"a")]
        room.set_result(True)
        await task

    run(play())
    assert client.sent[1:] == [encode(TEXT, b"a"), encode(TEXT, b"b"), NORMAL, "end"]


def test_a_sender_that_waits_for_room_goes_on_when_another_task_closes() -> None:
    client = SocketClient()

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        waits = asyncio.create_task(send(text("a")))
        await asyncio.sleep(0)
        await send(CLOSED)
        await waits

    async def play() -> None:
        client.taken.append(asyncio.get_running_loop().create_future())
        await client.call(app)

    run(play())
    assert client.sent[1:] == [encode(TEXT, b"a"), NORMAL, "end"]


def test_a_client_that_leaves_behind_a_message_is_no_failure_of_that_one() -> None:
    client = SocketClient()

    async def app(receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(text("a"))
        with pytest.raises(ClientGone):
            await send(text("b"))

    async def play() -> None:
        room: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        client.taken.append(room)
        task = asyncio.create_task(client.call(app))
        await until_waiting(task)
        client.gone = True
        room.set_result(False)
        await task

    run(play())


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"type": "websocket.send"}, "the message has neither bytes nor text"),
        (text("\ud800"), "the text is not Unicode: surrogates not allowed"),
        ({"type": "websocket.send", "text": b"x"}, "the item text is of type bytes: expected str"),
        ({"type": "websocket.send", "bytes": "x"}, "the item bytes is of type str: expected bytes"),
        ({**CLOSED, "code": 1006}, "the code is 1006: expected one that may be sent, such as 1000 or 3000 to 4999"),
        (
            {**CLOSED, "code": "x"},
            "the code is of type str: expected one that may be sent, such as 1000 or 3000 to 4999",
        ),
        ({**CLOSED, "reason": "x" * 124}, "the reason has 124 bytes: expected 123 at most"),
        ({**CLOSED, "reason": b"x"}, "the reason is of type bytes: expected str"),
        (ACCEPT, "send() got 'websocket.accept' out of order: expected websocket.send or websocket.close"),
        ({"type": "http.response.start"}, "send() got 'http.response.start' out of order: expected websocket.send or"),
    ],
)
def test_a_wrong_message_is_refused_with_what_was_expected(message: dict[str, Any], error: str) -> None:
    assert refused(sends(ACCEPT, message)).startswith(error)


@pytest.mark.parametrize(
    ("accept", "error"),
    [
        ({"subprotocol": b"x"}, "the subprotocol is of type bytes: expected str"),
        (
            {"headers": [(b"Sec-WebSocket-Protocol", b"x")]},
            "the headers have 'sec-websocket-protocol', which is up to",
        ),
        ({"headers": [("x", b"y")]}, "the name of a header is of type str: expected bytes"),
    ],
)
def test_a_wrong_accept_is_refused(accept: dict[str, Any], error: str) -> None:
    assert refused(sends({**ACCEPT, **accept})).startswith(error)


# The form of messages.


def test_the_form_is_that_of_the_vectors() -> None:
    path = Path(__file__).parents[2] / "tests/vectors/messages.json"
    for kind, payload, expected in json.loads(path.read_text()):
        name, _, code = kind.partition(" ")
        if name == "close":
            encoded = encode_close(int(code), payload)
        else:
            encoded = encode(TEXT if name == "text" else BINARY, payload.encode())
        assert encoded.hex() == expected
        messages = Messages()
        messages.feed(encoded)
        found = messages.take()
        assert found is not None
        if name == "close":
            assert (found[0], decode_close(found[1])) == (CLOSE, (int(code), payload))
        else:
            assert found == (TEXT if name == "text" else BINARY, payload.encode())
