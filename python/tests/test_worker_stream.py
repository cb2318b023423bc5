"""Bodies in chunks, both ways, in a worker process: of plain handlers and of `async def`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import PART, Start
from tests.parent import Parent

WINDOW = 256 * 1024

BOTH = pytest.mark.parametrize("lane", ["sync", "async"])

# Each as a plain handler and as an async one that does the same.
STREAMS = """
    import http, logging
    import httpy_rs

    class Closing:
        def __init__(self, chunks):
            self.chunks = iter(chunks)
        def __next__(self):
            return next(self.chunks)
        def __iter__(self):
            return self
        def close(self):
            logging.warning("closed")
            if raises:
                raise LookupError("as it closed")

    raises = False

    def reply(kind):
        global raises
        raises = kind in ("closing", "refused closing")
        def broken():
            yield "a"
            raise ValueError("broken")
        return {
            "chunks": lambda: (201, iter(["a", b"b", bytearray(b"c"), memoryview(b"d"), "", "\\udcff"]), {"X": "1"}),
            "odd": lambda: (http.HTTPStatus.OK, iter(["a"]), None),
            "large": lambda: (200, iter([b"x" * 70000, b"y"]), {}),
            "type": lambda: (200, iter(["a", 5]), {}),
            "text": lambda: (200, iter(["a", "\\ud800"]), {}),
            "broken": lambda: (200, broken(), {}),
            "closing": lambda: (200, Closing("ab"), {}),
            "refused": lambda: (99, Closing("ab"), {}),
            "refused closing": lambda: (99, Closing("ab"), {}),
            "events": lambda: httpy_rs.sse(iter(["one", "two"]), heartbeat=5),
            "endless": lambda: (200, Closing(iter(lambda: b"x" * 50000, None)), {}),
            "remaining": lambda: (200, iter(lambda: str(httpy_rs.remaining() < 0.5), None), {}),
        }[kind]()

    def sync(method, path, params, query, headers, body):
        return reply(body)

    async def also(method, path, params, query, headers, body):
        return reply(body)
"""


def streams(start: Start, **settings: Any) -> Parent:
    return start(STREAMS, "sync", "also", **settings).ready()


def call(worker: Parent, lane: str, kind: str, **rest: Any) -> int:
    return worker.call(int(lane == "async"), kind, lane=lane, **rest)


def endless(start: Start, lane: str, **rest: Any) -> Parent:
    """A worker that has sent as much of a body without end as there is room for."""
    worker = streams(start)
    call(worker, lane, "endless", **rest)
    assert worker.get(lane)[1] == "s"
    for _ in range(WINDOW // 50000):
        assert worker.get(lane)[1] == b"x" * 50000
    return worker


@BOTH
def test_a_body_in_chunks_goes_out_chunk_by_chunk(start: Start, lane: str) -> None:
    worker = streams(start)
    call(worker, lane, "chunks")
    assert worker.get(lane) == (1, "s", (201, {"X": ["1"]}, None))
    assert [worker.get(lane) for _ in range(5)] == [(1, b"a"), (1, b"b"), (1, b"c"), (1, b"d"), (1, b"\xff")]
    assert worker.get(lane) == (1, "end", None, None)


@BOTH
def test_a_head_that_is_odd_goes_as_plain_values_and_large_chunks_are_cut(start: Start, lane: str) -> None:
    worker = streams(start)
    call(worker, lane, "odd", timed=True)
    number, kind, head, called, returned, converted = worker.get(lane)
    assert (number, kind, head) == (1, "s", (200, {}, None))
    assert 0 <= called <= returned <= converted
    assert [worker.get(lane) for _ in range(2)] == [(1, b"a"), (1, "end", None, None)]
    call(worker, lane, "large")
    assert worker.get(lane)[1] == "s"
    assert [len(worker.get(lane)[1]) for _ in range(3)] == [PART, 70000 - PART, 1]
    assert worker.get(lane) == (2, "end", None, None)


@BOTH
@pytest.mark.parametrize(
    ("kind", "found"),
    [("type", "int (chunk 2): expected"), ("text", "a str with U+D800 at index 0 (chunk 2): expected")],
)
def test_a_chunk_that_is_none_ends_the_body(start: Start, lane: str, kind: str, found: str) -> None:
    worker = streams(start)
    call(worker, lane, kind)
    assert [worker.get(lane)[1] for _ in range(2)] == ["s", b"a"]
    number, word, (fault, text), closing = worker.get(lane)
    assert (number, word, fault, closing) == (1, "end", "c", None)
    assert text.startswith(found)


@BOTH
def test_what_a_body_raises_and_what_its_close_raises_is_told(start: Start, lane: str) -> None:
    worker = streams(start)
    call(worker, lane, "broken")
    assert [worker.get(lane)[1] for _ in range(2)] == ["s", b"a"]
    number, word, (kind, exception), closing = worker.get(lane)
    assert (number, word, kind, exception[:2], closing) == (1, "end", "e", ("ValueError", "broken"), None)
    call(worker, lane, "closing")
    assert [worker.get(lane)[1] for _ in range(3)] == ["s", b"a", b"b"]
    number, word, fault, closing = worker.get(lane)
    assert (number, word, fault, closing[:2]) == (2, "end", None, ("LookupError", "as it closed"))


@BOTH
def test_the_iterator_of_a_reply_that_is_refused_is_closed(start: Start, lane: str) -> None:
    worker = streams(start)
    call(worker, lane, "refused")
    assert worker.get(lane) == (1, "f", ("status", "status 99: expected 200 to 999"))
    assert worker.logged() == "closed"


@BOTH
def test_what_such_an_iterator_raises_is_told_as_of_a_destructor(start: Start, lane: str) -> None:
    worker = streams(start)
    call(worker, lane, "refused closing")
    assert worker.get(lane)[:2] == (1, "f")
    worker.hang_up()
    worker.wait()
    assert "LookupError: as it closed" in worker.output()[1]


@BOTH
@pytest.mark.parametrize(("method", "kind"), [("HEAD", "endless")])
def test_where_no_body_is_wanted_the_iterator_is_only_closed(start: Start, lane: str, method: str, kind: str) -> None:
    worker = streams(start)
    call(worker, lane, kind, method=method)
    assert [worker.get(lane)[1] for _ in range(2)] == ["s", "end"]
    assert worker.logged() == "closed"


@BOTH
def test_events_come_with_their_heartbeat(start: Start, lane: str) -> None:
    worker = streams(start)
    call(worker, lane, "events")
    assert worker.get(lane)[2][2] == 5.0
    assert [worker.get(lane)[1] for _ in range(3)] == [b"data: one\n\n", b"data: two\n\n", "end"]


@BOTH
def test_no_more_is_sent_than_there_is_room_for(start: Start, lane: str) -> None:
    worker = endless(start, lane)
    # Nothing else comes before there is room: the answer to another call does.
    if lane == "sync":
        worker.tell(("relieve",))
    call(worker, lane, "chunks")
    assert worker.get(lane)[:2] == (2, "s")
    for _ in range(6):
        assert worker.get(lane)[0] == 2
    worker.tell(("credit", lane, 1, 50000))
    assert worker.get(lane) == (1, b"x" * 50000)


@BOTH
def test_a_client_that_leaves_ends_the_body_and_has_it_closed(start: Start, lane: str) -> None:
    worker = endless(start, lane)
    worker.tell(("cancel", lane, 1))
    assert worker.get(lane)[:2] == (1, "end")
    assert worker.logged() == "closed"


@BOTH
def test_a_client_that_takes_nothing_for_too_long_ends_the_body(start: Start, lane: str) -> None:
    worker = endless(start, lane, chunk_timeout=0.05)
    assert worker.get(lane) == (1, "end", ("interrupted",), None)
    assert worker.logged() == "closed"


@BOTH
def test_each_chunk_has_its_own_time(start: Start, lane: str) -> None:
    worker = streams(start)
    call(worker, lane, "remaining", chunk_timeout=0.25)
    assert worker.get(lane)[1] == "s"
    assert [worker.get(lane)[1] for _ in range(3)] == [b"True"] * 3


UPLOADS = """
    import logging
    import httpy_rs
    def sync(method, path, params, query, headers, body: httpy_rs.Body):
        logging.warning("begun")
        if method == "PUT":
            try:
                body.read()
            except httpy_rs.BodyError as error:
                return 200, f"{error.status} {error}", {}
        if method == "FIRST":
            return 200, body.read(3), {}
        if method == "LATER":
            return 200, (chunk for chunk in body), {}
        if method == "KEEP":
            kept.append(body)
            return 200, body.read(), {}
        if method == "KEPT":
            kept[0].read()
        return 200, body.read(), {}

    async def also(method, path, params, query, headers, body: httpy_rs.AsyncBody):
        logging.warning("begun")
        if method == "PUT":
            try:
                await body.read()
            except httpy_rs.BodyError as error:
                return 200, f"{error.status} {error}", {}
        if method == "FIRST":
            return 200, await body.read(3), {}
        if method == "LATER":
            return 200, (chunk async for chunk in body), {}
        if method == "KEEP":
            kept.append(body)
            return 200, await body.read(), {}
        if method == "KEPT":
            await kept[0].read()
        return 200, await body.read(), {}

    kept = []
"""


def uploads(start: Start) -> Parent:
    return start(UPLOADS, "sync", "also").ready()


def upload(worker: Parent, lane: str, *items: object, number: int = 1) -> None:
    worker.tell(*[("upload", lane, number, item) for item in items])


@BOTH
def test_a_request_in_chunks_is_read_as_it_comes_and_given_back(start: Start, lane: str) -> None:
    worker = uploads(start)
    call(worker, lane, True)  # type: ignore[arg-type]
    assert worker.logged() == "begun"
    upload(worker, lane, b"x" * PART, b"")
    assert worker.control.get() == ("read", lane, 1, PART)
    upload(worker, lane, b"y", None)
    assert [len(worker.get(lane)[1]) for _ in range(2)] == [PART, 1]
    assert worker.get(lane) == (1, "p", (200, "b", {}))


@BOTH
def test_chunks_that_come_before_their_job_are_kept_for_it(start: Start, lane: str) -> None:
    worker = uploads(start)
    upload(worker, lane, b"early", None)
    assert worker.ask("stacks") == []
    call(worker, lane, True)  # type: ignore[arg-type]
    assert worker.get(lane) == (1, "r", (200, b"early", {}))


@BOTH
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_request_that_breaks_off_is_told_to_the_handler_or_of_it(start: Start, lane: str, method: str) -> None:
    worker = uploads(start)
    call(worker, lane, True, method=method)  # type: ignore[arg-type]
    assert worker.logged() == "begun"
    upload(worker, lane, b"abc", (413, "too much"))
    let_pass = (1, "u", (413, "too much"))
    assert worker.get(lane) == (let_pass if method == "POST" else (1, "r", (200, "413 too much", {})))


@BOTH
def test_what_a_handler_leaves_unread_is_dropped(start: Start, lane: str) -> None:
    worker = uploads(start)
    call(worker, lane, True, method="FIRST")  # type: ignore[arg-type]
    assert worker.logged() == "begun"
    upload(worker, lane, b"abcdef")
    assert worker.get(lane) == (1, "r", (200, b"abc", {}))
    upload(worker, lane, b"later", None)
    call(worker, lane, True)  # type: ignore[arg-type]
    upload(worker, lane, b"next", None, number=2)
    assert worker.get(lane) == (2, "r", (200, b"next", {}))


@BOTH
def test_a_body_can_be_read_by_the_iterator_that_is_the_reply(start: Start, lane: str) -> None:
    worker = uploads(start)
    call(worker, lane, True, method="LATER")  # type: ignore[arg-type]
    assert worker.get(lane)[1] == "s"
    upload(worker, lane, b"abc")
    assert worker.get(lane) == (1, b"abc")
    upload(worker, lane, (400, "broke off"))
    assert worker.get(lane) == (1, "end", ("u", (400, "broke off")), None)


@BOTH
def test_a_body_is_not_read_after_its_call_had_ended(start: Start, lane: str) -> None:
    worker = uploads(start)
    call(worker, lane, b"whole", method="KEEP")  # type: ignore[arg-type]
    assert worker.get(lane) == (1, "r", (200, b"whole", {}))
    call(worker, lane, b"", method="KEPT")  # type: ignore[arg-type]
    expected = ("RuntimeError", "the request's body was read after its call had ended")
    assert worker.get(lane)[2][:2] == expected


def test_a_body_that_does_not_come_in_time_is_an_error_of_the_clients(start: Start) -> None:
    worker = uploads(start)
    worker.call(0, True, left=0.0)
    assert worker.get() == (1, "u", (408, "the request's body did not come in the time that the call had"))


def test_a_body_is_read_on_its_handlers_thread_only(start: Start) -> None:
    source = """
        import concurrent.futures
        import httpy_rs
        def handler(method, path, params, query, headers, body: httpy_rs.Body):
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                return 200, pool.submit(body.read).result(), {}
    """
    worker = start(source, "handler").ready()
    worker.call(0, True)
    assert worker.get()[2][:2] == ("RuntimeError", "the request's body was read on another thread than its handler's")


def test_one_task_at_a_time_reads_a_body(start: Start) -> None:
    source = """
        import asyncio
        import httpy_rs
        async def handler(method, path, params, query, headers, body: httpy_rs.AsyncBody):
            first = asyncio.ensure_future(body.read())
            await asyncio.sleep(0)
            try:
                await body.read()
            except RuntimeError as error:
                first.cancel()
                return 200, str(error), {}
    """
    worker = start(source, "handler").ready()
    assert worker.result(0, True, lane="async")[1] == "the request's body is being read by another task"


def test_a_body_past_its_deadline_is_interrupted(start: Start) -> None:
    source = """
        import logging
        def chunks():
            yield "a"
            try:
                logging.warning("begun")
                while True:
                    pass
            finally:
                logging.warning("ended")
        def handler(*six):
            return 200, chunks(), {}
    """
    worker = start(source, "handler").ready()
    worker.call()
    assert worker.logged() == "begun"
    worker.tell(("interrupt", "sync", 1))
    assert worker.logged() == "ended"
    assert [worker.get()[1] for _ in range(2)] == ["s", b"a"]
    number, word, (kind, exception), closing = worker.get()
    assert (number, word, kind, exception[0], closing) == (1, "end", "e", "httpy_rs.DeadlineExceeded", None)
