"""`Seat`: one thread that runs plain handlers, whenever its lane makes it lead, and what it does for one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from httpy_rs._context import Start
from httpy_rs._exception import attempt
from httpy_rs._interface import WSGI
from httpy_rs._own import Lock, monotonic, start_thread
from httpy_rs._request import _current
from httpy_rs._threading import Hooks, enter
from httpy_rs._worker import wire
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.frame import Message
from httpy_rs._worker.interruption import Guard
from httpy_rs._worker.reply import answer, cut, is_plain, raw_answer
from httpy_rs._worker.stream import Sending, fill, raised, send
from httpy_rs._worker.target import Target
from httpy_rs._worker.upload import Receiving
from httpy_rs._worker.wire import Call, returned

if TYPE_CHECKING:
    from httpy_rs._worker.sync_lane import SyncLane


class Seat:
    """One thread, and the call that it is in."""

    def __init__(self, lane: SyncLane, connection: Connection, number: int) -> None:
        self._lane = lane
        self._connection = connection
        self._targets = connection.targets
        self._fork = connection.fork
        self._number = number
        self.guard = Guard(is_shieldable=True)
        # What its calls begin with, and what it has done for that.
        self._start = Start()
        self._hooks = Hooks()
        # It has taken a job, and has not come back. Under the lock of the lane.
        self.is_busy = False
        # Released by who calls it.
        self.bell = Lock()
        self.bell.acquire()

    def start(self) -> None:
        """Starts the thread, which waits for its bell."""
        start_thread(self._run, ())

    def _run(self) -> None:
        # App code may have broken `threading`; a worker without a name still works.
        attempt(lambda: enter(f"httpy-worker-{self._number}"), None)
        self.guard.begin_thread()
        lane, outlet = self._lane, self._lane.outlet
        try:
            while True:
                self.bell.acquire()
                call = lane.take(self)
                while call is not None:
                    if self._start is not self._connection.start:
                        self._begin_anew()
                    message = self._answer(call)
                    self._connection.settle_log(call)
                    outlet.put(message)
                    if call.receiving is not None:
                        lane.forget(call)
                    call = lane.take(self)
        except BaseException as error:
            self._connection.fail(error)

    def _begin_anew(self) -> None:
        """Calls begin with what was loaded since the last one."""
        self._start = self._connection.start
        attempt(self._hooks.follow, None)

    def _answer(self, call: Call) -> Message:
        """Calls the handler, and puts what goes ahead of its reply: the message at last."""
        self.guard.call = call
        ahead = b""
        times: list[float] = []
        try:
            try:
                message, ahead = self._called(call, times)
            except BaseException as error:
                message = self._failed(call, error, times)
        except BaseException:
            # It was interrupted as its exception was described. Nobody waits for such a call any more.
            message = _interrupted(call)
        self.guard.end()
        for part in cut(ahead):
            self._lane.outlet.put(wire.part(call.number, part))
        return message

    def _called(self, call: Call, times: list[float]) -> tuple[Message, bytes]:
        """Its message, and what goes ahead of that. Where that is wanted, `times` gets when it has come how far."""
        target, body = self._targets[call.handler], call.body
        context, received, is_timed = self._start.copy(), call.received, call.is_timed
        is_app = target.interface.kind == WSGI
        if type(body) is not target.body_type:
            body = self._body(call, target)
        if is_timed:
            times.append(monotonic() - received)
        try:
            result = context.run(_enter_app if is_app else _enter, call, target.function, body)
        except BaseException as error:
            self._connection.unforked(error)
            return context.run(self._failed, call, error, times), b""
        if self._fork.is_child:
            self._fork.end_child(None)
        if is_timed:
            times.append(monotonic() - received)
        if is_app or not is_plain(result):
            return context.run(self._converted, call, target, result, times)
        if is_timed:
            times.append(monotonic() - received)
        return returned(call.number, result, times), b""

    def _converted(self, call: Call, target: Target, result: Any, times: list[float]) -> tuple[Message, bytes]:
        """What is sent for a result that cannot be sent as it is; all, where its body is an iterator."""
        try:
            if target.interface.kind == WSGI:
                reply = raw_answer(*result)
            else:
                reply = answer(target.name, result, is_async=False)
        except BaseException as error:
            return self._failed(call, error, times), b""
        if times:
            times.append(monotonic() - call.received)
        if reply.stream is None:
            return wire.about(call.number, reply.said, times), reply.ahead
        sending = call.sending = Sending(self._lane.outlet, call)
        return send(self._connection, sending, call, reply, times), b""

    def _body(self, call: Call, target: Target) -> Any:
        """The body of a request that did not come with its job as the handler wants it."""
        body, receiving = call.body, call.receiving
        if target.interface.body == "stream":
            if receiving is None:
                receiving = call.receiving = Receiving.whole([body])
            return receiving.body(call, self._connection.give_back)
        return body if receiving is None else receiving.decoded(target.interface.body)

    def _failed(self, call: Call, error: BaseException, times: list[float]) -> Message:
        said = raised(self._connection, call, error)
        fill(times, call)
        return wire.about(call.number, said, times)


def _interrupted(call: Call) -> Message:
    exception = ("httpy_rs.DeadlineExceeded", "the call's deadline has passed", "", "", ())
    return wire.about(call.number, wire.raised(exception))


def _enter(call: Call, function: Callable[..., Any], body: Any) -> Any:
    _current.set(call)
    return function(call.method, call.path, call.params, call.query, call.headers, body)


def _enter_app(call: Call, app: Callable[..., Any], body: Any) -> Any:
    _current.set(call)
    return app(call.params, body)
