"""Where a thread is interrupted: endless code is, and wherever that happens, nothing that is held stays held."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from httpy_rs import DeadlineExceeded, _interrupt
from tests.interrupted import LIMIT, Handler, run


def spin() -> None:
    while True:
        pass


def calls_without_end() -> None:
    while True:
        nothing()


def recursion_without_end(depth: int = 60) -> None:
    for _ in range(2):
        if depth:
            recursion_without_end(depth - 1)


def sleeps_for_nothing() -> None:
    while True:
        time.sleep(0)


def sleeps_again_and_again() -> None:
    while True:
        time.sleep(0.02)


def dumps() -> None:
    while True:
        json.dumps({"a": [1, 2.0, None]})


def dumps_much() -> None:
    much = list(range(50_000))
    while True:
        json.dumps(much)


def matches() -> None:
    while True:
        re.match("(a+)+b", "a" * 14)


def sums() -> None:
    while True:
        sum(range(100_000))


def consumes_without_end() -> int:
    def produce() -> Iterator[int]:
        while True:
            yield 1

    return sum(produce())


def comprehends_without_end() -> list[int]:
    return [0 for _ in iter(int, 1)]


def compares_without_end() -> None:
    class Slow:
        def __lt__(self, other: Slow) -> bool:
            while True:
                pass

    sorted([Slow(), Slow()])


def polls() -> None:
    empty: queue.Queue[None] = queue.Queue()
    while True:
        try:
            empty.get(timeout=0.02)
        except queue.Empty:
            continue


def retries() -> None:
    while True:
        try:
            raise ValueError
        except ValueError:
            nothing()


def computes_in_an_except() -> None:
    try:
        raise KeyError
    except KeyError:
        spin()


def computes_in_a_with() -> None:
    with contextlib.suppress(ValueError):
        spin()


def tidies_up_without_end() -> None:
    try:
        nothing()
    finally:
        spin()


def enters_without_end() -> None:
    class Slow:
        def __enter__(self) -> None:
            spin()

        def __exit__(self, *raised: object) -> None:
            pass

    with Slow():
        pass


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    "endless",
    [
        spin,
        calls_without_end,
        recursion_without_end,
        sleeps_for_nothing,
        sleeps_again_and_again,
        dumps,
        dumps_much,
        matches,
        sums,
        consumes_without_end,
        comprehends_without_end,
        compares_without_end,
        polls,
        retries,
        computes_in_an_except,
        computes_in_a_with,
        tidies_up_without_end,
        enters_without_end,
    ],
)
def test_code_without_end_is_interrupted(endless: Callable[[], object]) -> None:
    assert type(Handler(endless).interrupted()) is DeadlineExceeded


def test_code_that_swallows_the_interruption_is_interrupted_again() -> None:
    seen: list[BaseException] = []

    def swallow() -> int:
        while len(seen) < 3:
            try:
                spin()
            except BaseException as error:
                seen.append(error)
        return len(seen)

    assert Handler(swallow).interrupted() == 3
    assert {type(error) for error in seen} == {DeadlineExceeded}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_destructor_without_end_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: unraisable.append(it.exc_type))

    class Slow:
        def __del__(self) -> None:
            spin()

    assert Handler(lambda: str(Slow()) and "went on").interrupted() == "went on"
    assert unraisable == [DeadlineExceeded]


def test_what_has_waited_past_its_deadline_may_end_when_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_interrupt, "GRACE", LIMIT)
    go_on = threading.Event()

    def wait() -> str:
        go_on.wait()
        for _ in range(100):
            nothing()
        return "ended"

    handler = Handler(wait)
    handler.start()
    assert handler.ident is not None
    for _ in range(3):
        _interrupt.interrupt(handler.ident, handler, handler.strikes)
    go_on.set()
    handler.join(LIMIT)
    assert handler.result == "ended"


def test_a_thread_that_is_in_another_call_is_not_interrupted() -> None:
    handler = Handler(lambda: [str(number) for number in range(1000)])
    handler.begins = lambda: _interrupt.interrupt(threading.get_ident(), handler, lambda raises: None)
    assert len(run(handler)) == 1000  # type: ignore[arg-type]
    assert handler.ident not in _interrupt._interruptions


# What must not stay half done, wherever it is interrupted: the function, and what is looked at afterwards.
Case = tuple[Callable[[], object], Callable[[], bool]]


def _lock(with_statement: bool) -> Case:
    lock = threading.Lock()

    def acquire() -> None:
        for _ in range(2):
            lock.acquire()
            try:
                nothing()
            finally:
                for _ in range(1):
                    nothing()
                lock.release()

    def enter() -> None:
        for _ in range(2):
            with lock:
                nothing()

    return (enter if with_statement else acquire), lambda: not lock.locked()


def _waiting_lock() -> Case:
    lock = threading.Lock()

    def acquire() -> None:
        while not lock.acquire(timeout=LIMIT):
            nothing()
        try:
            nothing()
        finally:
            lock.release()

    return acquire, lambda: not lock.locked()


def _lock_taken_in_an_except() -> Case:
    lock = threading.Lock()

    def acquire() -> None:
        try:
            raise KeyError
        except KeyError:
            lock.acquire()
        try:
            nothing()
        finally:
            lock.release()

    return acquire, lambda: not lock.locked()


class Resource:
    """A context manager of Python code."""

    def __init__(self) -> None:
        self.taken = 0

    def __enter__(self) -> Resource:
        self._take()
        nothing()
        return self

    def __exit__(self, *raised: object) -> None:
        nothing()
        self._give_back()

    def _take(self) -> None:
        nothing()
        self.taken += 1

    def _give_back(self) -> None:
        for _ in range(2):
            nothing()
        self.taken -= 1


def _resource(by_a_stack: bool) -> Case:
    resource = Resource()

    def use() -> None:
        with resource:
            nothing()
        with resource as _, resource:
            nothing()

    def push() -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(resource)
            nothing()

    return (push if by_a_stack else use), lambda: resource.taken == 0


def _generator() -> Case:
    lock = threading.Lock()

    @contextlib.contextmanager
    def locked() -> Iterator[None]:
        nothing()
        lock.acquire()
        try:
            yield
        finally:
            nothing()
            lock.release()

    def each() -> Iterator[int]:
        with locked():
            yield from range(2)

    def use() -> None:
        with locked():
            nothing()
        for _ in each():
            nothing()

    return use, lambda: not lock.locked()


def _pool() -> Case:
    pool: queue.Queue[int] = queue.Queue()
    pool.put(1)

    def use() -> None:
        for _ in range(2):
            connection = pool.get()
            try:
                nothing()
            finally:
                pool.put(connection)

    def is_whole() -> bool:
        return pool.qsize() == 1 and not pool.mutex.locked()

    return use, is_whole


def _condition() -> Case:
    condition, waits = threading.Condition(threading.Lock()), threading.Event()

    def wait() -> None:
        with condition:
            nothing()
            condition.wait(0.001)
            condition.wait_for(lambda: not condition.acquire(blocking=False))
        waits.set()
        waits.wait()

    return wait, lambda: condition.acquire(blocking=False) and (condition.release() or True)  # type: ignore[func-returns-value]


def _log() -> Case:
    handler = logging.StreamHandler(io.StringIO())
    logger = logging.Logger("interrupted")
    logger.addHandler(handler)

    def log() -> None:
        for _ in range(2):
            logger.warning("text %s", 1)

    def is_free() -> bool:
        assert handler.lock is not None
        if taken := handler.lock.acquire(blocking=False):
            handler.lock.release()
        return taken

    return log, is_free


def _tidying_up() -> Case:
    done: list[str] = []

    def tidy() -> None:
        done.clear()
        try:
            done.append("begun")
            nothing()
        finally:
            for step in ("one", "two"):
                nothing()
                done.append(step)

    return tidy, lambda: not done or done[-2:] == ["one", "two"]


CASES: dict[str, Callable[[], Case]] = {
    "lock.acquire": lambda: _lock(False),
    "with lock": lambda: _lock(True),
    "a lock with a limit": _waiting_lock,
    "a lock taken in an except": _lock_taken_in_an_except,
    "a context manager": lambda: _resource(False),
    "an exit stack": lambda: _resource(True),
    "a generator": _generator,
    "a pool": _pool,
    "a condition": _condition,
    "a log handler": _log,
    "a finally": _tidying_up,
}


@pytest.mark.parametrize("name", CASES)
def test_wherever_it_is_interrupted_nothing_stays_held(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_interrupt, "GRACE", -1.0)
    monkeypatch.setattr(_interrupt, "PATIENCE", LIMIT)
    function, is_whole = CASES[name]()
    codes = _codes(function)
    assert is_whole()
    for number in range(1000):
        result = _cut(function, codes, number)
        # On another thread: some locks let the thread in that has them.
        assert is_whole(), f"interrupted at place {number}"
        if not isinstance(result, DeadlineExceeded):
            break
    assert number > 0, "it was never interrupted"
    assert number < 999


def test_an_import_is_never_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_interrupt, "GRACE", -1.0)
    monkeypatch.setattr(_interrupt, "PATIENCE", -1.0)
    monkeypatch.syspath_prepend(tmp_path)
    text = "def step():\n    pass\nfor _ in range(100):\n    step()\n"
    (tmp_path / "imported_late.py").write_text(text + "import imported_later\n")
    (tmp_path / "imported_later.py").write_text(text)

    def load() -> object:
        return importlib.import_module("imported_late")

    def forget() -> None:
        for name in ("imported_late", "imported_later"):
            sys.modules.pop(name, None)

    codes = _codes(load)
    forget()
    number = 0
    while isinstance(_cut(load, codes, number), DeadlineExceeded):
        assert "imported_late" not in sys.modules or hasattr(sys.modules["imported_late"], "imported_later")
        forget()
        number += 1
    forget()


def _codes(function: Callable[[], object]) -> list[CodeType]:
    """Of all functions that it calls."""
    codes: dict[int, CodeType] = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        codes[id(frame.f_code)] = frame.f_code

    handler = Handler(function)
    handler.begins = lambda: sys.setprofile(note)
    assert not isinstance(run(handler), BaseException), handler.result
    return [code for code in codes.values() if code.co_filename != _interrupt.__file__]


def _cut(function: Callable[[], object], codes: list[CodeType], number: int) -> object:
    """Calls it on a thread that is interrupted at the place of this number, of those where it can be."""
    places = 0

    def strikes(raises: bool) -> bool:
        nonlocal places
        if not handler.is_inside:
            return False
        places += raises
        return raises and places > number

    def begin() -> None:
        thread = threading.get_ident()
        _interrupt.interrupt(thread, handler, strikes)
        interruption = _interrupt._interruptions[thread]
        if _interrupt.HAS_MONITORING:
            for code in codes:
                interruption.codes[id(code)] = code
                _interrupt._listen(code)

    handler = Handler(function)
    handler.begins = begin
    return run(handler)
