"""Records of `logging` on their way out of a worker process."""

from __future__ import annotations

import pytest

from tests.conftest import Start

LOGGING = """
    import logging
    logging.getLogger("at.import").error("early %d", 1)
    def handler(*six):
        logging.getLogger("app").info("info")
        try:
            {}["key"]
        except KeyError:
            logging.getLogger("app").exception("failed", extra={"user": 7})
        return 200, None, {}
    async def also(*six):
        logging.warning("async")
        return 200, None, {}
"""


def test_records_belong_to_their_call_and_come_before_its_reply(start: Start) -> None:
    worker = start(LOGGING, "handler", "also")
    word, lane, number, level, name, logger, message, fields, exception, stack, place = worker.control.get()
    assert (word, lane, number, level, logger, message) == ("log", None, None, 40, "at.import", "early 1")
    assert (name, fields, exception, stack) == (None, None, None, None)
    assert place.endswith("app.py:3")
    worker.ready().call()
    word, lane, number, level, name, logger, message, fields, exception, stack, place = worker.control.get()
    assert (lane, number, level, logger, message) == ("sync", 1, 40, "app", "failed")
    assert fields == '{"user": 7}'
    assert exception.endswith("KeyError: 'key'\n")
    worker.call(1, lane="async")
    assert worker.control.get()[1:4] == ("async", 1, 30)


@pytest.mark.parametrize("lane", ["sync", "async"])
@pytest.mark.parametrize("path", ["/whole", "/stream"])
def test_a_record_that_another_thread_has_to_send_comes_before_the_reply(start: Start, lane: str, path: str) -> None:
    source = """
        import gc, logging, threading
        from httpy_rs._worker.connection import Connection
        def chunks():
            yield "a"
        async def also(method, path, params, query, headers, body):
            return handler(method, path, params, query, headers, body)
        def handler(method, path, params, query, headers, body):
            # As another thread does that is about to leave a flush.
            outlet, = [found.control for found in gc.get_objects() if type(found) is Connection]
            assert outlet._sending.acquire(False)
            def leave():
                outlet._sending.release()
                outlet.flush()
            threading.Timer(0.2, leave).start()
            logging.warning("mine")
            return 200, chunks() if path == "/stream" else None, {}
    """
    worker = start(source, "handler", "also").ready()
    worker.call(int(lane == "async"), lane=lane, path=path)
    worker.get(lane)
    worker.control.socket.setblocking(False)
    assert worker.logged() == "mine"


def test_a_record_that_is_odd_is_sent_all_the_same(start: Start) -> None:
    source = """
        import enum, logging
        class Text(str):
            def __str__(self): return self
        class Level(enum.IntEnum):
            HIGH = 45
        def handler(*six):
            logging.getLogger(Text("odd")).log(Level.HIGH, Text("text"))
            return 200, None, {}
    """
    worker = start(source, "handler").ready()
    worker.call()
    assert worker.control.get()[1:7] == ("sync", 1, 45, "Level 45", "odd", "text")
    assert worker.get() == (1, "r", (200, None, {}))


def test_only_what_the_parent_wants_is_sent(start: Start) -> None:
    worker = start(LOGGING, "handler")
    assert worker.logged() == "early 1"
    worker.ready().tell(("log_level", 20))
    worker.ask("stacks")
    worker.call()
    assert [worker.logged() for _ in range(2)] == ["info", "failed"]
    worker.tell(("log_level", 1_000_000))
    worker.ask("stacks")
    assert worker.get() == (1, "r", (200, None, {}))
    assert worker.result() == (200, None, {})
    assert worker.ask("stacks") == []


def test_without_logging_records_go_where_python_sends_them(start: Start) -> None:
    worker = start(LOGGING, "handler", logging=False).ready()
    assert worker.result() == (200, None, {})
    worker.hang_up()
    worker.wait()
    assert worker.output()[1].startswith("early 1\nfailed\nTraceback")
