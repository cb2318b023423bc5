"""`Connection`: what the parts of a worker share: the control socket's sending end, the handlers, the mark, and the
way out of the process.
"""

from __future__ import annotations

import _socket
from collections.abc import Callable
from typing import NoReturn

from httpy_rs._context import Start
from httpy_rs._exception import describe
from httpy_rs._own import leave, say
from httpy_rs._worker import wire
from httpy_rs._worker.fork import Fork
from httpy_rs._worker.frame import FRAME_LIMIT, Broken, Message
from httpy_rs._worker.mark import Mark
from httpy_rs._worker.outlet import Outlet
from httpy_rs._worker.target import Targets
from httpy_rs._worker.wire import Call

LIMIT = 10.0  # seconds for a flush of another thread: it takes longer only if the parent reads nothing


class Connection:
    """One worker's connection with its parent."""

    def __init__(self, control: _socket.socket, debug: bool) -> None:
        self._socket = control
        self._debug = debug
        self.control = Outlet(control, _answer_in_place_of)
        self.targets = Targets()
        self.start = Start()
        """What calls begin with. Another one after whatever was loaded."""
        self.mark = Mark()
        self.fork = Fork()
        self.stopping = False
        """No job begins any more."""
        self.is_idle: Callable[[], bool] = lambda: True
        """Whether nothing is under way."""

    def note_start(self) -> None:
        """Something was loaded, on the calling thread."""
        self.start = Start()

    def exception(self, error: BaseException) -> wire.Described:
        """`error` as the parent reads it."""
        if not self._debug:
            return (*describe(error), ())
        from httpy_rs._source import chain

        return (*describe(error), chain(error))

    def give_back(self, lane: str, number: int, size: int) -> None:
        """So many bytes of a streamed request were read."""
        self.tell(wire.read(lane, number, size))

    def tell(self, message: Message) -> None:
        """Sends a message on the control socket, from any thread; nothing in a forked process."""
        if not self.fork.is_child:
            self.control.send(message)

    def settle_log(self, call: Call) -> None:
        """Sends what a call has logged, before its reply: it may have been left to a flush of another thread."""
        if call.has_logged:
            call.has_logged = False
            self.control.settle(LIMIT)

    def unforked(self, error: BaseException | None) -> None:
        """Ends the process, where it is one that the handler has forked, which has raised `error` or returned."""
        if self.fork.is_child:
            self.fork.end_child(error)

    def note_end(self) -> None:
        """A call has ended. The last one before a stop lets the main thread go on to the end."""
        if self.stopping and self.is_idle():
            # It waits for the control socket, and finds that at its end.
            try:
                self._socket.shutdown(_socket.SHUT_RD)
            except OSError:
                self.end()

    def fail(self, error: BaseException) -> NoReturn:
        """Ends the process: the parent has sent what nobody understands, or the fault is ours."""
        is_parents = isinstance(error, Broken)
        text = f"httpy: the worker ends, as its parent sent {error}\n" if is_parents else describe(error)[2]
        say(text)
        leave(70)

    def outlet(self, sending: _socket.socket) -> Outlet:
        """The sending end of another socket."""
        return Outlet(sending, _reply_in_place_of)

    def end(self) -> NoReturn:
        """Ends the process, whatever its threads do: nobody is there any more to hear of it."""
        leave(0)


_TOO_LARGE = f"larger than what a worker can send, which is {FRAME_LIMIT} bytes"


def _reply_in_place_of(message: Message) -> Message | None:
    """Of a reply whose head does not fit into a frame."""
    exception = ("httpy_rs.ContractFailure", f"a reply whose head is {_TOO_LARGE}", "", "", ())
    return wire.about(wire.number_of(message), wire.raised(exception))


def _answer_in_place_of(message: Message) -> Message | None:
    """Of an answer that does not fit into a frame; what was not asked for is left out."""
    number = wire.answered(message)
    return None if number is None else wire.error(number, "internal", f"an answer that is {_TOO_LARGE}", None)
