"""Plain handlers in a worker process: jobs and replies, and who runs them."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest

from tests.conftest import Start

PLAIN = """
    def handler(method, path, params, query, headers, body):
        return 200, body, {}
"""
# Waits for the end of its request's body, and says so.
WAITING = """
    import logging
    import httpy_rs
    def waiting(method, path, params, query, headers, body: httpy_rs.Body):
        logging.warning("begun")
        return 200, body.read(), {}
"""
PART = 64 * 1024


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


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("None", ("other", "NoneType")),
        ("(200, 'x')", ("tuple", 2, ["int", "str"])),
        ("[200, 'x', {}]", ("other", "list")),
        ("Three(200, 'x', {})", [("int", 200), ("str", "x"), ("dict", [])]),
        ("(http.HTTPStatus.OK, 'x', {})", [("int", 200), ("str", "x"), ("dict", [])]),
        ("(True, 'x', {})", [("other", "bool"), ("str", "x"), ("dict", [])]),
        ("(200.0, 'x', {})", [("other", "float"), ("str", "x"), ("dict", [])]),
        ("(2 ** 64, 'x', {})", [("bigint",), ("str", "x"), ("dict", [])]),
        ("(-1, 'x', {})", [("int", -1), ("str", "x"), ("dict", [])]),
        ("(200, Text('x'), None)", [("int", 200), ("str", "x"), ("none",)]),
        ("(200, bytearray(b'x'), {})", [("int", 200), ("bytes", b"x"), ("dict", [])]),
        ("(200, memoryview(b'xyz')[::2], {})", [("int", 200), ("bytes", b"xz"), ("dict", [])]),
        ("(200, array.array('b', b'x'), {})", [("int", 200), ("other", "array"), ("dict", [])]),
        ("(200, 5, {})", [("int", 200), ("other", "int"), ("dict", [])]),
        ("(200, Text('\\ud800'), {})", [("int", 200), ("badstr", 0xD800, 0), ("dict", [])]),
        ("(200, 'x' * 70000 + '\\ud800', {})", [("int", 200), ("badstr", 0xD800, 70000), ("dict", [])]),
        ("(200, None, [])", [("int", 200), ("none",), ("other", "list")]),
        ("(200, None, {5: '1'})", [("int", 200), ("none",), ("dict", [(("other", "int"), ("str", "1"))])]),
        ("(200, None, {'a': b'1'})", [("int", 200), ("none",), ("dict", [(("str", "a"), ("other", "bytes"))])]),
        (
            "(200, None, {'a': [Text('1'), 2]})",
            [("int", 200), ("none",), ("dict", [(("str", "a"), ("list", [("str", "1"), ("other", "int")]))])],
        ),
        (
            "(200, None, {'a': (1,)})",
            [("int", 200), ("none",), ("dict", [(("str", "a"), ("list", [("other", "int")], "tuple"))])],
        ),
        ("(99, iter([]), {})", [("int", 99), ("iterator",), ("dict", [])]),
        ("(200, iter([]), [])", [("int", 200), ("iterator",), ("other", "list")]),
        ("(200, Async(), {})", [("int", 200), ("async_iterator", "Async"), ("dict", [])]),
        ("coroutine()", ("coroutine",)),
    ],
)
def test_what_marshal_cannot_write_or_the_contract_forbids_is_described(
    start: Start, returned: str, expected: Any
) -> None:
    source = f"""
        import array, collections, http, warnings
        warnings.simplefilter("error")
        Three = collections.namedtuple("Three", "a b c")
        class Text(str):
            def encode(self, *args): raise RuntimeError
            __str__ = encode
        class Async:
            def __aiter__(self): raise RuntimeError
        async def coroutine(): ...
        def handler(*six):
            return {returned}
    """
    worker = start(source, "handler").ready()
    worker.call()
    number, kind, tree = worker.get()
    assert (number, kind) == (1, "d")
    assert (tree[1] if isinstance(expected, list) else tree) == expected


def test_a_large_body_that_has_to_be_described_goes_ahead(start: Start) -> None:
    worker = start("def handler(*six): return 200, bytearray(70000), {}", "handler").ready()
    worker.call()
    assert [len(worker.get()[1]) for _ in range(2)] == [PART, 70000 - PART]
    assert worker.get() == (
        1,
        "d",
        ("tuple", [("int", 200), ("ahead", "b"), ("dict", [])], ["int", "bytearray", "dict"]),
    )


def test_a_reply_that_fits_into_no_frame_is_a_failure_of_its_own(start: Start) -> None:
    source = PLAIN + "    def huge(*six): return 200, '', {'a': 'b' * 17_000_000}\n"
    worker = start(source, "handler", "huge").ready()
    worker.run(worker.job(0, "before"), worker.job(1), worker.job(0, "after"))
    assert worker.get() == (1, "r", (200, "before", {}))
    number, kind, exception = worker.get()
    assert (number, kind, exception[0]) == (2, "e", "httpy_rs.ContractFailure")
    assert worker.get() == (3, "r", (200, "after", {}))


@pytest.mark.parametrize("debug", [False, True])
def test_exceptions_come_with_what_led_to_them(start: Start, debug: bool) -> None:
    source = """
        def handler(*six):
            try:
                {}["key"]
            except KeyError:
                raise SystemExit("no \\ud800")
    """
    worker = start(source, "handler", debug=debug).ready()
    worker.call()
    number, kind, (name, message, traceback, place, chain) = worker.get()
    assert (number, kind, name, message) == (1, "e", "SystemExit", "no \\ud800")
    assert "httpy_rs" not in traceback
    assert "KeyError: 'key'" in traceback
    assert place.endswith("app.py:6")
    assert [link[:2] for link in chain] == (
        [("", "SystemExit: no \\ud800"), ("context", "KeyError: 'key'")] if debug else []
    )


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


def test_a_reply_says_when_it_came_how_far_where_that_is_wanted(start: Start) -> None:
    more = """
    def none(*six): ...
    def fails(*six): raise ValueError
    async def fails_later(*six): raise ValueError
    """
    worker = start(PLAIN + more, "handler", "none", "fails", "fails_later").ready()
    for handler in (0, 1, 2):
        worker.call(handler, timed=True)
        _, _, _, called, returned, converted = worker.get()
        assert 0 <= called <= returned <= converted
    worker.call(3, lane="async", timed=True)
    _, word, _, called, returned, converted = worker.get("async")
    assert word == "e"
    assert 0 <= called <= returned <= converted


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


def test_when_all_threads_are_inside_handlers_what_waits_can_be_recalled(start: Start) -> None:
    worker = start(PLAIN + WAITING, "handler", "waiting", threads=1).ready()
    worker.run(worker.job(0, "one"), worker.job(1, True), worker.job(0, "three"), worker.job(0, "four"))
    assert worker.logged() == "begun"
    # What waits for others is sent, though nobody can take over.
    worker.tell(("relieve",))
    assert worker.get() == (1, "r", (200, "one", {}))
    worker.call(0, "five")
    assert worker.ask("recall") == [3, 4, 5]
    assert worker.begun() == (2, 0)
    worker.tell(("upload", "sync", 2, None))
    assert worker.get() == (2, "r", (200, b"", {}))
    assert worker.result(0, "six") == (200, "six", {})


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
        logging.warning("begun")
        try:
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


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="nothing else can raise in another thread")
def test_a_handler_past_its_deadline_is_interrupted_and_no_other(start: Start) -> None:
    worker = start(BURNING, "burning", "handler").ready()
    worker.run(worker.job(0), worker.job(1))
    assert worker.logged() == "begun"
    worker.tell(("interrupt", "sync", 2), ("interrupt", "sync", 1))
    assert worker.get()[2][0] == "httpy_rs.DeadlineExceeded"
    assert worker.get() == (2, "r", (200, "[1]", {}))
    worker.tell(("interrupt", "sync", 1))
    assert worker.result(1) == (200, "[1]", {})


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="nothing else can raise in another thread")
def test_an_interruption_waits_for_the_outermost_shield_to_be_left(start: Start) -> None:
    worker = start(BURNING, "shielded", "handler").ready()
    worker.call()
    assert worker.logged() == "begun"
    worker.tell(("interrupt", "sync", 1), ("cancel", "sync", 1))
    assert worker.get()[2][0] == "httpy_rs.DeadlineExceeded"
    assert worker.result(1) == (200, "[2]", {})


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="nothing else can raise in another thread")
def test_a_handler_that_goes_on_is_interrupted_again(start: Start) -> None:
    worker = start(BURNING, "stubborn", "handler").ready()
    worker.call()
    for _ in range(3):
        assert worker.logged() == "begun"
        worker.tell(("interrupt", "sync", 1))
    assert worker.get() == (1, "r", (200, "done", {}))
    assert worker.result(1) == (200, "[0, 1, 2]", {})


def test_a_child_that_a_handler_forks_does_not_answer(start: Start) -> None:
    source = """
        import os
        def handler(method, path, params, query, headers, body):
            child = os.fork()
            if child:
                _, status = os.waitpid(child, 0)
                return 200, str(os.WEXITSTATUS(status)), {}
            if body == "exit":
                raise SystemExit(7)
            if body == "raise":
                raise ValueError("in the child")
            return 200, "child", {}
    """
    worker = start(source, "handler").ready()
    assert [worker.result(0, body)[1] for body in ("return", "exit", "raise")] == ["0", "7", "1"]
    worker.hang_up()
    worker.wait()
    assert "ValueError: in the child" in worker.output()[1]


def test_a_child_that_outlives_a_worker_keeps_nobody_waiting(start: Start) -> None:
    source = """
        import os, time
        def handler(method, path, params, query, headers, body):
            child = os.fork()
            if not child:
                os.close(1)
                os.close(2)
                while True:
                    time.sleep(60)
            return 200, str(child), {}
    """
    worker = start(source, "handler").ready()
    child = int(worker.result()[1])
    try:
        worker.process.kill()
        with pytest.raises(EOFError):
            worker.control.get()
        with pytest.raises(EOFError):
            worker.get()
    finally:
        os.kill(child, signal.SIGKILL)


def test_processes_of_multiprocessing_work_and_have_the_package(start: Start) -> None:
    source = """
        import multiprocessing
        def work(number):
            import httpy_rs
            return httpy_rs.__file__, number + 1
        def handler(*six):
            context = multiprocessing.get_context()
            with context.Pool(1) as pool:
                return 200, repr((context.get_start_method(), pool.apply(work, (1,)))), {}
    """
    assert start(source, "handler").ready().result()[1] == "('spawn', ('<httpy_rs>/__init__.py', 2))"


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
    assert "in waiting" in text


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
