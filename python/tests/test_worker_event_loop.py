"""The loop of a worker process, as its control thread sees it."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from httpy_rs._worker import event_loop


def test_the_loop_may_come_round_while_its_figures_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = cast(Any, None)
    loop = event_loop.EventLoop(nothing, nothing, in_flight=1, prefer_uvloop=False, turn=0.0)
    loop._loop = asyncio.new_event_loop()
    loop.lane = cast(Any, SimpleNamespace(running={}))
    assert loop.figures() == (0, 0.0)

    def in_between() -> float:
        monkeypatch.undo()
        loop._came_round(None)
        return time.monotonic()

    monkeypatch.setattr(event_loop, "monotonic", in_between)
    running, lag = loop.figures()
    assert running == 0
    assert lag >= 0.0
    loop._loop.close()
