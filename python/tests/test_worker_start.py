"""A worker process starts, says what it is, does what it is asked for, and ends."""

from __future__ import annotations

import os
import platform
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.parent import Parent, send

PLAIN = """
    def handler(method, path, params, query, headers, body):
        return 200, "plain", {}
"""


def test_a_worker_says_hello_and_is_ready_once_its_handlers_are_loaded(start: Start) -> None:
    worker = start(PLAIN, "handler")
    word, protocol, facts = worker.hello
    assert (word, protocol) == ("hello", 3)
    assert facts["pid"] == worker.process.pid
    assert facts["version"] == platform.python_version()
    assert os.path.samefile(facts["executable"], sys.executable)
    worker.ready()
    assert worker.result() == (200, "plain", {})
    assert worker.begun() == (1, 0)


def test_a_handler_that_cannot_be_loaded_is_told_of_and_the_worker_goes_on(start: Start) -> None:
    worker = start("raise ValueError('not today')", "handler")
    word, number, kind, message, exception = worker.control.get()
    assert (word, number, kind) == ("error", 0, "import")
    assert message == 'importing "app" raised ValueError: not today'
    assert exception[:2] == ("ValueError", "not today")
    assert worker.fail("load", "handler", "other:handler")[0] == "module_not_found"


@pytest.mark.parametrize(
    ("source", "now"),
    [
        ("def handler(method, path, params, query, headers, body: bytes): ...", "a plain function with a body: bytes"),
        ("async def handler(method, path, params, query, headers, body): ...", "an async function with a body: str"),
    ],
)
def test_a_handler_of_another_kind_than_it_was_is_refused(source: str, now: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(source, encoding="utf-8")
    with Parent(tmp_path, [("app:handler", "handler", "sync", "text")]) as worker:
        word, number, kind, message, _ = worker.control.get()
    assert (word, number, kind) == ("error", 0, "reload")
    was = "a plain function with a body: str"
    assert message == f"app:handler is {now}, and was {was} when the server started: restart the server for this change"


def test_handlers_are_loaded_once_and_numbered(start: Start) -> None:
    source = """
        import httpy_rs
        def text(method, path, params, query, headers, body): ...
        def binary(method, path, params, query, headers, body: bytes): ...
        async def stream(method, path, params, query, headers, body: httpy_rs.AsyncBody): ...
    """
    worker = start(source, "text").ready()
    assert worker.ask("load", "handler", "app:binary") == (1, "handler", "sync", "bytes")
    assert worker.ask("load", "handler", "app:text") == (0, "handler", "sync", "text")
    assert worker.ask("load", "handler", "app:stream") == (2, "handler", "async", "stream")
    assert worker.fail("load", "handler", "app:nothing")[0] == "attribute_not_found"


def test_init_functions_give_routes_and_shutdown_functions_run_at_the_end(start: Start) -> None:
    source = """
        import atexit
        async def begin():
            return {"/": ["GET"], "/b": ("POST",)}
        def broken():
            raise LookupError("nothing there")
        def end():
            print("ending")
            raise OSError("too late")
        async def also():
            print("async too")
        atexit.register(lambda: print("atexit"))
    """
    worker = start(source).ready()
    assert worker.ask("init", "app:begin") == [("/", ["GET"]), ("/b", ["POST"])]
    kind, message, exception = worker.fail("init", "app:broken")
    assert (kind, message, exception[0]) == (
        "init_exception",
        "app:broken raised LookupError: nothing there",
        "LookupError",
    )
    worker.ask("load_shutdown", "app:end")
    worker.ask("load_shutdown", "app:also")
    failures, tasks, threads, errors = worker.ask("shut_down", 30.0)
    assert [failure[:2] for failure in failures] == [("OSError", "too late")]
    assert (tasks, threads, errors) == ([], [], [])
    assert worker.wait() == 0
    assert worker.output()[0].split("\n") == ["ending", "async too", "atexit", ""]


def test_what_is_printed_at_import_is_no_message(start: Start) -> None:
    source = """
        import sys
        print("out" * 5)
        sys.stderr.write("err\\n")
        print(sys.stdin.read())
        def handler(method, path, params, query, headers, body):
            print("called")
            return 200, None, {}
    """
    worker = start(source, "handler").ready()
    assert worker.result() == (200, None, {})
    worker.hang_up()
    worker.wait()
    assert worker.output() == ("outoutoutoutout\n\ncalled\n", "err\n")


def test_the_package_is_the_servers_own_and_only_the_apps_folders_are_added(start: Start, tmp_path: Path) -> None:
    source = """
        import sys, httpy_rs, traceback
        def handler(method, path, params, query, headers, body):
            return 200, "\\n".join([httpy_rs.__file__, *sys.path]), {}
    """
    _, text, _ = start(source, "handler").ready().result()
    file, *folders = text.split("\n")
    assert file == "<httpy_rs>/__init__.py"
    assert folders[0] == str(tmp_path)
    assert "" not in folders


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_nothing_but_its_own_is_inherited_by_programs_that_it_starts(start: Start) -> None:
    source = """
        import subprocess, sys
        def handler(method, path, params, query, headers, body):
            look = "import os; print(len(os.listdir('/proc/self/fd')))"
            return 200, subprocess.run([sys.executable, "-c", look], stdout=-1).stdout, {}
    """
    # The standard streams, and what it looks with.
    assert start(source, "handler").ready().result() == (200, b"4\n", {})


def test_when_the_control_socket_ends_so_does_the_worker_whatever_it_does(start: Start) -> None:
    source = """
        import logging, threading
        def handler(method, path, params, query, headers, body):
            logging.warning("begun")
            threading.Lock().acquire() and threading.Event().wait()
    """
    worker = start(source, "handler").ready()
    worker.call()
    assert worker.logged() == "begun"
    worker.leave_control()
    assert worker.wait() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system sends no signal of choice")
def test_when_the_parent_ends_so_does_a_worker_whose_interpreter_is_kept_by_c_code(start: Start) -> None:
    source = """
        import ctypes
        def handler(*six):
            ctypes.PyDLL(None).system(b"echo kept; exec sleep 3600")
    """
    worker = start(source, "handler").ready()
    worker.call()
    assert worker.process.stdout is not None
    assert worker.process.stdout.readline() == b"kept\n"
    try:
        worker.hang_up()
        assert worker.wait() == -signal.SIGKILL
    finally:
        os.killpg(worker.process.pid, signal.SIGKILL)  # what the handler has started


@pytest.mark.parametrize(
    "message", [("what",), (), ("load",), ("credit", "sync"), ("cancel", "elsewhere", 1), ("upload", "sync", 1, 5)]
)
def test_a_message_that_means_nothing_ends_the_worker(start: Start, message: object) -> None:
    worker = start(PLAIN, "handler").ready()
    send(worker.control.socket, [message])
    assert worker.wait() == 70
    assert worker.output()[1].startswith("httpy: the worker ends, as its parent sent (")


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\4\0\0\0what", b"\1\0\0\0N", b"\0\0\0\0", b"\x0a\0\0\0[\1\0\0\0i\1\0\0\0"]
)
@pytest.mark.parametrize("lane", ["sync", "async", "control"])
def test_what_is_no_frame_ends_the_worker(start: Start, lane: str, data: bytes) -> None:
    worker = start(PLAIN + "    async def also(method, path, params, query, headers, body): ...\n", "handler", "also")
    worker.ready()
    (worker.control if lane == "control" else worker.lanes[lane]).socket.sendall(data)
    assert worker.wait() == 70
    assert "a frame" in worker.output()[1]


@pytest.mark.parametrize(
    "job", [(1, 2, 3), (1, "x"), ("one", b""), (1, 0, *[None] * 7), ("one", 0, *[0] * 6, (0.0,) * 10)]
)
def test_a_job_that_is_none_ends_the_worker(start: Start, job: object) -> None:
    worker = start(PLAIN, "handler").ready()
    send(worker.lanes["sync"].socket, [job])
    assert worker.wait() == 70


def test_signals_that_go_to_all_of_a_service_are_left_to_the_parent(start: Start) -> None:
    worker = start(PLAIN, "handler").ready()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.process.pid, number)
    assert worker.result() == (200, "plain", {})


def test_what_has_begun_is_finished_before_a_stop_and_nothing_else_begins(start: Start) -> None:
    source = """
        import atexit, logging
        import httpy_rs
        def handler(method, path, params, query, headers, body: httpy_rs.Body):
            logging.warning("begun")
            return 200, body.read(), {}
        async def also(method, path, params, query, headers, body: httpy_rs.AsyncBody):
            logging.warning("begun")
            return 200, await body.read(), {}
        atexit.register(lambda: print("atexit"))
    """
    worker = start(source, "handler", "also").ready()
    worker.run(worker.job(0, True), worker.job(0, True))
    assert worker.logged() == "begun"
    worker.call(1, True, lane="async")
    assert worker.logged() == "begun"
    worker.tell(("stop",))
    worker.tell(("upload", "sync", 1, b"a"), ("upload", "sync", 1, None))
    assert worker.get() == (1, "r", (200, b"a", {}))
    worker.tell(("upload", "async", 1, b"b"), ("upload", "async", 1, None))
    assert worker.get("async") == (1, "r", (200, b"b", {}))
    assert worker.wait() == 0
    assert worker.begun() == (1, 1)
    assert worker.output()[0] == "atexit\n"


def test_an_idle_worker_stops_at_once(start: Start) -> None:
    worker = start(PLAIN, "handler").ready()
    worker.tell(("stop",))
    assert worker.wait() == 0


def test_the_doctor_looks_at_a_worker_and_figures_are_counted(start: Start) -> None:
    worker = start(PLAIN, "handler").ready()
    assert '"version"' in worker.ask("examine")
    blocks, pauses, calls, lag = worker.ask("figures")
    assert blocks > 0
    assert (pauses, calls, lag) == ([], 0, 0.0)


def test_a_module_is_imported_ahead_whatever_comes_of_that(start: Start, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    (tmp_path / "slow.py").write_text("print('imported')\ndef handler(*six): ...\n", encoding="utf-8")
    worker = start(PLAIN, "handler").ready()
    worker.tell(("prepare", "broken:handler"), ("prepare", "nowhere:handler"), ("prepare", "slow:handler"))
    assert worker.fail("load", "handler", "broken:handler")[0] == "import"
    assert worker.ask("load", "handler", "slow:handler") == (1, "handler", "sync", "text")
    worker.hang_up()
    worker.wait()
    assert worker.output()[0] == "imported\n"
