"""Threads that Python has not started, as those of `threading`."""

from __future__ import annotations

import _thread
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from httpy_rs import _threading
from httpy_rs._context import Start
from tests.conftest import Start as StartWorker
from tests.parent import PATIENCE


def on_a_foreign_thread(work: Callable[[], Any]) -> Any:
    """What it gives there."""
    results: list[Any] = []
    ended = _thread.allocate_lock()
    ended.acquire()

    def run() -> None:
        try:
            results.append(work())
        finally:
            ended.release()

    _thread.start_new_thread(run, ())
    assert ended.acquire(timeout=PATIENCE)
    return results[0]


def test_it_is_a_real_thread_until_it_leaves() -> None:
    def work() -> tuple[threading.Thread, list[Any]]:
        _threading.enter("httpy-worker-7")
        thread = threading.current_thread()
        child = threading.Thread()
        facts = [
            type(thread) is threading.Thread,
            thread in threading.enumerate(),
            thread.is_alive(),
            thread.ident == threading.get_ident(),
            thread.native_id == threading.get_native_id(),
            not thread.daemon,
            not child.daemon,
            _threading.is_own(thread),
            thread.name == "httpy-worker-7",
        ]
        _threading.leave()
        return thread, facts

    thread, facts = on_a_foreign_thread(work)
    assert facts == [True] * 9
    thread.join(PATIENCE)
    assert (thread.is_alive(), thread in threading.enumerate(), _threading.is_own(thread)) == (False, False, False)


def test_the_exit_does_not_wait_for_it() -> None:
    code = """
        import _thread, time
        from httpy_rs import _threading
        entered = _thread.allocate_lock()
        entered.acquire()
        def run():
            _threading.enter("httpy-worker-1")
            entered.release()
            time.sleep(1000)
        _thread.start_new_thread(run, ())
        entered.acquire()
        print("main has ended")
    """
    assert printed(code) == "main has ended"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_it_forks_ends_as_a_program() -> None:
    code = """
        import _thread, multiprocessing, os, sys, threading
        from httpy_rs import _threading
        done = _thread.allocate_lock()
        done.acquire()
        def work():
            assert threading.current_thread() is threading.main_thread()
            threading.Thread(target=print, args=("from a thread",), kwargs={"flush": True}).start()
        def run():
            _threading.enter("httpy-worker-1")
            process = multiprocessing.get_context("fork").Process(target=work)
            process.start()
            process.join()
            print(process.exitcode, flush=True)
            done.release()
        _thread.start_new_thread(run, ())
        done.acquire()
    """
    assert printed(code) == "from a thread\n0"


def printed(code: str) -> str:
    """What a new Python prints."""
    lines = code.splitlines()
    text = "\n".join(line[8:] for line in lines)
    path = {"PYTHONPATH": str(Path(_threading.__file__).parent.parent)}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.strip()


@pytest.fixture
def hooks() -> Iterator[None]:
    """Puts back what was set for all threads."""
    trace, profile = threading.gettrace(), threading.getprofile()
    yield
    threading.settrace(trace)
    threading.setprofile(profile)


def test_hooks_are_followed_where_they_have_changed(hooks: None) -> None:
    def ignore(*arguments: object) -> None:
        """Sees nothing."""

    def work() -> list[Any]:
        followed = _threading.Hooks()
        threading.settrace(ignore)
        threading.setprofile(ignore)
        followed.follow()
        seen: list[Any] = [sys.gettrace(), sys.getprofile()]
        # What the thread has set for itself stays until the hooks change.
        sys.setprofile(None)
        followed.follow()
        seen.append(sys.getprofile())
        threading.settrace(None)
        followed.follow()
        seen.append(sys.gettrace())
        threading.setprofile(None)
        return seen

    assert on_a_foreign_thread(work) == [ignore, ignore, None, None]


def test_a_call_begins_with_a_copy_of_what_loading_has_left() -> None:
    variable = ContextVar("variable", default="unset")

    def work() -> list[Any]:
        import decimal

        variable.set("set")
        decimal.getcontext().prec = 7
        start = Start()
        first, second = start.copy(), start.copy()
        first.run(variable.set, "changed")
        first.run(lambda: setattr(decimal.getcontext(), "prec", 3))
        return [
            second.run(variable.get),
            second.run(lambda: decimal.getcontext().prec),
            variable.get(),
            decimal.getcontext().prec,
        ]

    assert on_a_foreign_thread(work) == ["set", 7, "set", 7]


def test_exceptions_reach_the_hooks_of_a_worker_process(start: StartWorker) -> None:
    source = """
        import logging, sys, threading
        seen = []
        class Tracker(logging.Handler):
            def emit(self, record):
                seen.append(f"log {record.exc_info[0].__name__}")
        logging.getLogger().addHandler(Tracker())
        threading.excepthook = lambda arguments: seen.append(f"hook {arguments.exc_value} {arguments.thread.name}")
        def handler(method, path, params, query, headers, body):
            if body:
                raise LookupError(body)
            return 200, ", ".join(seen), {}
        async def also(method, path, params, query, headers, body):
            raise LookupError(body)
    """
    worker = start(source, "handler", "also").ready()
    worker.call(body="plain")
    assert worker.get()[1] == "e"
    worker.call(1, body="coroutine", lane="async")
    assert worker.get("async")[1] == "e"
    seen = "log LookupError, hook plain httpy-worker-1, log LookupError, hook coroutine httpy-loop"
    assert worker.result() == (200, seen, {})
