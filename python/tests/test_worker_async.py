"""Handlers that are `async def` in a worker process."""

from __future__ import annotations

import pytest

from tests.conftest import Start

PLAIN = """
    import asyncio, logging
    import httpy_rs
    gates = {}
    async def handler(method, path, params, query, headers, body):
        if body.startswith("wait"):
            gates[body] = asyncio.Event()
            try:
                await gates[body].wait()
            except asyncio.CancelledError:
                logging.warning(f"cancelled {httpy_rs.client_gone()}")
                raise
        if body.startswith("open"):
            gates[body.replace("open", "wait")].set()
        if body.startswith("turn"):
            await asyncio.sleep(0)
        return 200, body, {}
"""


def test_coroutines_run_beside_each_other(start: Start) -> None:
    worker = start(PLAIN, "handler").ready()
    bodies = ["wait a", "quick", "wait b", "turn", "open b", "open a"]
    worker.run(*[worker.job(0, body, lane="async") for body in bodies], lane="async")
    replies = [worker.get("async") for _ in bodies]
    assert sorted(replies) == [(number + 1, "r", (200, body, {})) for number, body in enumerate(bodies)]
    # What does not wait is over before others go on.
    assert [reply[0] for reply in replies[:1]] == [2]
    assert worker.begun() == (0, 6)


def test_no_more_run_at_once_than_is_allowed(start: Start) -> None:
    worker = start(PLAIN, "handler", in_flight=2).ready()
    worker.run(*[worker.job(0, body, lane="async") for body in ["wait a", "wait b", "quick"]], lane="async")
    # It is rung after the jobs have come, and before they have begun others.
    while worker.begun() != (0, 2):
        worker.ask("figures")
    worker.tell(("cancel", "async", 1))
    assert worker.logged() == "cancelled True"
    assert worker.get("async")[:2] == (1, "e")
    assert worker.get("async") == (3, "r", (200, "quick", {}))


def test_what_is_cancelled_before_it_began_does_not_run(start: Start) -> None:
    worker = start(PLAIN, "handler", in_flight=1).ready()
    worker.run(worker.job(0, "wait", lane="async"), worker.job(0, "quick", lane="async"), lane="async")
    worker.tell(("cancel", "async", 2))
    assert worker.get("async") == (2, "x")
    worker.tell(("cancel", "async", 1))
    number, kind, exception = worker.get("async")
    assert (number, kind, exception[0]) == (1, "e", "asyncio.exceptions.CancelledError")


def test_what_has_come_by_the_time_another_is_cancelled_begins(start: Start) -> None:
    source = """
        import asyncio, threading
        first, second, blocks = threading.Event(), threading.Event(), threading.Event()
        def block():
            blocks.set()
            second.wait()
        async def handler(method, path, params, query, headers, body):
            if body == "block":
                handler.loop = asyncio.get_running_loop()
                blocks.set()
                first.wait()
            return 200, body, {}
        def behind(*six):
            blocks.wait()
            blocks.clear()
            handler.loop.call_soon_threadsafe(block)
            return 200, None, {}
        def swap(*six):
            first.set()
            blocks.wait()
            return 200, None, {}
        def free(*six):
            second.set()
            return 200, None, {}
    """
    worker = start(source, "handler", "behind", "swap", "free").ready()
    worker.call(0, "block", lane="async")
    worker.result(1)
    # The loop goes from one to the other without looking at its sockets: what comes meanwhile is found by the latter.
    worker.tell(("cancel", "async", 99))
    worker.ask("figures")
    worker.result(2)
    worker.call(0, "behind", lane="async")
    worker.result(3)
    assert worker.get("async") == (1, "r", (200, "block", {}))
    assert worker.get("async") == (2, "r", (200, "behind", {}))


@pytest.mark.parametrize("waits", [False, True])
def test_what_a_coroutine_raises_or_exits_with_is_its_calls(start: Start, waits: bool) -> None:
    source = f"""
        import asyncio
        async def handler(method, path, params, query, headers, body):
            if {waits}:
                await asyncio.sleep(0)
            raise {{"error": ValueError("no"), "exit": SystemExit(3), "key": KeyboardInterrupt()}}[body]
        async def quick(*six):
            return 200, "quick", {{}}
    """
    worker = start(source, "handler", "quick").ready()
    for body, name in [("error", "ValueError"), ("exit", "SystemExit"), ("key", "KeyboardInterrupt")]:
        worker.call(0, body, lane="async")
        _, kind, exception = worker.get("async")
        assert (kind, exception[0]) == ("e", name)
    assert worker.result(1, lane="async") == (200, "quick", {})
    worker.hang_up()
    worker.wait()
    assert worker.output()[1] == ""


def test_each_call_has_a_context_of_its_own_all_along(start: Start) -> None:
    source = """
        import asyncio, contextvars
        import httpy_rs
        known = contextvars.ContextVar("known", default="nothing")
        async def handler(method, path, params, query, headers, body):
            before = known.get()
            known.set(path)
            await asyncio.sleep(0)
            assert httpy_rs.request().target == path == known.get() and httpy_rs.remaining() > 0
            async def chunks():
                yield f"{before} {httpy_rs.request().target} {known.get()}"
                await asyncio.sleep(0)
                yield known.get()
            return 200, chunks(), {}
    """
    worker = start(source, "handler").ready()
    for number, path in enumerate(["/a", "/b"], start=1):
        worker.call(lane="async", path=path)
        replies = [worker.get("async")[1] for _ in range(4)]
        assert replies == ["s", f"nothing {path} {path}".encode(), path.encode(), "end"], number


def test_an_awaitable_and_a_reply_that_is_none_do_as_well(start: Start) -> None:
    source = """
        import functools
        class Reply:
            def __await__(self):
                yield from ()
                return 200, "awaited", {}
        def mark(function):
            @functools.wraps(function)
            def wrapped(*six):
                return Reply() if six[5] else (200, "at once", {})
            return wrapped
        @mark
        async def handler(method, path, params, query, headers, body): ...
    """
    worker = start(source, "handler").ready()
    assert worker.result(0, "x", lane="async") == (200, "awaited", {})
    assert worker.result(0, "", lane="async") == (200, "at once", {})


def test_the_loop_has_its_root_task_one_for_each_call_and_a_name(start: Start) -> None:
    source = """
        import asyncio, threading
        async def handler(*six):
            names = asyncio.current_task().get_name(), threading.current_thread().name
            tasks = len(asyncio.all_tasks())
            await asyncio.sleep(0)
            return 200, repr((*names, tasks, asyncio.current_task().get_name())), {}
    """
    worker = start(source, "handler").ready()
    assert worker.result(lane="async")[1] == repr(("app:handler", "httpy-loop", 2, "app:handler"))


def test_one_can_see_where_a_coroutine_waits(start: Start) -> None:
    worker = start(PLAIN, "handler").ready()
    worker.call(0, "wait", lane="async")
    while worker.begun() != (0, 1):
        worker.ask("figures")
    # Under no call's number is the loop itself, where the question of before has not come round.
    ((lane, number, text),) = [stack for stack in worker.ask("stacks") if stack[1] != 0]
    assert (lane, number) == ("async", 1)
    assert "in handler" in text
    assert worker.ask("figures")[2] == 1


BLOCKED = """
    import asyncio, threading
    event, tasks = threading.Event(), []
    async def block():
        event.wait()
    async def handler(method, path, params, query, headers, body):
        if body == "behind":
            tasks.append(asyncio.ensure_future(block()))
        if body == "later":
            await asyncio.sleep(0)
        if body in ("first", "later"):
            await block()
        return 200, body, {}
    def free(*six):
        event.set()
        return 200, None, {}
"""


@pytest.mark.parametrize("body", ["first", "later", "behind"])
def test_a_loop_that_does_not_come_round_tells_what_keeps_it(start: Start, body: str) -> None:
    worker = start(BLOCKED, "handler", "free").ready()
    worker.call(0, body, lane="async")
    while True:
        worker.tell(("round", 0))
        blocked = worker.blocked()
        if blocked is not None and "in block" in blocked[2]:
            break
    silent, number, stack = blocked
    assert silent >= 0.0
    assert (number, "in handler" in stack) == ((None, False) if body == "behind" else (1, True))
    assert "asyncio/base_events.py" not in stack
    (of_loop,) = [text for lane, number, text in worker.stacks() if (lane, number) == ("async", 0)]
    assert "in block" in of_loop
    assert worker.result(1) == (200, None, {})
    assert worker.get("async") == (1, "r", (200, body, {}))
    while worker.blocked() is not None:
        pass


def test_without_a_loop_the_question_whether_it_comes_round_is_answered_at_once(start: Start) -> None:
    worker = start(BLOCKED, "free").ready()
    assert worker.ask("round") is None
    assert worker.ask("blocked") is None


@pytest.mark.parametrize("is_shut_down", [True, False])
def test_what_does_not_end_with_the_loop_is_named(start: Start, is_shut_down: bool) -> None:
    source = """
        import asyncio
        async def background():
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    pass
        async def handler(*six):
            tasks.append(asyncio.create_task(background(), name="stubborn"))
            return 200, None, {}
        tasks = []
    """
    worker = start(source, "handler").ready()
    assert worker.result(lane="async") == (200, None, {})
    if is_shut_down:
        assert worker.ask("shut_down", 0.1) == ([], ["stubborn"], [], [])
    else:
        worker.tell(("stop",))
    assert worker.wait() == 0
    said = "tasks were left behind at the end of their event loop: stubborn" in worker.output()[1]
    assert said is not is_shut_down


def test_what_is_left_on_the_loop_is_cancelled_at_the_end(start: Start) -> None:
    source = """
        import asyncio
        async def background():
            try:
                await asyncio.sleep(3600)
            finally:
                print("cancelled")
        async def handler(*six):
            tasks.append(asyncio.ensure_future(background()))
            await asyncio.sleep(0)
            return 200, None, {}
        tasks = []
    """
    worker = start(source, "handler").ready()
    assert worker.result(lane="async") == (200, None, {})
    assert worker.ask("shut_down", 30.0) == ([], [], [], [])
    assert worker.wait() == 0
    assert worker.output()[0] == "cancelled\n"


def test_a_worker_without_coroutines_imports_no_asyncio(start: Start) -> None:
    source = """
        import sys
        def handler(*six):
            return 200, str("asyncio" in sys.modules), {}
    """
    assert start(source, "handler").ready().result() == (200, "False", {})


@pytest.mark.parametrize("waits", [False, True])
def test_a_coroutine_that_blocks_the_loop_past_its_deadline_is_interrupted(start: Start, waits: bool) -> None:
    source = f"""
        import asyncio, logging
        async def burning(*six):
            if {waits}:
                await asyncio.sleep(0)
            logging.warning("begun")
            while True:
                pass
        async def quick(*six):
            return 200, "quick", {{}}
    """
    worker = start(source, "burning", "quick").ready()
    worker.call(lane="async")
    assert worker.logged() == "begun"
    worker.call(1, lane="async")
    worker.tell(("interrupt", "async", 2), ("interrupt", "async", 1))
    assert worker.get("async")[2][0] == "httpy_rs.DeadlineExceeded"
    assert worker.get("async") == (2, "r", (200, "quick", {}))
