"""No lock of the worker is waited for by code that can run anywhere: destructors, signal handlers, trace functions.

The garbage collector runs between any two steps of Python code where enough was allocated, here wherever anything is.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from httpy_rs._worker.frame import Decoder, Message
from httpy_rs._worker.outlet import Outlet
from tests.conftest import PART, Start
from tests.parent import PATIENCE, Parent

ROUNDS = 40

# Each call leaves cycles of garbage whose destructors log.
LOGS = """
    import asyncio, gc, logging, signal
    import httpy_rs

    class Session:
        def __init__(self):
            self.itself = self
        def __del__(self):
            logging.warning("a session was not closed")

    def leave():
        for number in range(20):
            Session()
            logging.warning("row %d", number)

    def chunks():
        for _ in range(20):
            Session()
            yield b"x" * 100

    gc.set_threshold(1)

    def plain(method, path, params, query, headers, body):
        leave()
        return 200, "plain", {}

    async def coroutine(method, path, params, query, headers, body):
        leave()
        await asyncio.sleep(0)
        leave()
        return 200, "coroutine", {}

    def stream(method, path, params, query, headers, body):
        leave()
        return 200, chunks(), {}

    async def async_stream(method, path, params, query, headers, body):
        leave()
        return 200, chunks(), {}

    def upload(method, path, params, query, headers, body: httpy_rs.Body):
        size = 0
        for chunk in body:
            Session()
            size += len(chunk)
        return 200, str(size), {}

    async def async_upload(method, path, params, query, headers, body: httpy_rs.AsyncBody):
        size = 0
        async for chunk in body:
            Session()
            size += len(chunk)
        return 200, str(size), {}
"""


class Records:
    """Reads what comes on the control socket, which a worker that logs a lot would fill."""

    def __init__(self, worker: Parent) -> None:
        self._control = worker.control
        self._messages: list[str] = []
        self._more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                message = self._control.get()
                if message[0] == "log":
                    with self._more:
                        self._messages.append(message[6])
                        self._more.notify_all()

    def have(self, text: str) -> bool:
        """Whether a message that begins so comes."""
        with self._more:
            return self._more.wait_for(lambda: any(message.startswith(text) for message in self._messages), PATIENCE)


def answered(worker: Parent, lane: str, number: int) -> tuple[Any, ...]:
    """The message that ends the answer to a call; the chunks before it are passed over."""
    while True:
        message = worker.get(lane)
        if message[0] == number and message[1] in ("r", "end", "e", "x"):
            return message


@pytest.mark.parametrize(
    ("handler", "lane"),
    [("plain", "sync"), ("coroutine", "async"), ("stream", "sync"), ("async_stream", "async")],
)
def test_destructors_that_log_are_no_deadlock(start: Start, handler: str, lane: str) -> None:
    worker = start(LOGS, handler).ready()
    records = Records(worker)
    for _ in range(ROUNDS):
        numbers = [worker.call(lane=lane) for _ in range(4)]
        answers: dict[int, Any] = {}
        while len(answers) < len(numbers):
            message = worker.get(lane)
            if message[1] in ("r", "end", "e"):
                answers[message[0]] = message[1:]
        expected: Any = ("end", None, None) if "stream" in handler else ("r", (200, handler, {}))
        assert answers == dict.fromkeys(numbers, expected)
    assert records.have("a session was not closed")


@pytest.mark.parametrize(("handler", "lane"), [("upload", "sync"), ("async_upload", "async")])
def test_nor_are_they_while_a_request_is_read(start: Start, handler: str, lane: str) -> None:
    worker = start(LOGS, handler).ready()
    Records(worker)
    for _ in range(ROUNDS):
        number = worker.call(0, True, lane=lane)
        for _ in range(3):
            worker.tell(("upload", lane, number, b"x" * PART))
        worker.tell(("upload", lane, number, None))
        assert answered(worker, lane, number) == (number, "r", (200, str(3 * PART), {}))


def test_trace_functions_that_log_are_no_deadlock(start: Start) -> None:
    source = """
        import logging, sys, threading
        def note(frame, event, argument):
            if "outlet" in frame.f_code.co_filename:
                logging.warning("traced %s", frame.f_code.co_name)
            return note
        threading.settrace(note)
        def handler(*six):
            logging.warning("called")
            sys.settrace(note)
            logging.warning("traced")
            return 200, "traced", {}
    """
    worker = start(source, "handler").ready()
    records = Records(worker)
    for _ in range(ROUNDS):
        assert worker.result() == (200, "traced", {})
    assert records.have("traced flush")


def test_signal_handlers_that_log_are_no_deadlock(start: Start) -> None:
    source = """
        import logging, signal
        signal.signal(signal.SIGUSR1, lambda number, frame: logging.warning("got %d", number))
        def handler(*six):
            return 200, "ok", {}
    """
    worker = start(source, "handler").ready()
    records = Records(worker)
    for number in range(1000):
        os.kill(worker.process.pid, signal.SIGUSR1)
        worker.tell(("log_level", 30 + number % 2))
    assert worker.result() == (200, "ok", {})
    assert records.have("got ")


class Socket:
    """Takes what is sent, and does something meanwhile."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._decoder = Decoder()
        self._meanwhile = meanwhile
        self.messages: list[Message] = []

    def sendall(self, data: bytes) -> None:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        self.messages += self._decoder.feed(data)


def ends(work: Callable[[], None]) -> bool:
    """Does it on another thread; false where it does not come to an end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE / 10)
    return not thread.is_alive()


def test_what_is_put_while_something_is_sent_is_sent_behind_it() -> None:
    made: dict[str, Any] = {}
    socket = Socket(lambda: made["outlet"].send((2,)))
    outlet = made["outlet"] = Outlet(socket, lambda message: None)  # type: ignore[arg-type]
    assert ends(lambda: outlet.send((1,)))
    assert socket.messages == [(1,), (2,)]


def test_a_thread_does_not_wait_for_another_one_that_sends() -> None:
    is_sending, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        is_sending.set()
        may_go_on.wait(PATIENCE)

    socket = Socket(wait)
    outlet = Outlet(socket, lambda message: None)  # type: ignore[arg-type]
    first = threading.Thread(target=outlet.send, args=((1,),), daemon=True)
    first.start()
    assert is_sending.wait(PATIENCE)
    assert ends(lambda: outlet.send((2,)))
    settled = threading.Thread(target=outlet.settle, args=(PATIENCE,), daemon=True)
    settled.start()
    may_go_on.set()
    settled.join(PATIENCE)
    assert socket.messages == [(1,), (2,)]


def test_settling_has_a_limit() -> None:
    outlet = Outlet(Socket(lambda: None), lambda message: None)  # type: ignore[arg-type]
    outlet._sending.acquire()
    assert ends(lambda: outlet.settle(0.01))


def test_what_is_settled_was_sent_though_another_thread_begins_to_send_meanwhile() -> None:
    class Contended:
        """A lock that another thread takes at once, with all that waits."""

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            return bool(lock.acquire(blocking, timeout))

        def release(self) -> None:
            lock.release()
            lock.acquire()
            outlet._waiting.clear()

    socket = Socket(lambda: None)
    outlet = Outlet(socket, lambda message: None)  # type: ignore[arg-type]
    lock: Any = outlet._sending
    outlet._sending = Contended()
    outlet._waiting.append((1,))
    outlet.settle(PATIENCE)
    assert socket.messages == [(1,)]
