"""Whatever the start of a Python does, whatever the app makes of its process: the worker works."""

from __future__ import annotations

import ast
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from httpy_rs import _embed
from tests.conftest import Start
from tests.parent import PACKAGE, Parent

PLAIN = """
    def handler(method, path, params, query, headers, body):
        return 200, "plain", {}
    async def coroutine(method, path, params, query, headers, body):
        return 200, "async", {}
"""


def started(tmp_path: Path, text: str, *names: str, site: str = "", **options: Any) -> Parent:
    """A worker with a `sitecustomize` of this text, and the app beside it."""
    (tmp_path / "app.py").write_text(textwrap.dedent(text), encoding="utf-8")
    folder = tmp_path / "site"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(textwrap.dedent(site), encoding="utf-8")
    handlers = [
        (f"app:{name}", "handler", "async" if name == "coroutine" else "sync", "text")
        for name in names or ("handler", "coroutine")
    ]
    environ = {"PYTHONPATH": str(folder), **options.pop("environ", {})}
    return Parent(tmp_path, handlers, environ=environ, **options).ready()


def answers(worker: Parent) -> None:
    """Both lanes work."""
    assert worker.result() == (200, "plain", {})
    assert worker.result(1, lane="async") == (200, "async", {})
    assert worker.result() == (200, "plain", {})


# The start.


@pytest.mark.parametrize(
    "site",
    [
        pytest.param("import socket\nsocket.setdefaulttimeout(0.001)", id="a default timeout"),
        pytest.param("import os\nos.closerange(3, 256)", id="descriptors closed"),
        pytest.param("import sys\nsys.stdin.close()\nsys.stdin = sys.stdout = sys.stderr = None", id="no streams"),
        pytest.param("import sys\nsys.stdin.read = None", id="a standard input of its own"),
        pytest.param("import os\nos.environ.clear()", id="no environment"),
        pytest.param("import warnings\nwarnings.simplefilter('error')", id="warnings are errors"),
        pytest.param("import os\nos.chdir('/')\nos.umask(0o777)", id="another folder"),
        pytest.param(
            "import sys\nfrom pathlib import Path\nsys.path.insert(0, Path('/'))", id="a path that is no text"
        ),
        pytest.param("import gc, sys\ngc.disable()\nsys.setrecursionlimit(120)", id="a low limit"),
        pytest.param("import threading\nthreading.Thread(target=print, daemon=False).start()", id="a thread"),
        pytest.param("raise RuntimeError('this site is broken')", id="broken"),
    ],
)
def test_whatever_site_does_the_worker_works(tmp_path: Path, site: str) -> None:
    with started(tmp_path, PLAIN, site=site) as worker:
        answers(worker)


@pytest.mark.parametrize(
    "environ",
    [
        {"PYTHONWARNINGS": "error"},
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONDONTWRITEBYTECODE": "1"},
        {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        {"PYTHONASYNCIODEBUG": "1"},
        {"PYTHONSAFEPATH": "1"},
        {"PYTHONINSPECT": "1"},
        {"PYTHONDEVMODE": "1"},
        {"PYTHONFAULTHANDLER": "1", "PYTHONTRACEMALLOC": "1"},
        {"PYTHONPROFILEIMPORTTIME": "1"},
    ],
    ids=lambda environ: next(iter(environ)),
)
def test_whatever_the_environment_says_the_worker_works(tmp_path: Path, environ: dict[str, str]) -> None:
    with started(tmp_path, PLAIN, environ=environ) as worker:
        answers(worker)


def test_what_site_has_opened_stays_open(tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    site = f"""
        import os, select, socket
        log = open({str(log)!r}, "a", buffering=1)
        inherited = os.dup2(log.fileno(), 100)
        ends = socket.socketpair()
        waits = select.epoll() if hasattr(select, "epoll") else log
    """
    text = """
        import os, sitecustomize
        def handler(method, path, params, query, headers, body):
            sitecustomize.log.write("a span\\n")
            os.write(sitecustomize.inherited, b"another\\n")
            sitecustomize.ends[0].sendall(b"hello")
            return 200, sitecustomize.ends[1].recv(5) + str(sitecustomize.waits.fileno() > 2).encode(), {}
    """
    with started(tmp_path, text, "handler", site=site) as worker:
        assert worker.result() == worker.result() == (200, b"helloTrue", {})
    assert log.read_text() == "a span\nanother\n" * 2


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nobody tells what is open")
def test_what_the_server_has_open_is_closed_and_nothing_else(tmp_path: Path) -> None:
    text = """
        import os
        def handler(method, path, params, query, headers, body):
            return 200, "\\n".join(filter(None, map(target, os.listdir("/proc/self/fd")))), {}
        def target(number):
            try:
                return number != "0" and os.readlink(f"/proc/self/fd/{number}")
            except OSError:  # the one that the list was read from
                return None
    """
    site = f"import os\nkept = os.dup2(os.open({str(tmp_path)!r}, os.O_RDONLY), 100)\n"
    with open(os.devnull) as file, open(__file__) as other:
        numbers = [file.fileno(), other.fileno()]
        with started(tmp_path, text, "handler", site=site, inherits=numbers) as worker:
            _, found, _ = worker.result()
    assert os.devnull not in found.split("\n")
    assert __file__ not in found
    assert str(tmp_path) in found.split("\n")


@pytest.mark.skipif(not os.path.exists("/proc/self/comm"), reason="the system has no names of processes")
def test_a_process_is_called_as_its_worker(tmp_path: Path) -> None:
    for number, expected in (("1", "httpy-process-1"), ("256", "httpy-proc-256")):
        with started(tmp_path, PLAIN, name=f"httpy-process-{number}") as worker:
            process = Path(f"/proc/{worker.process.pid}")
            assert process.joinpath("comm").read_text() == f"{expected}\n"
            assert len(process.joinpath("cmdline").read_bytes()) < 200


# The app's own modules.

HIDDEN = (
    "calendar copy email/__init__ enum functools inspect json logging platform queue random re secrets select "
    "selectors signal socket statistics string struct threading token traceback types typing weakref"
)


@pytest.mark.parametrize("name", HIDDEN.split())
@pytest.mark.parametrize("by", ["path", "environment"])
def test_a_module_that_is_called_like_one_of_the_library_is_the_apps(tmp_path: Path, name: str, by: str) -> None:
    module = name.partition("/")[0]
    folder = tmp_path if by == "path" else tmp_path / "site"
    file = folder / f"{name}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("HELLO = 'hello'\n", encoding="utf-8")
    text = f"""
        import sys
        import {module} as own
        def handler(method, path, params, query, headers, body):
            if body:
                raise KeyError(body)
            return 200, getattr(own, "HELLO", own.__name__), {{}}
        async def coroutine(method, path, params, query, headers, body):
            return 200, "async", {{}}
    """
    # What any Python has imported when it begins cannot be hidden.
    was_there = module in _loaded_by_any_python()
    with started(tmp_path, text) as worker:
        assert worker.result() == (200, module if was_there else "hello", {})
        assert worker.result(1, lane="async") == (200, "async", {})
        number = worker.call(0, "here")
        assert worker.get()[:2] == (number, "e")
        assert worker.ask("figures")[0] > 0
        assert '"version"' in worker.ask("examine")


def _loaded_by_any_python() -> set[str]:
    import subprocess

    look = "import sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", look], capture_output=True, text=True).stdout.split())


def test_what_is_kept_aside_is_all_that_the_package_uses() -> None:
    used = set()
    for file in PACKAGE.rglob("*.py"):
        # For tests and type checkers, and what stands in front of all else.
        if file.name.startswith(("_arguments", "_boot", "_call", "_pattern", "testing", "typing")):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                used.add(node.module or "")
    there = {"__future__", "_socket", "httpy_rs", "os", *_embed._USED.split(), *sys.builtin_module_names}
    tops = {name.partition(".")[0] for name in there}
    assert {name for name in used if name.partition(".")[0] not in tops} == set()


# What the app makes of its process.


@pytest.mark.parametrize(
    "does",
    [
        pytest.param("import os; os.closerange(3, 256)", id="closes what it does not know"),
        pytest.param("import os; [close(number) for number in range(3, 256)]", id="one by one"),
        pytest.param("import socket; socket.setdefaulttimeout(0.001); socket.socket = None", id="sockets"),
        pytest.param("import time; time.monotonic = time.sleep = time.perf_counter = lambda *_: 0.0", id="the clock"),
        pytest.param("import threading as t; t.Lock = t.Event = t.get_ident = t.Thread = None", id="threads"),
        pytest.param(
            "import _thread as t; t.allocate_lock = t.get_ident = t.start_new_thread = None", id="raw threads"
        ),
        pytest.param("import os; os._exit = os.read = os.write = None", id="the system's functions"),
        pytest.param("import builtins; builtins.open = builtins.print = builtins.any = None", id="built-in functions"),
        pytest.param("import builtins; builtins.__import__ = None", id="imports"),
        pytest.param("import sys; sys.stdout = sys.stderr = sys.stdin = None", id="the streams"),
        pytest.param("import sys; sys.path = ['/nowhere']", id="the path"),
        pytest.param("import sys; [sys.modules.pop(n) for n in list(sys.modules) if 'httpy' in n]", id="our modules"),
        pytest.param("import sys; [sys.modules.pop(n) for n in list(sys.modules) if n != 'sys']", id="all modules"),
        pytest.param("import os; os.environ.clear()", id="the environment"),
        pytest.param("import gc, sys; gc.disable(); sys.setrecursionlimit(120)", id="a low limit"),
        pytest.param("import warnings; warnings.simplefilter('error')", id="warnings"),
        pytest.param("import faulthandler; faulthandler.enable()", id="the fault handler"),
        pytest.param("import multiprocessing as m; m.set_start_method('fork', force=True)", id="the start method"),
        pytest.param("import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (64, 64))", id="few files"),
    ],
)
def test_whatever_the_app_does_to_its_process_the_worker_works(start: Start, does: str) -> None:
    source = f"""
        import httpy_rs
        def close(number):
            import os
            try:
                os.close(number)
            except OSError:
                pass
        def handler(method, path, params, query, headers, body):
            if path == "/do":
                exec(GIVEN, {{"close": close}})
            return 200, "%d %s" % (httpy_rs.remaining(), httpy_rs.request().target), {{}}
        def stream(method, path, params, query, headers, body: httpy_rs.Body):
            return 200, iter([body.read(2), body.read()]), {{}}
        GIVEN = {does!r}
    """
    worker = start(source, "handler", "stream").ready()
    for path in ("/", "/do", "/", "/"):
        assert worker.result(path=path) == (200, f"29 {path}", {})
    # More threads than there were.
    worker.tell(("relieve",))
    number = worker.call(1, True)
    worker.tell(("upload", "sync", number, b"abc"), ("upload", "sync", number, None))
    assert [worker.get()[1:] for _ in range(4)] == [
        ("s", (200, {}, None)),
        (b"ab",),
        (b"c",),
        ("end", None, None),
    ]
    worker.tell(("stop",))
    assert worker.wait() == 0


def test_a_clock_that_stands_still_in_every_module_is_not_the_servers(start: Start) -> None:
    # As freezegun does it.
    source = """
        import sys, time, httpy_rs
        REAL = {id(getattr(time, name)) for name in ("time", "monotonic", "perf_counter")}
        def handler(method, path, params, query, headers, body):
            for module in list(sys.modules.values()):
                for name in dir(module):
                    if id(getattr(module, name, None)) in REAL:
                        setattr(module, name, lambda: 2_000_000_000.0)
            return 200, str(httpy_rs.remaining()), {}
    """
    worker = start(source, "handler").ready()
    for _ in range(2):
        assert 25 < float(worker.result()[1]) <= 30


@pytest.mark.parametrize("raises", ["TimeoutError('too late')", "KeyboardInterrupt", "SystemExit(0)", "ValueError(1)"])
def test_what_a_signals_handler_raises_ends_no_worker(start: Start, raises: str) -> None:
    source = f"""
        import os, signal, sys, threading
        called = threading.Semaphore(0)
        def raise_it(number, frame):
            called.release()
            raise {raises}
        signal.signal(signal.SIGUSR1, raise_it)
        def handler(method, path, params, query, headers, body):
            main = threading.main_thread().ident
            while sys._current_frames()[main].f_code.co_name != "serve":
                os.sched_yield()
            os.kill(os.getpid(), signal.SIGUSR1)
            called.acquire()
            return 200, "on", {{}}
    """
    worker = start(source, "handler").ready()
    for _ in range(3):
        assert worker.result() == (200, "on", {})
    worker.ask("figures")
    worker.hang_up()
    worker.wait()
    assert worker.output()[1].count("in raise_it") == 3


def test_what_is_imported_again_is_the_same(start: Start) -> None:
    source = """
        import sys
        import httpy_rs
        for name in [name for name in sys.modules if name.startswith("httpy_rs")]:
            del sys.modules[name]
        first = httpy_rs
        import httpy_rs
        from httpy_rs import request
        def handler(method, path, params, query, headers, body):
            return 200, f"{first is httpy_rs} {request().target}", {}
    """
    assert start(source, "handler").ready().result() == (200, "True /", {})
