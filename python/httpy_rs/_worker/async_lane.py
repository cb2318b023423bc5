"""`AsyncLane`: the calls of `async def` handlers, on one event loop that has a thread of its own.

All of it happens on that thread, save what says otherwise. A call is a task, and so is the sending of a body that is an
iterator; what becomes of it after each of them stands here. The call of an application is one task to its end. How the
loop itself is made, runs and ends is in `httpy_rs._event_loop`.
"""

from __future__ import annotations

import _socket
import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from httpy_rs._context import Start
from httpy_rs._event_loop import Runner, attended, cancel, send
from httpy_rs._exception import attempt
from httpy_rs._interface import ASGI, ASYNC
from httpy_rs._own import monotonic
from httpy_rs._request import _current
from httpy_rs._threading import Hooks
from httpy_rs._worker import mark, wire
from httpy_rs._worker.async_stream import AsyncSending
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.exchange import Exchange
from httpy_rs._worker.frame import READ_SIZE, Message
from httpy_rs._worker.inlet import Inlet
from httpy_rs._worker.reply import Answer, answer, cut
from httpy_rs._worker.running import Running
from httpy_rs._worker.stream import fill, raised, raised_closing
from httpy_rs._worker.target import Target
from httpy_rs._worker.task import Starter
from httpy_rs._worker.upload import Receiving
from httpy_rs._worker.wire import Call


class AsyncLane:
    """The calls that wait, and those under way."""

    def __init__(
        self,
        connection: Connection,
        lane: _socket.socket,
        runner: Runner,
        in_flight: int,
        turn: float,
    ) -> None:
        self._connection = connection
        self._socket = lane
        self._runner = runner
        self._loop = runner.loop
        self._in_flight = in_flight
        self._turn = turn
        self.outlet = connection.outlet(lane)
        self._inlet = Inlet(ASYNC)
        self._jobs: deque[Call] = deque()
        # What calls begin with, and what the loop's thread has done for that.
        self._start_of_calls = Start()
        self._hooks = Hooks()
        self.running: dict[int, Running] = {}
        """By number; others may look."""
        # So many of them have answered, and go on.
        self._answered = 0
        self._by_task: dict[asyncio.Task[Any], Running] = {}
        self._starting: Running | None = None
        self._starter = Starter(runner.loop)
        # What is due in the loop's next round.
        self._begins = self._flushes = False

    def drain(self) -> None:
        """Takes what has come, and begins it. Called by `Runner.drain` alone, as it runs first steps."""
        self._begins = False
        self._receive()
        self._begin()

    def is_in_first_step(self) -> bool:
        """Whether some call is in its first step."""
        return self._starting is not None

    def current(self) -> Call | None:
        """The call that the loop's thread is in just now. From any thread."""
        task = asyncio.current_task(self._loop)
        running = None if task is None else self._by_task.get(task)
        running = self._starting if running is None else running
        return None if running is None else running.call

    # What the parent asks for.

    def cancel(self, number: int) -> None:
        """Nobody waits for this call any more: it is cancelled."""
        running = self._withdraw(number)
        if running is not None:
            running.is_cancelled = True
            if running.task is not None:
                cancel(running.task)

    def left(self, number: int) -> None:
        """Tells an application that its client has left."""
        self._withdraw(number)

    def _withdraw(self, number: int) -> Running | None:
        """A call that has not begun never does; the one of this number, if it runs."""
        self._receive()
        for call in [call for call in self._jobs if call.number == number]:
            self._jobs.remove(call)
            self._inlet.end(number)
            self.outlet.send(wire.about(number, wire.NOT_RUN))
        # What was found on the way: nothing on the socket tells of it any more.
        self._begin_soon()
        running = self.running.get(number)
        if running is not None:
            running.call.gone = True
            if running.sending is not None:
                running.sending.wake()
            if running.exchange is not None:
                running.exchange.leave()
        return running

    def credit(self, number: int, size: int) -> None:
        """So many bytes of a streamed reply were taken."""
        running = self.running.get(number)
        if running is not None and running.sending is not None:
            running.sending.credit(size)

    def upload(self, number: int, item: object) -> None:
        """Something has come of the streamed body of a request."""
        self._inlet.upload(number, item)

    def stop(self) -> None:
        """No job begins any more."""
        self._jobs.clear()
        self._connection.note_end()

    # The way of a call.

    def _receive(self) -> None:
        now = monotonic()
        try:
            data = self._socket.recv(READ_SIZE, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not data:
            self._connection.end()
        self.outlet.begin(now)
        self._jobs.extend(self._inlet.feed(data, now))

    def _begin(self) -> None:
        """Runs the first steps of jobs, for one turn at most."""
        ends = monotonic() + self._turn
        while self._jobs and len(self.running) - self._answered < self._in_flight and not self._connection.stopping:
            if monotonic() > ends:
                # Other callbacks and tasks of the loop come first now.
                self._begin_soon()
                break
            self._start(self._jobs.popleft())
        self.outlet.flush()

    def _begin_soon(self) -> None:
        """Begins the jobs that are left in the loop's next round."""
        if self._jobs and not self._begins:
            self._begins = True
            self._loop.call_soon(self._runner.drain)

    def _start(self, call: Call) -> None:
        self._inlet.begin(call)
        mark.begin(self._connection.mark.memory, ASYNC, self._inlet.latest)
        if self._start_of_calls is not self._connection.start:
            # What was loaded since the last one.
            self._start_of_calls = self._connection.start
            attempt(self._hooks.follow, None)
        running = Running(call, self._connection.targets[call.handler], self._start_of_calls.copy())
        self.running[call.number] = running
        around, self._starting = self._starting, running
        try:
            self._first_step(running)
        except BaseException as error:
            self._fail(running, error)
        finally:
            self._starting = around

    def _first_step(self, running: Running) -> None:
        call, target, body = running.call, running.target, running.call.body
        if target.interface.kind == ASGI:
            exchange = Exchange(self._connection, self.outlet, running, lambda: self._sending(call), self._completed)
            running.exchange = exchange
            running.stamp()
            coroutine = running.context.run(_enter_app, call, target.function, exchange)
            self._go_on(running, attended(coroutine, self._connection.unforked), target.name)
            return
        if type(body) is not target.body_type:
            body = self._body(call, target)
        running.stamp()
        result = running.context.run(_enter, call, target.function, body)
        self._connection.unforked(None)
        if type(result) is tuple or not hasattr(result, "__await__"):
            self._returned(running, result)
        else:
            self._go_on(running, attended(result, self._connection.unforked), target.name)

    def _go_on(self, running: Running, coroutine: Any, name: str) -> None:
        """Runs the first step of a task of the call's, and the rest if that is not all."""
        was_cancelled = running.is_cancelled
        task = self._starter.start(coroutine, name, running.context)
        if task.done():
            self._ended(running, task)
            return
        running.task = task
        self._by_task[task] = running
        task.add_done_callback(self._done)
        if running.is_cancelled and not was_cancelled:
            # In this step, which has run the loop again.
            task.cancel()

    def _done(self, task: asyncio.Task[Any]) -> None:
        running = self._by_task.pop(task)
        running.task = None
        try:
            self._ended(running, task)
        except BaseException as error:
            self._fail(running, error)
        self._flush_soon()

    def _flush(self) -> None:
        self._flushes = False
        self.outlet.flush()

    def _ended(self, running: Running, task: asyncio.Task[Any]) -> None:
        """A task of the call's has ended: the handler, or the sending of its body."""
        result = task.result()
        if running.exchange is not None:
            self._end_app(running, running.exchange, None)
        elif running.sending is None:
            self._returned(running, result)
        else:
            said = wire.end(*self._sent(running, *result))
            self._end(running, wire.about(running.call.number, said))

    def _returned(self, running: Running, result: Any) -> None:
        running.stamp()
        call, reply = running.call, answer(running.target.name, result, is_async=True)
        running.stamp()
        times = running.times or []
        if reply.stream is None:
            for part in cut(reply.ahead):
                self.outlet.put(wire.part(call.number, part))
            self._end(running, wire.about(call.number, reply.said, times))
        else:
            self._begin_body(running, reply, times)

    def _sending(self, call: Call) -> AsyncSending:
        return AsyncSending(self._connection, self.outlet, call, self._loop, self._turn)

    def _completed(self, running: Running) -> None:
        """The reply of an application is complete. Its task may go on, and takes up no place any more."""
        self._answered += 1
        if running.task is not None:
            self._begin_soon()
            # Most tasks end in this step: what they then say goes into the same write.
            self._loop.call_soon(self._flush_soon)

    def _flush_soon(self) -> None:
        if not self._flushes:
            self._flushes = True
            self._loop.call_soon(self._flush)

    def _begin_body(self, running: Running, reply: Answer, times: list[float]) -> None:
        call = running.call
        sending = running.sending = self._sending(call)
        sending.begin(reply.heartbeat is None)
        self._connection.settle_log(call)
        sending.say(reply.said, times)
        is_allowed, limit = reply.allows_body(call.method), call.chunk_timeout
        around, self._starting = self._starting, running
        try:
            self._go_on(running, send(reply.stream, sending.write_item, is_allowed, limit), "httpy body")
        finally:
            self._starting = around

    def _sent(
        self, running: Running, stalled: bool, error: BaseException | None, closing: BaseException | None
    ) -> tuple[wire.Said | None, wire.Described | None]:
        """How the sending of a body has ended."""
        connection, sending = self._connection, running.sending
        fault = None if sending is None else sending.fault
        if fault is None and (stalled or (running.is_cancelled and isinstance(error, asyncio.CancelledError))):
            # What was cancelled broke off for no other reason.
            fault = wire.INTERRUPTED
        elif fault is None and error is not None:
            fault = running.context.run(raised, connection, running.call, error)
        if closing is None:
            return fault, None
        return fault, running.context.run(raised_closing, connection, running.call, closing)

    def _end_app(self, running: Running, exchange: Exchange, error: BaseException | None) -> None:
        """The task of an application's call has ended, which may have raised."""
        call, times = running.call, running.times or []
        fault: wire.Said | None = None
        if exchange.fault is not None and not exchange.has_answered:
            # What it has raised follows from that.
            fault = wire.broke_off(*exchange.fault)
        elif exchange.has_answered and running.is_cancelled and isinstance(error, asyncio.CancelledError):
            fault = wire.INTERRUPTED
        elif error is not None:
            fault = running.context.run(raised, self._connection, call, error)
        self._answered -= exchange.is_complete
        if exchange.has_answered:
            if running.sending is not None:
                running.sending.put_rest()
            self._end(running, wire.about(call.number, wire.end(fault, None)))
        elif fault is None:
            self._end(running, wire.about(call.number, wire.NOT_RUN))
        else:
            fill(times, call)
            self._end(running, wire.about(call.number, fault, times))
        # For tasks of the application's own that go on.
        call.gone = True

    def _fail(self, running: Running, error: BaseException) -> None:
        self._connection.unforked(error)
        if running.exchange is not None:
            self._end_app(running, running.exchange, error)
            return
        said = running.context.run(raised, self._connection, running.call, error)
        number, times = running.call.number, running.times or []
        fill(times, running.call)
        if running.sending is not None:
            said, times = wire.end(said, None), []
        self._end(running, wire.about(number, said, times))

    def _end(self, running: Running, message: Message) -> None:
        call = running.call
        if self.running.pop(call.number, None) is None:
            return
        if call.receiving is not None:
            call.receiving.close()
            self._inlet.end(call.number)
        self._connection.settle_log(call)
        self.outlet.put(message)
        self._begin_soon()
        if self._connection.stopping:
            self._connection.note_end()

    def _body(self, call: Call, target: Target) -> Any:
        """The body of a request that did not come with its job as the handler wants it."""
        receiving = call.receiving
        if target.interface.body != "stream":
            return receiving.decoded(target.interface.body) if receiving is not None else call.body
        if receiving is None:
            receiving = call.receiving = Receiving.whole([call.body])
        return receiving.async_body(call, self._connection.give_back, self._loop)


def _enter(call: Call, function: Callable[..., Any], body: Any) -> Any:
    _current.set(call)
    return function(call.method, call.path, call.params, call.query, call.headers, body)


def _enter_app(call: Call, app: Callable[[Exchange], Coroutine[Any, Any, None]], exchange: Exchange) -> Any:
    _current.set(call)
    return app(exchange)
