"""What CPython does at its end, done without ending: each in a Python of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def run(code: str, folder: Path) -> list[str]:
    """Runs `code` as the module `app`, shuts down and leaves; the lines that it has printed."""
    (folder / "app.py").write_text(textwrap.dedent(code))
    main = "import app, os; from httpy_rs import _end; print(*_end.shut_down(30.0), flush=True); os._exit(0)"
    command = [sys.executable, "-u", "-c", main]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout.splitlines()


def test_hooks_of_threading_come_first_then_threads_then_atexit(tmp_path: Path) -> None:
    code = """
        import atexit, concurrent.futures, threading
        atexit.register(print, "atexit")
        gate = threading.Event()
        threading.Thread(target=lambda: (gate.wait(), print("thread"))).start()
        pool = concurrent.futures.ThreadPoolExecutor()
        pool.submit(int).result()
        threading._register_atexit(lambda: (print("hook"), gate.set()))
    """
    assert run(code, tmp_path) == ["hook", "thread", "atexit", "[] []"]


def test_the_main_thread_ends_for_those_who_watch_it(tmp_path: Path) -> None:
    code = """
        import os, threading, time
        def watch():
            while threading.main_thread().is_alive():
                time.sleep(0.001)
            os.write(1, b"watched\\n")
        def join():
            threading.main_thread().join()
            os.write(1, b"joined\\n")
        main = threading.get_ident()
        assert threading.main_thread().ident == main
        for work in (watch, join):
            threading.Thread(target=work).start()
    """
    assert sorted(run(code, tmp_path)) == ["[] []", "joined", "watched"]


def test_what_an_exit_function_raises_also_reaches_the_hook_of_the_app(tmp_path: Path) -> None:
    code = """
        import atexit, sys
        def fail():
            raise ValueError("at the end")
        atexit.register(fail)
        sys.unraisablehook = lambda unraisable: print("hook", unraisable.exc_value)
    """
    hook, report = run(code, tmp_path)
    assert hook == "hook at the end"
    assert "ValueError: at the end" in report


HOLDS = """
    import gc, gzip, tempfile, threading, weakref
    class Last:
        def __del__(self):
            out.write("destructor ")
    class Cycle:
        def __init__(self):
            self.itself = self
        def __del__(self):
            out.write("cycle ")
    out = open("out", "w")
    temporary = tempfile.NamedTemporaryFile(dir=".", prefix="temporary")
    folder = tempfile.TemporaryDirectory(dir=".", prefix="temporary")
    packed = gzip.open("packed", "wb")
    packed.write(b"row")
    last, cycle = Last(), Cycle()
    def local():
        file = open("local", "w")
        file.write("row")
        return lambda: file
    closure = local()
    gc.freeze()
"""


def test_what_a_module_holds_is_closed(tmp_path: Path) -> None:
    assert run(HOLDS, tmp_path) == ["[] []"]
    names = {file.name for file in tmp_path.iterdir()} - {"__pycache__", "app.py"}
    assert names == {"local", "out", "packed"}
    assert (tmp_path / "out").read_text().split() == ["destructor", "cycle"]
    assert (tmp_path / "local").read_text() == "row"
    # CRC and length of what is packed come last.
    assert (tmp_path / "packed").read_bytes()[-4:] == b"\x03\0\0\0"


@pytest.mark.parametrize("waits", ["lambda: threading.Event().wait()", "lambda: time.sleep(3600)"])
def test_beside_a_thread_in_python_code_files_are_flushed(tmp_path: Path, waits: str) -> None:
    code = f"""
        import threading, time
        out = open("out", "w")
        out.write("row")
        threading.Thread(target={waits}, daemon=True).start()
    """
    assert run(code, tmp_path) == ["[] []"]
    assert (tmp_path / "out").read_text() == "row"


def test_a_file_that_waits_for_its_reader_comes_last(tmp_path: Path) -> None:
    code = """
        import os, threading
        reader, writer = os.pipe()
        pipe = os.fdopen(writer, "w", 1 << 20)
        pipe.write("x" * (1 << 19))
        out = open("out", "w")
        out.write("row")
        def read():
            with open("out") as file:
                while file.read() != "row":
                    file.seek(0)
            while os.read(reader, 1 << 16):
                pass
        threading.Thread(target=read, daemon=True).start()
    """
    assert run(code, tmp_path) == ["[] []"]
