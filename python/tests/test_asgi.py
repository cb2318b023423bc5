"""ASGI apps: what they receive, and how their replies are sent."""

from __future__ import annotations

import asyncio
import gc
from http import HTTPStatus
from typing import Any

import pytest

from httpy_rs import BodyError
from httpy_rs._interface.asgi import App
from httpy_rs._interface.exchange import ClientGone
from tests.exchange import (
    DISCONNECT,
    LAST,
    LINES,
    START,
    Client,
    Receive,
    Send,
    at_once,
    body,
    request,
    run,
    sends,
    start,
    until_waiting,
)

# The request.


def test_the_app_gets_the_scope_with_a_copy_of_the_state() -> None:
    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        scopes.append(scope)
        scope["state"]["mine"] = 1
        await send(START)
        await send(LAST)

    scopes: list[dict[str, Any]] = []
    whole = App("shop:app", app)
    for _ in range(2):
        run(whole(Client()))
    assert [scope.pop("state") for scope in scopes] == [{"mine": 1}, {"mine": 1}]
    assert scopes[0] == {"type": "http", "method": "GET"}


def test_a_body_that_came_with_the_call_and_a_one_shot_reply_never_suspend() -> None:
    client = Client(b"abc")

    async def app(receive: Receive, send: Send) -> None:
        for work in (receive(), send(START), send(body(b"whole"))):
            assert asyncio.iscoroutine(work)
            result.append(at_once(work))

    result: list[Any] = []
    # Not even an event loop is needed.
    at_once(client.call(app))
    assert result == [request(b"abc"), None, None]
    assert client.sent == [(200, LINES, b"whole")]


def test_a_longer_body_comes_chunk_by_chunk_and_ends() -> None:
    client = Client(b"first", whole=False)

    async def app(receive: Receive, send: Send) -> None:
        messages.append(at_once(receive()))
        for chunk in (b"second", None):
            task = asyncio.create_task(receive())
            await until_waiting(task)
            client.asked[-1].set_result(chunk)
            messages.append(await task)
        await sends(START, LAST)(receive, send)

    messages: list[Any] = []
    client.run(app)
    assert messages == [request(b"first", True), request(b"second", True), request(b"")]


def test_after_the_body_receive_waits_until_the_client_has_left_and_says_so_again_and_again() -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        waiting = [asyncio.create_task(receive()) for _ in range(2)]
        await until_waiting(waiting[0])
        client.leave()
        assert await asyncio.gather(*waiting) == [DISCONNECT, DISCONNECT]
        assert [await receive(), await receive()] == [DISCONNECT, DISCONNECT]

    assert client.run(app) == []


def test_a_receive_that_waits_is_woken_by_the_end_of_the_reply() -> None:
    client = Client(whole=False)

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        chunk = asyncio.create_task(receive())
        await until_waiting(chunk)
        await sends(START, LAST)(receive, send)
        assert await chunk == DISCONNECT

    client.run(app)
    client = Client()

    async def app_of_whole_body(receive: Receive, send: Send) -> None:
        await receive()
        leaving = asyncio.create_task(receive())
        await until_waiting(leaving)
        await sends(start(3), body(b"abc", True))(receive, send)
        assert await leaving == DISCONNECT
        assert await receive() == DISCONNECT

    client.run(app_of_whole_body)


def test_receive_after_the_reply_gives_disconnect_even_if_the_body_was_not_read() -> None:
    async def app(receive: Receive, send: Send) -> None:
        await sends(START, LAST)(receive, send)
        assert await receive() == DISCONNECT

    Client(b"abc", whole=False).run(app)


@pytest.mark.parametrize("status", [400, 408, 413])
def test_a_body_that_breaks_off_is_a_disconnect(status: int) -> None:
    client = Client(b"first", whole=False)

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        task = asyncio.create_task(receive())
        await until_waiting(task)
        client.asked[0].set_exception(BodyError("broken off", status))
        assert [await task, await receive()] == [DISCONNECT, DISCONNECT]
        with pytest.raises(ClientGone):
            await send(START)

    assert client.run(app) == []


def test_a_cancelled_receive_loses_no_chunk() -> None:
    client = Client(whole=False)

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        task = asyncio.create_task(receive())
        await until_waiting(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        client.asked[0].set_result(b"chunk")
        assert await receive() == request(b"chunk", True)
        assert len(client.asked) == 1
        await sends(START, LAST)(receive, send)

    client.run(app)


def test_a_body_that_breaks_off_when_no_receive_waits_is_not_logged_by_asyncio() -> None:
    client = Client(whole=False)

    async def app(receive: Receive, send: Send) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: logged.append(context))
        await receive()
        task = asyncio.create_task(receive())
        await until_waiting(task)
        task.cancel()
        await asyncio.wait([task])
        client.asked.pop().set_exception(BodyError("broken off"))
        await sends(START, LAST)(receive, send)

    logged: list[Any] = []
    client.run(app)
    gc.collect()
    assert logged == []


def test_two_that_receive_at_a_time_get_different_chunks() -> None:
    client = Client(whole=False)

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        tasks = [asyncio.create_task(receive()) for _ in range(2)]
        for chunk in (b"one", None):
            await until_waiting(tasks[1])
            client.asked[-1].set_result(chunk)
        assert await asyncio.gather(*tasks) == [request(b"one", True), request(b"")]
        await sends(START, LAST)(receive, send)

    client.run(app)


@pytest.mark.parametrize("whole", [True, False])
def test_receives_that_are_cancelled_at_once_to_see_whether_the_client_has_left_add_up_to_nothing(whole: bool) -> None:
    client = Client(whole=whole)

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        for _ in range(3):
            task = asyncio.create_task(receive())
            await until_waiting(task)
            task.cancel()
            await asyncio.wait([task])
        asked: list[asyncio.Future[Any]] = [*client.asked, *client.leaving]
        (future,) = asked
        assert len(future._callbacks or ()) <= 1
        client.leave()
        assert at_once(receive()) == DISCONNECT

    client.run(app)


# The reply in one piece.


def test_the_head_waits_for_the_first_body_message() -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        await send(START)
        assert client.sent == []
        await send(LAST)
        assert client.sent == [(200, LINES, b"")]

    client.run(app)


def test_a_reply_whose_length_is_reached_is_one_answer_and_what_follows_is_ignored() -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        await sends(start(5), body(b"whole", True))(receive, send)
        assert len(client.sent) == 1
        # The client has what it wanted, and leaves.
        client.leave()
        await send(body(b"", True))
        for message in (body(b""), START):
            at_once(send(message))

    with pytest.raises(ClientGone):
        client.run(app)
    assert client.sent == [(200, [(b"content-length", b"5")], b"whole")]


def test_a_reply_whose_length_is_reached_needs_no_last_message() -> None:
    assert Client().run(sends(start(0), body(b"", True))) == [(200, [(b"content-length", b"0")], b"")]


@pytest.mark.parametrize("part", [b"abc", bytearray(b"abc"), memoryview(b"abc"), type("Bytes", (bytes,), {})(b"abc")])
def test_whatever_has_bytes_is_sent_as_bytes(part: Any) -> None:
    (sent,) = Client().run(sends(START, body(part)))
    assert sent == (200, LINES, b"abc")
    assert type(sent[2]) is bytes
    assert Client().run(sends(START, body(part, True), LAST)) == [(200, LINES), b"abc", "end"]


def test_names_of_headers_are_lowered_and_lists_are_pairs_too() -> None:
    head = {"type": "http.response.start", "status": HTTPStatus.OK, "headers": iter([[b"X-Name", bytearray(b"Value")]])}
    (sent,) = Client().run(sends(head, LAST))
    assert sent == (200, [(b"x-name", b"Value")], b"")
    assert [type(item) for item in (sent[0], sent[1][0][1])] == [int, bytes]


def test_headers_and_body_may_be_missing() -> None:
    assert Client().run(sends({"type": "http.response.start", "status": 404}, LAST)) == [(404, [], b"")]


# The reply in chunks.


def test_a_stream_is_begun_by_its_first_body_message_even_an_empty_one() -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        at_once(send(START))
        assert client.sent == []
        at_once(send(body(b"", True)))
        assert client.sent == [(200, LINES)]
        for message in (body(b"one", True), body(b"", True), body(b"two", True), LAST):
            at_once(send(message))

    client.run(app)
    assert client.sent == [(200, LINES), b"one", b"two", "end"]


def test_a_stream_ends_with_its_last_chunk_or_its_length() -> None:
    lines = [(b"content-length", b"6")]
    assert Client().run(sends(start(6), body(b"one", True), body(b"two"))) == [(200, lines), b"one", b"two", "end"]
    messages = (start(6), body(b"one", True), body(b"two", True), body(b"", True), LAST)
    assert Client().run(sends(*messages)) == [(200, lines), b"one", b"two", "end"]


def test_send_waits_until_there_is_room() -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        room = asyncio.get_running_loop().create_future()
        client.taken = [room]
        await send(START)
        task = asyncio.create_task(send(body(b"one", True)))
        await until_waiting(task)
        assert client.sent == [(200, LINES), b"one"]
        room.set_result(True)
        await task
        await send(LAST)

    client.run(app)
    assert client.sent == [(200, LINES), b"one", "end"]


def test_of_tasks_that_send_beside_each_other_one_waits_for_the_other() -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        rooms = [asyncio.get_running_loop().create_future() for _ in range(2)]
        client.taken = list(rooms)
        await send(START)
        tasks = [asyncio.create_task(send(body(part, True))) for part in (b"one", b"two")]
        await until_waiting(tasks[1])
        assert client.sent == [(200, LINES), b"one"]
        rooms[0].set_result(True)
        await tasks[0]
        await until_waiting(tasks[1])
        rooms[1].set_result(True)
        await tasks[1]
        await send(LAST)

    client.run(app)
    assert client.sent == [(200, LINES), b"one", b"two", "end"]


def test_tasks_that_wait_when_the_app_raises_hear_that_the_client_has_left() -> None:
    client = Client()
    tasks: list[asyncio.Task[Any]] = []

    async def app(receive: Receive, send: Send) -> None:
        client.taken = [asyncio.get_running_loop().create_future()]
        await receive()
        await send(START)
        tasks.extend(asyncio.create_task(work) for work in (send(body(b"one", True)), receive()))
        await until_waiting(tasks[1])
        raise ValueError("wrong")

    async def main() -> None:
        with pytest.raises(ValueError, match="wrong"):
            await client.call(app)
        with pytest.raises(ClientGone):
            await tasks[0]
        assert await tasks[1] == DISCONNECT

    run(main())


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_stream_that_has_no_body_is_complete_with_its_head(method: str, status: int) -> None:
    client = Client(method=method)

    async def app(receive: Receive, send: Send) -> None:
        await receive()
        leaving = asyncio.create_task(receive())
        await sends(start(status=status), body(b"one", True))(receive, send)
        # It never ends, and others run all the same.
        while not leaving.done():
            await send(body(b"more", True))
        assert await leaving == DISCONNECT

    assert client.run(app) == [(status, [], b"")]


def test_a_last_chunk_that_waits_is_not_ended_twice_by_tasks_that_send_beside_each_other() -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        room = asyncio.get_running_loop().create_future()
        client.taken = [True, room]
        await sends(START, body(b"one", True))(receive, send)
        task = asyncio.create_task(send(body(b"two")))
        await until_waiting(task)
        await send(LAST)
        room.set_result(True)
        await task

    client.run(app)
    assert client.sent == [(200, LINES), b"one", b"two", "end"]


# The client leaves.


def test_every_send_raises_an_error_of_the_system_once_the_client_has_left() -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        await sends(START, body(b"one", True))(receive, send)
        client.leave()
        for message in (body(b"two", True), LAST, START):
            with pytest.raises(OSError, match=r"^the client has left$"):
                await send(message)
        raise ValueError("of the app")

    with pytest.raises(ValueError, match="of the app"):
        client.run(app)
    assert client.sent == [(200, LINES), b"one"]


@pytest.mark.parametrize("late", [False, True])
def test_a_chunk_that_is_not_taken_means_that_the_client_has_left(late: bool) -> None:
    client = Client()

    async def app(receive: Receive, send: Send) -> None:
        room = asyncio.get_running_loop().create_future()
        room.set_result(False)
        client.taken = [room if late else False]
        await send(START)
        for message in (body(b"one", True), body(b"two", True)):
            with pytest.raises(ClientGone):
                await send(message)
        assert [await receive(), await receive()] == [request(b""), DISCONNECT]

    client.run(app)
    assert client.sent == [(200, LINES), b"one"]


def test_an_app_whose_client_has_left_may_return_without_a_reply() -> None:
    client = Client()
    client.leave()
    assert client.run(sends()) == []


def test_an_app_that_receives_for_ever_does_not_keep_the_event_loop() -> None:
    async def app(receive: Receive, send: Send) -> None:
        await send(START)
        await send(LAST)
        while True:
            await receive()

    async def play() -> None:
        task = asyncio.create_task(Client().call(app))
        await until_waiting(task)
        task.cancel()

    run(play())
