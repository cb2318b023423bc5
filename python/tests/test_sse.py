"""`sse()`: what a client reads back, and what is refused."""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import httpy_rs
from httpy_rs._event_stream import parse
from httpy_rs._events import Events
from httpy_rs._sse import AsyncEvents, SyncEvents
from httpy_rs.testing import ReceivedEvent


def sent(*events: Any) -> bytes:
    _, body, _ = httpy_rs.sse(events)
    assert isinstance(body, SyncEvents)
    return b"".join(body)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("hello", b"data: hello\n\n"),
        ("", b"data: \n\n"),
        ("a\nb\rc\r\nd\n\re", b"data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n\n"),
        ("a\x0bb\x0cc\x1cd\x85e\u2028f", "data: a\x0bb\x0cc\x1cd\x85e\u2028f\n\n".encode()),
        (" a: b", b"data:  a: b\n\n"),
        ("é\udcff", b"data: \xc3\xa9\xff\n\n"),
        ({"data": "a\n"}, b"data: a\ndata: \n\n"),
        ({"data": {"a": [1, None]}}, b'data: {"a": [1, null]}\n\n'),
        ({"data": None}, b"data: null\n\n"),
        ({"data": "é", "id": "7", "event": "tick", "retry": 10}, b"event: tick\nid: 7\nretry: 10\ndata: \xc3\xa9\n\n"),
        ({"id": 12}, b"id: 12\n\n"),
        ({"id": ""}, b"id: \n\n"),
        ({"retry": 0}, b"retry: 0\n\n"),
        ({"comment": "a\r\nb"}, b": a\n: b\n\n"),
    ],
)
def test_an_event_goes_out_as_the_standard_writes_it(event: Any, expected: bytes) -> None:
    assert sent(event) == expected


def test_each_event_is_one_chunk() -> None:
    _, body, _ = httpy_rs.sse(["a", {"data": "b", "id": "1"}])
    assert isinstance(body, SyncEvents)
    assert list(body) == [b"data: a\n\n", b"id: 1\ndata: b\n\n"]


def test_a_member_of_an_enum_is_its_text() -> None:
    class Kind(str, enum.Enum):  # noqa: UP042 - its `str()` is another text
        TICK = "tick"

    assert sent({"data": Kind.TICK, "event": Kind.TICK}) == b"event: tick\ndata: tick\n\n"


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (3, TypeError, "event 2 is int: expected str or dict"),
        (b"a", TypeError, "event 2 is bytes: expected str or dict"),
        (None, TypeError, "event 2 is NoneType: expected str or dict"),
        ({}, ValueError, "event 2 is empty: expected at least one of data, event, id, retry, comment"),
        (
            {"data": "a", "name": "b"},
            ValueError,
            "event 2 has the key 'name': expected only data, event, id, retry, comment",
        ),
        ({1: "a"}, ValueError, "event 2 has the key 1: expected only data, event, id, retry, comment"),
        ({"event": "a"}, ValueError, "event 2 has no data: clients drop an event that has only a type"),
        ({"data": "", "event": 1}, TypeError, "event of event 2 is int: expected str"),
        ({"data": "", "event": "a\nb"}, ValueError, "event of event 2 is 'a\\nb': expected text without '\\n'"),
        ({"data": "", "event": "a\r"}, ValueError, "event of event 2 is 'a\\r': expected text without '\\r'"),
        ({"id": 1.5}, TypeError, "id of event 2 is float: expected str or int"),
        ({"id": True}, TypeError, "id of event 2 is bool: expected str or int"),
        ({"id": "a\nb"}, ValueError, "id of event 2 is 'a\\nb': expected text without '\\n'"),
        ({"id": "a\rdata: b"}, ValueError, "id of event 2 is 'a\\rdata: b': expected text without '\\r'"),
        ({"id": "a\0"}, ValueError, "id of event 2 is 'a\\x00': expected text without '\\x00'"),
        ({"retry": "10"}, TypeError, "retry of event 2 is str: expected milliseconds as int"),
        ({"retry": True}, TypeError, "retry of event 2 is bool: expected milliseconds as int"),
        ({"retry": -1}, ValueError, "retry of event 2 is -1: expected 0 milliseconds or more"),
        ({"comment": 1}, TypeError, "comment of event 2 is int: expected str"),
        (
            {"data": b"a"},
            TypeError,
            "data of event 2 is no str and cannot be sent as JSON: Object of type bytes is not JSON serializable",
        ),
        (
            "a\ud800",
            ValueError,
            "data of event 2 has U+D800: expected text that encodes as UTF-8 (surrogates U+DC80 to U+DCFF stand for "
            "bytes, PEP 383)",
        ),
        (
            {"comment": "\udc7f"},
            ValueError,
            "comment of event 2 has U+DC7F: expected text that encodes as UTF-8 (surrogates U+DC80 to U+DCFF stand for "
            "bytes, PEP 383)",
        ),
    ],
)
def test_what_is_no_event_is_refused_where_it_would_be_sent(event: Any, kind: type[Exception], message: str) -> None:
    _, body, _ = httpy_rs.sse(["first", event])
    assert isinstance(body, SyncEvents)
    assert next(body) == b"data: first\n\n"
    with pytest.raises(kind) as caught:
        next(body)
    assert str(caught.value) == message


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^data of event 1 is no str and cannot be sent as JSON: "):
        sent({"data": float("nan")})


def test_the_reply_is_one_that_caches_and_proxies_pass_on() -> None:
    status, body, headers = httpy_rs.sse([])
    assert status == 200
    assert headers == {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    assert body.heartbeat == 15.0


def test_headers_and_status_may_be_given() -> None:
    status, _, headers = httpy_rs.sse([], status=204, headers={"cache-control": "no-store", "X-A": ["1", "2"]})
    assert status == 204
    assert headers == {
        "Content-Type": "text/event-stream",
        "X-Accel-Buffering": "no",
        "cache-control": "no-store",
        "X-A": ["1", "2"],
    }


@pytest.mark.parametrize("heartbeat", [None, 0.1, 1, 3600.0])
def test_the_heartbeat_may_be_chosen(heartbeat: Any) -> None:
    _, body, _ = httpy_rs.sse([], heartbeat=heartbeat)
    assert body.heartbeat == heartbeat


@pytest.mark.parametrize("heartbeat", [0, -1, 0.09, float("nan"), float("inf"), True, "15"])
def test_a_heartbeat_that_is_no_time_is_refused(heartbeat: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^heartbeat is .*: expected .* or None"):
        httpy_rs.sse([], heartbeat=heartbeat)


@pytest.mark.parametrize("events", ["text", b"bytes", {"data": "a"}, 3, None])
def test_what_holds_no_events_is_refused(events: Any) -> None:
    with pytest.raises(TypeError, match=r"^sse\(\) was given \w+: expected an iterable or async iterable of events$"):
        httpy_rs.sse(events)


def test_the_generator_is_closed() -> None:
    seen = []

    def events() -> Iterator[str]:
        try:
            yield "a"
        finally:
            seen.append("closed")

    _, body, _ = httpy_rs.sse(events())
    assert isinstance(body, SyncEvents)
    next(body)
    body.close()
    assert seen == ["closed"]
    assert list(body) == []


def test_what_cannot_be_closed_is_left() -> None:
    _, body, _ = httpy_rs.sse(["a"])
    assert isinstance(body, SyncEvents)
    body.close()


def test_async_events_are_sent_and_closed() -> None:
    seen = []

    async def events() -> AsyncIterator[dict[str, str]]:
        try:
            yield {"data": "a"}
            yield {"data": "b"}
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    async def run() -> list[bytes]:
        _, body, _ = httpy_rs.sse(events())
        assert isinstance(body, AsyncEvents)
        chunks = [await body.__aiter__().__anext__()]
        await body.aclose()
        assert seen == ["closed"]
        return chunks + [chunk async for chunk in body]

    assert asyncio.run(run()) == [b"data: a\n\n"]


def test_the_server_knows_both_kinds_by_one_class() -> None:
    assert issubclass(SyncEvents, Events)
    assert issubclass(AsyncEvents, Events)
    assert not hasattr(SyncEvents, "__anext__")
    assert not hasattr(AsyncEvents, "__next__")


# The parser that the properties below rest on, held to the examples and steps of the HTML standard (9.2.5, 9.2.6).


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("YHOO\n+2\n10", "message", "")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [("first event", "message", "1"), ("second event", "message", ""), (" third event", "message", "")],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [("", "message", ""), ("\n", "message", "")]),
        (b"data:test\n\ndata: test\n\n", [("test", "message", "")] * 2),
        (b"event: add\ndata: 73857293\n\nevent\ndata: a\n\n", [("73857293", "add", ""), ("a", "message", "")]),
        (b"event: lost\n\ndata: a\n\n", [("a", "message", "")]),
        (b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\rdata: c\n\r", [(text, "message", "") for text in "abc"]),
        (b"id: 1\nid: 2\0\ndata: a\n\n", [("a", "message", "1")]),
        (b"id: 1\n\ndata: a\n\n", [("a", "message", "1")]),
        (b"Data: a\n data: a\nunknown: a\n\n", []),
        (b"data: a\xff\n\n", [("a\ufffd", "message", "")]),
        (b"data: a\n", []),
        (b"", []),
    ],
)
def test_a_stream_is_read_as_the_standard_reads_it(stream: bytes, expected: Any) -> None:
    assert parse(stream) == [ReceivedEvent(*event) for event in expected]


def test_what_is_no_event_is_read_too() -> None:
    events = parse(b":\n: a b\n::c\nretry: 10\nretry: x\nretry: \xc2\xb2\nretry\n\n")
    assert (events, events.retry, events.comments) == ([], 10, ["", "a b", ":c"])


ALPHABET = "ab:: \n\n\r\r\0\t\x0b\x85\u2028\ufeffé€😀\udc80\udcff" + "data:id"


def text(source: random.Random, without: str = "") -> str:
    made = "".join(source.choice(ALPHABET) for _ in range(source.randrange(12)))
    return "".join(character for character in made if character not in without)


def event(source: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {"data": text(source)}
    if source.random() < 0.5:
        made["event"] = text(source, "\r\n")
    if source.random() < 0.5:
        made["id"] = source.choice([text(source, "\r\n\0"), source.randrange(100)])
    if source.random() < 0.2:
        made["retry"] = source.randrange(10_000)
    if source.random() < 0.3:
        made["comment"] = text(source)
    if source.random() < 0.2:
        del made["data"]
        made.pop("event", None)
        made = made or {"comment": ""}
    return made


def lines(written: str) -> str:
    """A text as a client sees it: one way to end a line, and what is no UTF-8 replaced."""
    with_ends = written.replace("\r\n", "\n").replace("\r", "\n")
    return with_ends.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@pytest.mark.parametrize("seed", range(300))
def test_a_client_reads_back_what_was_sent(seed: int) -> None:
    source = random.Random(seed)
    written = [event(source) for _ in range(source.randrange(8))]
    read = parse(sent(*written))
    last_id = ""
    expected = []
    for each in written:
        last_id = lines(str(each.get("id", last_id)))
        if "data" in each:
            expected.append((lines(each["data"]), lines(each.get("event", "")) or "message", last_id))
    assert read == expected
    assert read.retry == ([None] + [each["retry"] for each in written if "retry" in each])[-1]
    assert read.comments == [
        line for each in written if "comment" in each for line in lines(each["comment"]).split("\n")
    ]
