"""The loop of a worker process, as its control thread sees it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from httpy_rs import _event_loop
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


def test_what_a_cancelled_call_has_shielded_is_known() -> None:
    async def shielded(gate: asyncio.Event) -> str:
        await gate.wait()
        return "to its end"

    async def alone(gate: asyncio.Event, inner: list[asyncio.Task[str]]) -> None:
        inner.append(asyncio.create_task(shielded(gate)))
        await asyncio.shield(inner[0])

    async def in_a_crowd(gate: asyncio.Event, inner: list[asyncio.Task[str]]) -> None:
        await asyncio.gather(alone(gate, inner), asyncio.sleep(3600))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for call in (alone, in_a_crowd):
            gate, inner = asyncio.Event(), list[asyncio.Task[str]]()
            task = asyncio.create_task(call(gate, inner))
            while not inner:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not _event_loop.is_shielded(loop)
            _event_loop.cancel(task)
            await asyncio.wait([task])
            assert task.cancelled()
            assert _event_loop.is_shielded(loop)
            gate.set()
            assert await inner[0] == "to its end"
            assert not _event_loop.is_shielded(loop)

    asyncio.run(main())


BEGINS = """
import socket, sys
from httpy_rs._event_loop import Runner
runner = Runner(False, lambda: False, lambda error: None)
runner.loop.call_soon(runner.stop)
ours, theirs = socket.socketpair()
for name in set(sys.modules) - {"sys"}:
    del sys.modules[name]
assert runner.run(ours.fileno(), int, lambda: 1.0) == []
"""


def test_a_loop_that_is_made_needs_no_module_to_begin() -> None:
    ended = subprocess.run([sys.executable, "-c", BEGINS], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
