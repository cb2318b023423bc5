"""`SyncLane`: the jobs of plain handlers, and which thread runs them.

One thread leads: it reads the lane, runs jobs one after the other, and writes the replies, so that a quick handler
costs no change of threads. Another thread that gets the interpreter while the lead is in a handler leads from then on:
the handler is blocked, or computes for long. A thread is called for that when no reply has come for a while
(`relieve`); for some time after a thread took over, also for each job that has others behind it. Jobs begin in the
order in which they came, each noted in the mark as it is taken.
"""

from __future__ import annotations

import _socket
from collections import deque

from httpy_rs._interface import SYNC
from httpy_rs._own import Lock, monotonic
from httpy_rs._worker import mark, wire
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.frame import READ_SIZE, Message
from httpy_rs._worker.inlet import Inlet
from httpy_rs._worker.seat import Seat
from httpy_rs._worker.wire import Call

# The number of jobs for which a thread is called after another one took over.
ALERT = 64


class SyncLane:
    """The jobs that wait, and the seats of the threads that run them."""

    def __init__(self, connection: Connection, lane: _socket.socket, threads: int) -> None:
        self._connection = connection
        self._socket = lane
        self._memory = connection.mark.memory
        self._threads = threads
        self.outlet = connection.outlet(lane)
        self._inlet = Inlet(SYNC)
        self._jobs: deque[Call] = deque()
        self.seats: list[Seat] = []
        # Of what follows, and for taking a job and noting that: an order that must not be broken.
        self._lock = Lock()
        self._lead: Seat | None = None
        self._idle: list[Seat] = []
        # It was called, and has not got the interpreter yet.
        self._called: Seat | None = None
        self._alert = 0
        # The lead waits for the socket, which is nobody else's meanwhile.
        self._reading = False

    def start(self) -> None:
        """The first thread leads from now on."""
        with self._lock:
            self._call()

    # For the threads.

    def take(self, seat: Seat) -> Call | None:
        """The next job, which begins now; none when another thread leads, or there will be none."""
        while True:
            with self._lock:
                seat.is_busy = False
                if self._connection.stopping or not self._leads(seat):
                    self._idle.append(seat)
                    break
                if self._jobs:
                    call = self._jobs.popleft()
                    self._inlet.begin(call)
                    mark.begin(self._memory, SYNC, self._inlet.latest)
                    seat.is_busy = True
                    if self._alert and self._jobs:
                        self._alert -= 1
                        self._call()
                    return call
                self._reading = True
            self.outlet.flush()
            self._read()
        self.outlet.flush()
        self._connection.note_end()
        return None

    def forget(self, call: Call) -> None:
        """A call that had a streamed request has ended."""
        call.receiving.close()
        with self._lock:
            self._inlet.end(call.number)

    def _read(self) -> None:
        data = self._socket.recv(READ_SIZE)
        now = monotonic()
        if not data:
            self._connection.end()
        with self._lock:
            self._reading = False
            self._jobs.extend(self._inlet.feed(data, now))
        self.outlet.begin(now)

    # For the control socket.

    def relieve(self) -> None:
        """No reply has come for a while: sends what is kept back; another thread leads if the lead is in a handler."""
        self.outlet.flush()
        with self._lock:
            lead = self._lead
            if lead is not None and lead.is_busy and lead.guard.call is None:
                # It has ended a call and not come back: a destructor runs on it, which may block.
                self._lead = None
            self._call()

    def cancel(self, number: int) -> None:
        """Nobody waits for this call any more."""
        with self._lock:
            self._fetch()
            waiting = [call for call in self._jobs if call.number == number]
            for call in waiting:
                self._jobs.remove(call)
                self._inlet.end(number)
        if waiting:
            self.outlet.send(wire.about(number, wire.NOT_RUN))
            return
        running = self.running(number)
        if running is not None:
            running.gone = True
            if running.sending is not None:
                running.sending.wake()

    def stop(self) -> None:
        """No job begins any more."""
        with self._lock:
            self._jobs.clear()

    def is_idle(self) -> bool:
        """Whether no call is under way."""
        with self._lock:
            return not any(seat.is_busy for seat in self.seats)

    def is_shielded(self) -> bool:
        """Whether some call is in a shield."""
        return any(seat.guard.is_shielded() for seat in self.seats)

    def idle_threads(self) -> list[int]:
        """Those that are in no call."""
        return [seat.guard.thread for seat in self.seats if seat.guard.call is None]

    def stacks(self) -> list[Message]:
        """Where each call is."""
        from httpy_rs._stack import capture, of_app, show

        found = [(seat.guard.call, capture(seat.guard.thread)) for seat in self.seats]
        return [wire.stack(SYNC, call.number, show(of_app(frames))) for call, frames in found if call is not None]

    def running(self, number: int) -> Call | None:
        """The call of this number, while it runs."""
        for seat in self.seats:
            call = seat.guard.call
            if call is not None and call.number == number:
                return call
        return None

    def interrupt(self, number: int) -> None:
        """Raises `DeadlineExceeded` in this call, if it runs."""
        for seat in self.seats:
            guard, call = seat.guard, seat.guard.call
            if call is not None and call.number == number:
                guard.strike(call, lambda guard=guard, call=call: guard.call is call)  # type: ignore[misc]

    def credit(self, number: int, size: int) -> None:
        """So many bytes of a streamed reply were taken."""
        call = self.running(number)
        if call is not None and call.sending is not None:
            call.sending.credit(size)

    def upload(self, number: int, item: object) -> None:
        """Something has come of the streamed body of a request."""
        with self._lock:
            self._inlet.upload(number, item)

    def _fetch(self) -> None:
        """Takes in what has come, unless the lead is just doing that."""
        while not self._reading:
            try:
                data = self._socket.recv(READ_SIZE, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            if not data:
                self._connection.end()
            self._jobs.extend(self._inlet.feed(data, monotonic()))

    def _leads(self, seat: Seat) -> bool:
        """Whether this thread, which has the interpreter, leads from now on."""
        if self._called is seat:
            self._called = None
        lead = self._lead
        if lead is seat:
            return True
        if lead is not None:
            if lead.guard.call is None:
                return False
            self._alert = ALERT
        self._lead = seat
        return True

    def _call(self) -> None:
        """Has a thread that idles, or a new one, wait for the interpreter, unless one does or all are in handlers."""
        if self._called is not None:
            return
        if self._idle:
            seat = self._idle.pop()
        elif len(self.seats) < self._threads:
            seat = Seat(self, self._connection, len(self.seats) + 1)
            self.seats.append(seat)
            seat.start()
        else:
            return
        self._called = seat
        seat.bell.release()
