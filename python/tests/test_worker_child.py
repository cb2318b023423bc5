"""Processes that a handler starts in a worker process: what it forks, and what `multiprocessing` does for it."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.conftest import Start


@pytest.mark.parametrize("lane", ["sync", "async"])
def test_a_child_that_a_handler_forks_does_not_answer(start: Start, lane: str) -> None:
    source = """
        import os
        def answer(body):
            child = os.fork()
            if child:
                _, status = os.waitpid(child, 0)
                return 200, str(os.WEXITSTATUS(status)), {}
            if body == "exit":
                raise SystemExit(7)
            if body == "raise":
                raise ValueError("in the child")
            return 200, "child", {}
        def plain(method, path, params, query, headers, body): return answer(body)
        async def coroutine(method, path, params, query, headers, body): return answer(body)
    """
    worker = start(source, "plain" if lane == "sync" else "coroutine").ready()
    assert [worker.result(0, body, lane=lane)[1] for body in ("return", "exit", "raise")] == ["0", "7", "1"]
    worker.hang_up()
    worker.wait()
    assert "ValueError: in the child" in worker.output()[1]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="its loop goes on in the child")
@pytest.mark.parametrize("before", [0, 1])
def test_a_child_of_a_coroutine_that_awaits_ends(start: Start, before: int) -> None:
    source = """
        import asyncio, os
        async def handler(method, path, params, query, headers, body):
            for _ in range(int(body)):
                await asyncio.sleep(0)
            child = os.fork()
            if not child:
                await asyncio.sleep(0)
            _, status = os.waitpid(child, 0)
            return 200, str(os.waitstatus_to_exitcode(status)), {}
    """
    worker = start(source, "handler").ready()
    assert worker.result(0, str(before), lane="async")[1] == "1"
    worker.hang_up()
    worker.wait()
    assert "is not the running loop" in worker.output()[1]


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
