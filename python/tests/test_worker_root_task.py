"""The root task of a worker's event loop, and handlers that run the loop again from their first step."""

from __future__ import annotations

import importlib.util

import pytest

from tests.conftest import Start

LOOPS = [
    pytest.param(False, id="asyncio"),
    pytest.param(
        True,
        id="uvloop",
        marks=pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"),
    ),
]

# As `nest_asyncio` does, without its changes of classes.
AGAIN = """
    import asyncio
    freed = {}
    def run_again(future):
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        asyncio.tasks._leave_task(loop, task)
        try:
            while not future.done():
                try:
                    loop._run_once()
                except IndexError:
                    pass  # what it had counted to run, a loop within it has run
        finally:
            asyncio.tasks._enter_task(loop, task)
    def again(name):
        freed[name] = asyncio.get_running_loop().create_future()
        print(name, flush=True)
        run_again(freed[name])
    async def handler(method, path, params, query, headers, body):
        if body.startswith("again"):
            again(body)
        elif body.startswith("free "):
            freed[body[5:]].set_result(None)
        elif body == "cancelled":
            again(body)
            await asyncio.sleep(3600)
        return 200, body, {}
"""


@pytest.mark.parametrize("uvloop", LOOPS)
@pytest.mark.skipif(importlib.util.find_spec("anyio") is None, reason="anyio is not installed")
def test_anyio_keeps_its_worker_thread_from_call_to_call(start: Start, uvloop: bool) -> None:
    source = """
        import anyio.to_thread, threading
        names, start = [], threading.Thread.start
        def counted(thread):
            names.append(thread.name)
            start(thread)
        threading.Thread.start = counted
        async def handler(*six):
            await anyio.to_thread.run_sync(int)
            return 200, repr(names), {}
    """
    worker = start(source, "handler", uvloop=uvloop).ready()
    replies = {worker.result(lane="async")[1] for _ in range(50)}
    assert replies == {"['AnyIO worker thread']"}


@pytest.mark.parametrize("uvloop", LOOPS)
def test_a_reply_that_its_socket_has_no_room_for_waits(start: Start, uvloop: bool) -> None:
    source = """
        async def handler(*six):
            return 200, bytes(16_000_000), {}
    """
    worker = start(source, "handler", uvloop=uvloop).ready()
    number = worker.call(lane="async")
    size = 0
    while (message := worker.get("async"))[1] != "p":
        assert message[0] == number
        size += len(message[1])
    assert size == 16_000_000


@pytest.mark.parametrize("uvloop", LOOPS)
def test_a_root_task_runs_from_the_first_call_to_the_end(start: Start, uvloop: bool) -> None:
    source = """
        import asyncio, threading, time
        def is_of_run(callback):
            return callback is asyncio.base_events._run_until_complete_cb or callback.__module__ == "uvloop.loop"
        def root():
            tasks = [task for task in asyncio.all_tasks() if any(is_of_run(done) for done, _ in task._callbacks or ())]
            return tasks[0] if len(tasks) == 1 else None
        async def behind():
            try:
                await asyncio.sleep(3600)
            finally:
                print("task")
                release.set()
        async def generator():
            try:
                yield
                yield
            finally:
                print("generator")
        def in_executor():
            release.wait()
            loop.call_soon_threadsafe(print, "executor")
        async def handler(method, path, params, query, headers, body):
            global loop
            if body == "exit":
                asyncio.get_running_loop().call_soon(exit)
            elif body == "stop":
                asyncio.get_running_loop().stop()
            elif body == "cancel":
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
            elif body == "leave":
                loop = asyncio.get_running_loop()
                kept.append(asyncio.ensure_future(behind()))
                kept.append(generator())
                await kept[-1].__anext__()
                loop.run_in_executor(None, in_executor)
                root().add_done_callback(lambda _: print("root"))
            await asyncio.sleep(0)
            return 200, str(id(root())), {}
        kept, release = [], threading.Event()
    """
    worker = start(source, "handler", uvloop=uvloop).ready()
    replies = {worker.result(0, body, lane="async")[1] for body in ("", "exit", "stop", "cancel", "leave", "")}
    assert len(replies) == 1
    assert str(id(None)) not in replies
    assert worker.ask("shut_down", 30.0) == ([], [], [], [])
    assert worker.wait() == 0
    *others, last = worker.output()[0].split()
    assert sorted(others) == ["executor", "generator", "task"]
    assert last == "root"


def test_calls_that_run_the_loop_again_stop_no_others(start: Start) -> None:
    worker = start(AGAIN, "handler").ready()
    names = [f"again {number}" for number in range(3)]
    # All of them are taken at once, and each of them begins within the one before.
    worker.run(*[worker.job(0, body, lane="async") for body in (*names, "beside")], lane="async")
    assert worker.get("async") == (4, "r", (200, "beside", {}))
    for number in (2, 1, 0):
        reply = worker.call(0, f"free again {number}", lane="async")
        assert worker.get("async") == (reply, "r", (200, f"free again {number}", {}))
        assert worker.get("async") == (number + 1, "r", (200, f"again {number}", {}))
    worker.hang_up()
    worker.wait()
    assert worker.output()[1] == ""


def test_what_is_cancelled_while_it_runs_the_loop_again_is_cancelled_as_it_waits(start: Start) -> None:
    worker = start(AGAIN, "handler").ready()
    worker.call(0, "cancelled", lane="async")
    assert worker.result(0, "", lane="async") == (200, "", {})
    worker.tell(("cancel", "async", 1))
    worker.ask("round")
    assert worker.result(0, "free cancelled", lane="async") == (200, "free cancelled", {})
    number, kind, exception = worker.get("async")
    assert (number, kind, exception[0]) == (1, "e", "asyncio.exceptions.CancelledError")
