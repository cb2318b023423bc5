"""Plain handlers in a worker process: what they are given, and which thread runs them."""

from __future__ import annotations

import signal

import pytest

from tests.conftest import PART, PLAIN, Start

# Waits for the end of its request's body, and says so.
WAITING = """
    import logging
    import httpy_rs
    def waiting(method, path, params, query, headers, body: httpy_rs.Body):
        logging.warning("begun")
        return 200, body.read(), {}
"""

LEAVING = """
    import logging
    import threading
    class Stuck:
        def __del__(self):
            lock = threading.Lock()
            lock.acquire()
            logging.warning("stuck")
            lock.acquire()
    def leaving(method, path, params, query, headers, body):
        headers["kept"] = Stuck()
        return 200, None, {}
"""


def test_jobs_of_one_frame_are_answered_in_order(start: Start) -> None:
    worker = start(PLAIN, "handler").ready()
    worker.run(*[worker.job(0, str(number)) for number in range(100)])
    replies = [worker.get() for _ in range(100)]
    assert replies == [(number + 1, "r", (200, str(number), {})) for number in range(100)]
    assert worker.begun() == (100, 0)


def test_a_handler_gets_what_the_job_says(start: Start) -> None:
    source = """
        def handler(*six):
            return 200, repr(six), {"X": ["1"], "Y": "2", "Z": ("3",)}
    """
    worker = start(source, "handler").ready()
    job = (1, 0, "PUT", "/a", {"p": ["1"]}, {"q": ["", "2"]}, {"Host": ["h"]}, "body \udcff", worker.job()[8])
    worker.run(job)
    assert worker.get() == (1, "r", (200, repr(job[2:8]), {"X": ["1"], "Y": "2", "Z": ("3",)}))


def test_bodies_that_come_in_parts_do_not_block_others(start: Start) -> None:
    source = PLAIN + "    def binary(method, path, params, query, headers, body: bytes): return 200, body[-6:], {}\n"
    worker = start(source, "handler", "binary").ready()
    large = worker.job(0, None)
    small = worker.job(0, "small")
    other = worker.job(1, None)
    worker.run((1, b"x" * PART), (3, b"abc"), (1, b"\xff\xc3"), small, (1, b"\xa9"), large, (3, b"def"), other)
    assert worker.get() == (2, "r", (200, "small", {}))
    parts = [worker.get() for _ in range(2)]
    assert parts == [(1, b"x" * PART), (1, b"\xff\xc3\xa9")]
    assert worker.get() == (1, "p", (200, "t", {}))
    assert worker.get() == (3, "r", (200, b"abcdef", {}))


def test_each_call_has_a_context_of_its_own(start: Start) -> None:
    source = """
        import contextvars
        known = contextvars.ContextVar("known", default="nothing")
        def handler(method, path, params, query, headers, body):
            before = known.get()
            known.set(body)
            return 200, before, {}
    """
    worker = start(source, "handler").ready()
    assert [worker.result(0, "a")[1], worker.result(0, "b")[1]] == ["nothing", "nothing"]


def test_a_handler_can_ask_for_its_request(start: Start) -> None:
    source = """
        import httpy_rs
        def handler(method, path, params, query, headers, body):
            known, left, trace = httpy_rs.request(), httpy_rs.remaining(), httpy_rs.trace_context()
            assert known is httpy_rs.request() and 0 < left <= 30 and not httpy_rs.client_gone()
            assert 0 < known.deadline
            told = known.target, known.route, known.client, known.scheme, known.http_version, known.extras
            return 200, repr((*told, trace and trace.traceparent)), {}
    """
    worker = start(source, "handler").ready()
    own, hosts = (f"00-{digit * 32}-{digit * 16}-01" for digit in "ab")
    for trace, headers, expected in [
        (None, {}, None),
        (None, {"Traceparent": [own]}, own),
        (hosts, {"Traceparent": [own]}, hosts),
    ]:
        result = worker.result(path="/a?b", headers=headers, trace=trace)
        assert result[1] == repr(("/a?b", None, ("127.0.0.1", 50000), "http", "1.1", {"user": 1}, expected))


def test_another_thread_leads_while_one_is_inside_a_handler(start: Start) -> None:
    worker = start(PLAIN + WAITING, "handler", "waiting", threads=2).ready()
    worker.run(worker.job(0, "one"), worker.job(1, True), worker.job(0, "three"))
    assert worker.logged() == "begun"
    worker.tell(("relieve",))
    assert worker.get() == (1, "r", (200, "one", {}))
    assert worker.get() == (3, "r", (200, "three", {}))
    worker.tell(("upload", "sync", 2, None))
    assert worker.get() == (2, "r", (200, b"", {}))
    # Both threads can lead again.
    for number in (4, 5):
        worker.call(1, True)
        assert worker.logged() == "begun"
        worker.tell(("relieve",), ("upload", "sync", number, None))
        assert worker.get() == (number, "r", (200, b"", {}))


def test_another_thread_leads_while_one_is_in_a_destructor_between_two_calls(start: Start) -> None:
    worker = start(PLAIN + LEAVING, "handler", "leaving", threads=2).ready()
    worker.run(worker.job(1), worker.job(0, "two"), worker.job(0, "three"))
    assert worker.logged() == "stuck"
    worker.tell(("relieve",))
    assert worker.get() == (1, "r", (200, None, {}))
    assert worker.get() == (3, "r", (200, "three", {}))


def test_a_thread_that_ends_its_handler_leads_while_the_lead_is_in_one(start: Start) -> None:
    worker = start(PLAIN + WAITING, "handler", "waiting", threads=2).ready()
    for _ in range(2):
        worker.call(1, True)
        assert worker.logged() == "begun"
        worker.tell(("relieve",))
    worker.call(0, "three")
    worker.tell(("upload", "sync", 1, None))
    assert worker.get() == (1, "r", (200, b"", {}))
    assert worker.get() == (3, "r", (200, "three", {}))
    worker.tell(("upload", "sync", 2, None))
    assert worker.get() == (2, "r", (200, b"", {}))


def test_after_a_thread_took_over_the_next_one_does_without_being_told(start: Start) -> None:
    worker = start(PLAIN + WAITING, "handler", "waiting", threads=3).ready()
    worker.call(1, True)
    assert worker.logged() == "begun"
    worker.tell(("relieve",))
    assert worker.result(0, "two") == (200, "two", {})
    worker.run(worker.job(1, True), worker.job(0, "four"))
    assert worker.get() == (4, "r", (200, "four", {}))
    for number in (1, 3):
        worker.tell(("upload", "sync", number, None))
        assert worker.get() == (number, "r", (200, b"", {}))


def test_each_job_has_a_thread_of_its_own_where_all_are_in_handlers(start: Start) -> None:
    worker = start(WAITING, "waiting", threads=3).ready()
    for numbers in ((1, 2, 3), (4, 5, 6)):
        worker.run(*[worker.job(0, True) for _ in numbers])
        assert worker.logged() == "begun"
        for _ in numbers[1:]:
            worker.tell(("relieve",))
            assert worker.logged() == "begun"
        # No thread is left.
        worker.tell(("relieve",))
        for number in reversed(numbers):
            worker.tell(("upload", "sync", number, None))
            assert worker.get() == (number, "r", (200, b"", {}))


def test_kept_replies_are_sent_as_the_lead_is_relieved(start: Start) -> None:
    worker = start(PLAIN + WAITING, "handler", "waiting", threads=1).ready()
    worker.run(worker.job(0, "one"), worker.job(1, True))
    assert worker.logged() == "begun"
    worker.tell(("relieve",))
    assert worker.get() == (1, "r", (200, "one", {}))
    worker.tell(("upload", "sync", 2, None))
    assert worker.get() == (2, "r", (200, b"", {}))


def test_what_was_cancelled_before_it_began_does_not_run(start: Start) -> None:
    worker = start(PLAIN + WAITING, "handler", "waiting").ready()
    worker.run(worker.job(1, True), worker.job(0, "two"), worker.job(0, "three"))
    assert worker.logged() == "begun"
    worker.tell(("cancel", "sync", 2))
    assert worker.get() == (2, "x")
    worker.tell(("upload", "sync", 1, None))
    assert worker.get() == (1, "r", (200, b"", {}))
    assert worker.get() == (3, "r", (200, "three", {}))


def test_a_running_handler_can_see_that_its_client_has_gone(start: Start) -> None:
    source = """
        import logging
        import httpy_rs
        def handler(method, path, params, query, headers, body: httpy_rs.Body):
            logging.warning(str(httpy_rs.client_gone()))
            return 200, body.read() + str(httpy_rs.client_gone()).encode(), {}
    """
    worker = start(source, "handler").ready()
    worker.call(0, True)
    assert worker.logged() == "False"
    worker.tell(("cancel", "sync", 1), ("upload", "sync", 1, None))
    assert worker.get() == (1, "r", (200, b"True", {}))


BURNING = """
    import logging
    import httpy_rs
    ended = []
    def burning(*six):
        try:
            logging.warning("begun")
            while True:
                pass
        finally:
            ended.append(1)
    def shielded(*six):
        with httpy_rs.shield():
            with httpy_rs.shield():
                logging.warning("begun")
                while not httpy_rs.client_gone():
                    pass
            ended.append(2)
        ended.append(3)
    def stubborn(*six):
        for count in range(3):
            try:
                logging.warning("begun")
                while True:
                    pass
            except httpy_rs.DeadlineExceeded:
                ended.append(count)
        return 200, "done", {}
    def handler(*six):
        return 200, str(ended), {}
"""


def test_a_handler_past_its_deadline_is_interrupted_and_no_other(start: Start) -> None:
    worker = start(BURNING, "burning", "handler").ready()
    worker.run(worker.job(0), worker.job(1))
    assert worker.logged() == "begun"
    worker.tell(("interrupt", "sync", 2), ("interrupt", "sync", 1))
    assert worker.get()[2][0] == "httpy_rs.DeadlineExceeded"
    assert worker.get() == (2, "r", (200, "[1]", {}))
    worker.tell(("interrupt", "sync", 1))
    assert worker.result(1) == (200, "[1]", {})


def test_an_interruption_waits_for_the_outermost_shield_to_be_left(start: Start) -> None:
    worker = start(BURNING, "shielded", "handler").ready()
    worker.call()
    assert worker.logged() == "begun"
    worker.tell(("interrupt", "sync", 1), ("cancel", "sync", 1))
    assert worker.get()[2][0] == "httpy_rs.DeadlineExceeded"
    assert worker.result(1) == (200, "[2]", {})


def test_a_handler_that_goes_on_is_interrupted_again(start: Start) -> None:
    worker = start(BURNING, "stubborn", "handler").ready()
    worker.call()
    for _ in range(3):
        assert worker.logged() == "begun"
        worker.tell(("interrupt", "sync", 1))
    assert worker.get() == (1, "r", (200, "done", {}))
    assert worker.result(1) == (200, "[0, 1, 2]", {})


def test_the_mark_tells_what_had_begun_when_a_worker_died(start: Start) -> None:
    worker = start("import os\ndef handler(*six): os.kill(os.getpid(), 9)\n", "handler").ready()
    worker.run(*[worker.job() for _ in range(5)])
    with pytest.raises(EOFError):
        worker.get()
    assert worker.wait() == -signal.SIGKILL
    assert worker.begun() == (1, 0)


def test_one_can_see_where_a_call_is(start: Start) -> None:
    worker = start(PLAIN + WAITING, "handler", "waiting").ready()
    worker.call(1, True)
    assert worker.logged() == "begun"
    ((lane, number, text),) = worker.ask("stacks")
    assert (lane, number) == ("sync", 1)
    # Nothing of what has called it.
    assert "in waiting" in text.splitlines()[0]


def test_threads_have_names_and_what_they_start_is_waited_for(start: Start) -> None:
    source = """
        import threading
        def handler(*six):
            thread = threading.Thread(target=print, args=("from a thread",))
            thread.start()
            return 200, f"{threading.current_thread().name} {thread.daemon}", {}
    """
    worker = start(source, "handler").ready()
    assert worker.result()[1] == "httpy-worker-1 False"
    assert worker.ask("shut_down", 30.0) == ([], [], [], [])
    assert worker.wait() == 0
    assert worker.output()[0] == "from a thread\n"
