"""What tests share: modules on disk, failures to look at, and worker processes."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from httpy_rs._interface import ASYNC, SYNC, Interface
from httpy_rs._load import LoadError
from tests.parent import Parent

Failure = Callable[[Callable[[], Any]], LoadError]
Write = Callable[..., Path]
Start = Callable[..., Parent]

PLAIN = """
    def handler(method, path, params, query, headers, body):
        return 200, body, {}
"""
# A body that goes ahead of its message does so in parts of this many bytes.
PART = 64 * 1024


def caught(work: Callable[[], Any]) -> BaseException:
    """What `work` raises."""
    try:
        work()
    except BaseException as exception:
        return exception
    raise AssertionError("nothing was raised")


class Watchdog:
    """Tells `scripts/watchdog.py` which test runs: one that does not end is named, with all stacks."""

    def __init__(self, config: pytest.Config) -> None:
        capture: Any = config.pluginmanager.getplugin("capturemanager")
        script = Path(__file__).parents[2] / "scripts" / "watchdog.py"
        # It writes to the terminal, whatever the test's own output is just then.
        with capture.global_and_fixture_disabled():
            self._process = subprocess.Popen([sys.executable, "-B", str(script)], stdin=subprocess.PIPE, bufsize=0)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._tell(nodeid)

    def pytest_unconfigure(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Watchdog(config))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module below `tmp_path`, which is first on `sys.path`; modules loaded by the test are forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name: str, source: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
        return file

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def failure() -> Failure:
    """Runs what has to fail and gives its `LoadError`."""

    def failure(work: Callable[[], Any]) -> LoadError:
        with pytest.raises(LoadError) as caught:
            work()
        assert str(caught.value) == caught.value.message
        return caught.value

    return failure


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a worker process that has a module of this text, `app`, and loads the handlers that are named."""
    with ExitStack() as stack:

        def start(source: str, *names: str, **settings: Any) -> Parent:
            (tmp_path / "app.py").write_text(textwrap.dedent(source), encoding="utf-8")
            handlers = [(f"app:{name}", *_interface(source, name)) for name in names]
            return stack.enter_context(Parent(tmp_path, handlers, **settings))

        yield start


def _interface(source: str, name: str) -> Interface:
    """That of the handler of this name, as its `def` line says."""
    found = re.search(rf"(async )?def {name}\((.*?)\)", source)
    if found is None:
        return Interface("handler", SYNC, "text")
    body = "bytes" if found[2].endswith(": bytes") else "stream" if found[2].endswith("Body") else "text"
    return Interface("handler", ASYNC if found[1] else SYNC, body)
