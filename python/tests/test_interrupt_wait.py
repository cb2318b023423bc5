"""A thread that waits in C code past its deadline: it slows no other, and is interrupted once it goes on."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from httpy_rs import DeadlineExceeded, _interrupt, _threading
from tests.interrupted import LIMIT, Handler, run


class Steps:
    """A handler that waits in C code, for one step after the other."""

    def __init__(self) -> None:
        self._step, self._waits = threading.Lock(), threading.Lock()
        self._step.acquire()
        self._waits.acquire()
        self.handler = Handler(self._run)
        self.handler.start()
        self._until_it_waits()

    def _run(self) -> None:
        while True:
            self._waits.release()
            self._step.acquire()

    def _until_it_waits(self) -> None:
        """Until it waits, or has ended."""
        while not self._waits.acquire(blocking=False) and self.handler.is_alive():
            pass
        line = Steps._run.__code__.co_firstlineno + 3
        while self.handler.is_alive():
            frame = sys._current_frames().get(self.handler.ident or 0)
            if frame is not None and frame.f_code is Steps._run.__code__ and frame.f_lineno == line:
                break

    def go_on(self) -> None:
        """Until it waits again, or has ended."""
        self._step.release()
        self._until_it_waits()

    def look(self, call: object, times: int) -> bool:
        """Whether it is listened to afterwards."""
        assert self.handler.ident is not None
        for _ in range(times):
            _interrupt.interrupt(self.handler.ident, call, self.handler.strikes)
        interruption = _interrupt._interruptions.get(self.handler.ident)
        return bool(interruption and interruption.codes)

    def wait(self) -> object:
        """The call during which it was only ever seen to wait."""
        ends = time.monotonic() + LIMIT
        while time.monotonic() < ends:
            call = object()
            if not self.look(call, 2):
                return call
        raise AssertionError("it is never seen to wait")


def test_a_thread_that_waits_slows_no_other_and_is_interrupted_once_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_interrupt, "GRACE", -1.0)
    steps, call = Steps(), object()
    if _interrupt.HAS_MONITORING:
        call = steps.wait()
        monitoring = getattr(sys, "monitoring")  # noqa: B009
        assert monitoring.get_local_events(_interrupt._tool(), Steps._run.__code__) == 0
    # Each time it waits for longer than from one look to the next.
    ends = time.monotonic() + LIMIT
    while steps.handler.is_alive():
        assert time.monotonic() < ends, "it is never interrupted"
        steps.go_on()
        steps.look(call, 2)
    assert type(run(steps.handler, starts=False)) is DeadlineExceeded


def test_a_thread_that_has_ended_has_no_processor_time() -> None:
    handler = Handler(lambda: None)
    assert run(handler) is None
    threading._active[0] = handler  # type: ignore[attr-defined]
    ends = time.monotonic() + LIMIT
    while _threading.processor_time(0) is not None:  # the system's thread ends a little later
        assert time.monotonic() < ends
    del threading._active[0]  # type: ignore[attr-defined]
