"""`EventLoop`: the thread of the event loop, and what other threads want of it. It is started for the first async
function; until then nothing of asyncio is imported.
"""

from __future__ import annotations

import _socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from httpy_rs._exception import attempt
from httpy_rs._interface import ASYNC
from httpy_rs._own import Lock, monotonic, start_thread
from httpy_rs._threading import enter
from httpy_rs._worker import wire
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.frame import Message
from httpy_rs._worker.interruption import Guard

if TYPE_CHECKING:
    import asyncio

    from httpy_rs._event_loop import Runner
    from httpy_rs._worker.async_lane import AsyncLane

# No call has this number.
LOOP = 0


class EventLoop:
    """The loop of this process, once there is one."""

    def __init__(
        self, connection: Connection, lane: _socket.socket, in_flight: int, prefer_uvloop: bool, turn: float
    ) -> None:
        self._connection = connection
        self._socket = lane
        self._in_flight = in_flight
        self._prefer_uvloop = prefer_uvloop
        self._turn = turn
        self.lane: AsyncLane | None = None
        self._runner: Runner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._guard = Guard(is_shieldable=False)
        self._limit = 0.0
        # Taken until the thread has ended.
        self._ended = Lock()
        self._ended.acquire()
        self._has_ended = False
        self._left: list[str] = []
        # When the loop was asked to come round, until it did; and how long that took last.
        self._asked: float | None = None
        self._lag = 0.0

    def start(self) -> None:
        """Runs from now on, if it did not before."""
        if self._loop is not None:
            return
        from httpy_rs._event_loop import Runner
        from httpy_rs._worker.async_lane import AsyncLane

        runner = Runner(
            self._prefer_uvloop,
            lambda: self.lane is not None and self.lane.is_in_first_step(),
            self._connection.unforked,
        )
        self._runner, self._loop = runner, runner.loop
        self.lane = AsyncLane(self._connection, self._socket, runner, self._in_flight, self._turn)
        begun = Lock()
        begun.acquire()

        def note_begun() -> None:
            # uvloop has made it one that does not wait, and what has no room in it would be lost.
            self._socket.settimeout(None)
            begun.release()

        runner.begun = note_begun
        start_thread(self._run, (runner, self.lane, begun))
        # No code of the app runs before that, which may replace what a loop begins with.
        begun.acquire()

    def _run(self, runner: Runner, lane: AsyncLane, begun: Any) -> None:
        # First, so that what it does is to be seen from the beginning.
        self._guard.begin_thread()
        # App code may have broken `threading`; a loop without a name still works.
        attempt(lambda: enter("httpy-loop"), None)
        try:
            self._left = runner.run(self._socket.fileno(), lambda: self._checked(lane.drain), lambda: self._limit)
        except BaseException as error:
            self._connection.fail(error)
        finally:
            self._has_ended = True
            self._ended.release()
            # If it has not begun, the lock is still held.
            attempt(begun.release, None)

    def _checked(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:
            self._connection.fail(error)

    # For the control thread.

    def tell(self, name: str, *arguments: Any) -> None:
        """Has the lane do what its method of this name does."""
        if self._loop is None:
            return
        if name == "interrupt":
            self._interrupt(*arguments)
            return
        if name in ("cancel", "left"):
            self._note_gone(*arguments)
        self._loop.call_soon_threadsafe(self._checked, getattr(self.lane, name), *arguments)

    def call(self, function: Callable[[], Any], limit: float | None) -> Any:
        """What an async function without arguments gives; it has `limit` seconds."""
        from httpy_rs._event_loop import call

        self.start()
        assert self._loop is not None
        return call(self._loop, function, limit)

    def is_shielded(self) -> bool:
        """Whether something goes on that a cancelled call has shielded."""
        if self._loop is None:
            return False
        from httpy_rs._event_loop import is_shielded

        return is_shielded(self._loop)

    def ended_threads(self) -> list[int]:
        """Its own, once the loop has ended."""
        return [self._guard.thread] if self._has_ended else []

    def is_idle(self) -> bool:
        """Whether no call is under way."""
        return self.lane is None or not self.lane.running

    def flush(self) -> None:
        """Sends the replies that wait for others."""
        if self.lane is not None:
            self.lane.outlet.flush()

    def settle(self, limit: float) -> None:
        """Sends all replies before the process ends; waits `limit` seconds at most for another thread that sends."""
        if self.lane is not None:
            self.lane.outlet.settle(limit)

    def close(self, limit: float) -> tuple[list[str], list[str]]:
        """Ends the loop within `limit` seconds: the names of tasks that went on, and of its thread if that did."""
        if self._loop is None or self._runner is None:
            return [], []
        self._limit = limit
        self._loop.call_soon_threadsafe(self._runner.stop)
        # A little more than it takes for itself.
        return (self._left, []) if self._ended.acquire(timeout=limit + 1.0) else ([], ["httpy-loop"])

    def stacks(self) -> list[Message]:
        """Where each call is; and, under the number `LOOP`, the thread of a loop that was asked to come round and has
        not done so.
        """
        if self._loop is None or self.lane is None:
            return []
        from httpy_rs._event_loop import current_call, task_frames
        from httpy_rs._stack import show

        _, of_thread = current_call(self._loop, self._guard.thread)
        current, stacks = self.lane.current(), []
        for running in list(self.lane.running.values()):
            call, task = running.call, running.task
            frames = of_thread if call is current or task is None else task_frames(task)
            stacks.append(wire.stack(call.lane, call.number, show(frames)))
        if self._asked is not None:
            stacks.append(wire.stack(ASYNC, LOOP, show(of_thread)))
        return stacks

    def come_round(self, number: int) -> None:
        """Has the loop answer the question of this number as soon as it comes round."""
        if self._loop is None:
            self._connection.tell(wire.ok(number, None))
            return
        if self._asked is None:
            self._asked = monotonic()
        self._loop.call_soon_threadsafe(self._came_round, number)

    def blocked(self) -> Message | None:
        """For how many seconds the loop has not come round though it was asked to; the number of the call that keeps
        it, if a call does; and where its thread is. `None` where it has come round.
        """
        asked = self._asked
        if asked is None or self._loop is None or self.lane is None:
            return None
        from httpy_rs._event_loop import current_call
        from httpy_rs._stack import show

        call = self.lane.current()
        _, frames = current_call(self._loop, self._guard.thread)
        silent = monotonic() - asked
        # It came round meanwhile: none of that has kept it.
        if self._asked is not asked:
            return None
        return wire.blocked(silent, None if call is None else call.number, show(frames))

    def figures(self) -> tuple[int, float]:
        """How many calls are under way, and how many seconds the loop took to come round when it was last asked to."""
        if self._loop is None or self.lane is None:
            return 0, 0.0
        # Read once: the loop may come round at any time.
        asked = self._asked
        if asked is None:
            self._asked = monotonic()
            self._loop.call_soon_threadsafe(self._came_round, None)
            lag = self._lag
        else:
            lag = monotonic() - asked
        return len(self.lane.running), lag

    def _came_round(self, number: int | None) -> None:
        if self._asked is not None:
            self._lag, self._asked = monotonic() - self._asked, None
        if number is not None:
            self._connection.tell(wire.ok(number, None))

    def _interrupt(self, number: int) -> None:
        lane = self.lane
        call = None if lane is None else lane.current()
        if lane is not None and call is not None and call.number == number:
            self._guard.strike(call, lambda: lane.current() is call)

    def _note_gone(self, number: int) -> None:
        running = None if self.lane is None else self.lane.running.get(number)
        if running is not None:
            running.call.gone = True
