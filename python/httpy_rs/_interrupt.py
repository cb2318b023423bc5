"""`interrupt`: raises `DeadlineExceeded` in another thread, at a point where that thread holds nothing by accident.

`PyThreadState_SetAsyncExc` raises between any two steps, also where a blocking call has just returned with its result:
a lock is then taken that nothing releases. So here the thread raises the exception itself, in a hook that CPython
calls while the thread runs Python code: a local event of `sys.monitoring`, or up to 3.11 a trace function. A thread
that waits in C code calls no hook, and is left alone until it goes on.

The points are the start of a function, and the start of a loop's next iteration. Between the call that takes something
and the `try` that gives it back there is no such point, and code that never ends passes them again and again.

A thread that has waited, and goes on after its deadline, has `GRACE` to end by itself. Nothing is ever raised inside an
import, or in this package. For `PATIENCE` at most, nothing is raised where something is taken or given back either: in
a `finally`, as a `with` statement enters or leaves, in a destructor, or in library code, which has locks and queues.
"""

from __future__ import annotations

import opcode
import os
import sys
import threading
from functools import lru_cache

from httpy_rs._deadline import DeadlineExceeded
from httpy_rs._own import get_ident, monotonic
from httpy_rs._threading import processor_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType
    from typing import Any

GRACE = 0.1
PATIENCE = 1.0

_OWN = "<httpy_rs>"
_IMPORT = "<frozen importlib._bootstrap"
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_TIDIES = frozenset(["__enter__", "__exit__", "__aenter__", "__aexit__", "__del__"])
_monitoring: Any = getattr(sys, "monitoring", None)
HAS_MONITORING = _monitoring is not None
# In 3.12, an `except` stands behind all other code, and what leaves it jumps back like a loop.
_LEAVES_BY_JUMP = HAS_MONITORING and sys.version_info < (3, 13)

# Set by the server up to 3.11: has `begin` called once in the thread of this identifier, whose innermost frame this is,
# as a trace function.
trace_thread: Callable[[int, FrameType, Callable[[], object]], None] | None = None


class _Interruption:
    """A thread that is to be interrupted, as long as it is in one call."""

    __slots__ = ("call", "codes", "lands", "seen", "strikes", "used")

    def __init__(self, thread: int, call: object, strikes: Callable[[bool], bool | None]) -> None:
        self.call = call
        self.strikes = strikes
        # The code objects whose events are asked for, by identity: they compare equal by their content.
        self.codes: dict[int, CodeType] = {}
        # When the thread was first seen to run Python code, and did not only return from a call.
        self.seen: float | None = None
        # The exception is raised at the next instruction.
        self.lands = False
        # Processor time of the thread when it was first looked at.
        self.used = processor_time(thread)

    def may_raise(self, frame: FrameType, tidies_up: bool = False) -> bool:
        """Whether `frame`, which is at the start of a function or of an iteration, may be interrupted there."""
        now = monotonic()
        if self.seen is None:
            self.seen = now
            if self.strikes(False) is None:
                _end(get_ident())
            return False
        late = now - self.seen
        return not (late < GRACE or _is_closed(frame) or (late < PATIENCE and (tidies_up or _tidies_up(frame))))

    def raise_due(self) -> None:
        """Raises `DeadlineExceeded`, unless the call has ended or is in a shield."""
        strikes = self.strikes(True)
        if strikes is not False:
            _end(get_ident())
        if strikes:
            raise DeadlineExceeded


# By thread.
_interruptions: dict[int, _Interruption] = {}


def interrupt(thread: int, call: object, strikes: Callable[[bool], bool | None]) -> None:
    """Has the thread of this identifier raise `DeadlineExceeded` at its next point.

    The thread calls `strikes(raises)` first: `True` to raise it, `False` to wait, `None` when the thread has left
    `call`. `raises` is false for a question without consequences. Another call of this for the same `call` looks anew
    at what the thread runs.
    """
    frame = sys._current_frames().get(thread)
    if frame is None:
        return
    interruption = _interruptions.get(thread)
    waits = False
    if interruption is None or interruption.call != call:
        interruption = _interruptions[thread] = _Interruption(thread, call, strikes)
        if _computes(frame):
            interruption.seen = monotonic() - GRACE
    else:
        waits = interruption.used is not None and interruption.used == processor_time(thread)
    if HAS_MONITORING and waits:
        # Since the first look. Events of its code would only slow other threads.
        _stop_listening(interruption)
    elif HAS_MONITORING:
        _monitor(interruption, frame)
    elif trace_thread is not None:
        _follow_all(frame)
        trace_thread(thread, frame, _begin_trace)


def end() -> None:
    """Withdraws the interruption of the calling thread, whose call has ended."""
    _end(get_ident())


def _end(thread: int) -> None:
    interruption = _interruptions.pop(thread, None)
    if interruption is None:
        return
    if not HAS_MONITORING:
        sys.settrace(threading.gettrace())
        return
    _stop_listening(interruption)


# From 3.12 on. Events belong to code objects, so other threads that run the same code have to ignore them.

_claimed: int | None = None


def _tool() -> int | None:
    """Our number among the tools of `sys.monitoring`; first of those that CPython has no names for."""
    global _claimed
    if _claimed is None:
        free = [number for number in (4, 3, 5, 2, 1, 0) if _monitoring.get_tool(number) is None]
        if not free:
            return None
        _claimed = free[0]
        _monitoring.use_tool_id(_claimed, "httpy")
        events = _monitoring.events
        for event, callback in (
            (events.PY_START, _entered),
            (events.PY_RESUME, _entered),
            (events.JUMP, _jumped),
            (events.INSTRUCTION, _landed),
        ):
            _monitoring.register_callback(_claimed, event, callback)
    return _claimed


def _monitor(interruption: _Interruption, innermost: FrameType) -> None:
    for frame in _outward(innermost):
        code = frame.f_code
        if not code.co_filename.startswith(_OWN):
            interruption.codes[id(code)] = code
            _listen(code)


def _stop_listening(interruption: _Interruption) -> None:
    codes, interruption.codes = interruption.codes, {}
    for code in codes.values():
        _listen(code)


def _listen(code: CodeType, lands: bool = False) -> None:
    """Asks for the events of `code`, or for none where no thread is interrupted in it any more.

    Two threads that do so at once may leave it without events. The next look at the call asks for them again.
    """
    tool, events, wanted = _tool(), _monitoring.events, 0
    if any(id(code) in interruption.codes for interruption in list(_interruptions.values())):
        wanted = events.PY_START | events.PY_RESUME | events.JUMP | (events.INSTRUCTION if lands else 0)
    if tool is not None:
        _monitoring.set_local_events(tool, code, wanted)


def _entered(code: CodeType, offset: int) -> None:
    interruption = _interruptions.get(get_ident())
    if interruption is not None and interruption.may_raise(sys._getframe(1)):
        interruption.raise_due()


def _jumped(code: CodeType, offset: int, destination: int) -> None:
    interruption = _interruptions.get(get_ident())
    if interruption is None or destination > offset:
        return
    leaves = _LEAVES_BY_JUMP and _leaves_except(code, offset, destination)
    if interruption.may_raise(sys._getframe(1), leaves):
        # Up to 3.13, an exception from here skips the handlers of the function. The destination of the jump is as good.
        interruption.lands = True
        _listen(code, lands=True)


def _landed(code: CodeType, offset: int) -> None:
    interruption = _interruptions.get(get_ident())
    if interruption is not None and interruption.lands:
        interruption.lands = False
        _listen(code)
        interruption.raise_due()


# Up to 3.11. The trace function belongs to the one thread.


def _begin_trace() -> None:
    sys.settrace(_trace)
    _follow_all(sys._getframe(1))


def _trace(frame: FrameType, event: str, argument: object) -> _Lines:
    interruption = _interruptions.get(get_ident())
    if interruption is not None and interruption.may_raise(frame):
        interruption.raise_due()
    return _follow(frame)


def _follow_all(innermost: FrameType) -> None:
    for frame in _outward(innermost):
        frame.f_trace = _follow(frame)


def _follow(frame: FrameType) -> _Lines:
    # A jump to itself causes no `line` event.
    frame.f_trace_opcodes = bool(_spins(frame.f_code))
    return _Lines(frame.f_lasti)


class _Lines:
    """The local trace function of one frame."""

    __slots__ = ("_last",)

    def __init__(self, last: int) -> None:
        self._last = last

    def __call__(self, frame: FrameType, event: str, argument: object) -> _Lines:
        at, last = frame.f_lasti, self._last
        if event == "line":
            self._last = at
            jumps = at <= last
        else:
            jumps = event == "opcode" and at in _spins(frame.f_code)
        interruption = _interruptions.get(get_ident()) if jumps else None
        if interruption is not None and interruption.may_raise(frame):
            interruption.raise_due()
        return self


# Where a thread is.


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _computes(frame: FrameType) -> bool:
    """Whether a thread whose innermost frame this is runs Python code, and certainly waits for nothing."""
    return frame.f_code.co_code[max(frame.f_lasti, 0)] in _COMPUTES


def _is_closed(frame: FrameType) -> bool:
    """Whether nothing is ever raised in this frame: it belongs to this package, or to an import."""
    if frame.f_code.co_filename.startswith(_OWN):
        return True
    return any(outer.f_code.co_filename.startswith(_IMPORT) for outer in _outward(frame))


def _tidies_up(frame: FrameType) -> bool:
    """Whether something is taken or given back here, or may be, as in library code."""
    file = frame.f_code.co_filename
    if file.startswith((_LIBRARY, "<frozen ")) or any(folder in file for folder in _PACKAGES):
        return True
    for outer in _outward(frame):
        if outer.f_code.co_filename.startswith(_OWN):
            return False
        code, lasti = outer.f_code, outer.f_lasti
        if code.co_name in _TIDIES or _is_tidying(code, lasti):
            return True
    return False


def _operations(*names: str) -> frozenset[int]:
    """The numbers of those that this Python has."""
    return frozenset(opcode.opmap[name] for name in names if name in opcode.opmap)


_HANDLES = _operations("PUSH_EXC_INFO")
_JUMPS_BACK = _operations("JUMP_BACKWARD")
_COMPUTES = _operations("RESUME", *(name for name in opcode.opmap if "JUMP_BACKWARD" in name))
_DISCARDS = _operations("POP_TOP")
_FROM_WITH = _operations("BEFORE_WITH", "BEFORE_ASYNC_WITH", "LOAD_SPECIAL", "WITH_EXCEPT_START")
_FROM_EXCEPT = _operations("CHECK_EXC_MATCH", "CHECK_EG_MATCH")
_AHEAD_OF_EXCEPT = _operations(
    *(name for name in opcode.opmap if name.startswith("LOAD_")),
    *("BUILD_LIST", "BUILD_TUPLE", "CACHE", "COPY", "EXTENDED_ARG", "SWAP"),
)


def _is_tidying(code: CodeType, offset: int) -> bool:
    """Whether this instruction belongs to a `finally`, or to the entering or leaving of a `with`.

    The compiler writes a `finally` twice, for the way with an exception and for that without. Only the first is marked
    as such; but both have the same positions in the source.
    """
    positions, tidying = _positions(code)
    position = positions[max(offset, 0) // 2]
    return position[0] is not None and position in tidying


@lru_cache(maxsize=1000)
def _positions(code: CodeType) -> tuple[list[Any], set[Any]]:
    """Of all instructions, and those at which something is tidied up."""
    positions = list(code.co_positions())
    return positions, {positions[index] for index in _tidying(code)}


def _tidying(code: CodeType) -> Iterator[int]:
    """The indices of the instructions that tidy up, the normal way of a `finally` left out."""
    operations = code.co_code[::2]
    for index, operation in enumerate(operations):
        if operation in _FROM_WITH:
            yield index
    table = list(_exception_table(code))
    for handler in {target for _, _, target in table if operations[target] in _HANDLES}:
        if _is_except(operations, handler + 1):
            continue
        # Until the instructions that every handler ends with: those that an exception in it leads to.
        after = {target for start, end, target in table if start <= handler < end}
        ends = [end for start, end, target in table if target in after and start >= handler]
        yield from range(handler, max(ends, default=handler))


def _leaves_except(code: CodeType, offset: int, destination: int) -> bool:
    """Whether a jump backward leads from an `except` to what follows its `try`, and not to the start of a loop."""
    operations, source, target = code.co_code[::2], offset // 2, destination // 2
    table = [part for part in _exception_table(code) if operations[part[2]] in _HANDLES and part[2] <= source]
    handler = max((handler for _, _, handler in table), default=0)
    return min((start for start, _, its in table if its == handler), default=source) < target < handler


@lru_cache(maxsize=1000)
def _spins(code: CodeType) -> frozenset[int]:
    """The offsets of jumps to themselves: what an empty loop without a condition consists of."""
    data = code.co_code
    return frozenset(at for at in range(0, len(data), 2) if data[at] in _JUMPS_BACK and data[at + 1] == 1)


def _is_except(operations: bytes, index: int) -> bool:
    if operations[index] in _DISCARDS:
        return True
    while operations[index] in _AHEAD_OF_EXCEPT:
        index += 1
    return operations[index] in _FROM_EXCEPT


def _exception_table(code: CodeType) -> Iterator[tuple[int, int, int]]:
    """The start, end and handler of each part of `code` that has a handler, as indices of instructions."""
    data = iter(code.co_exceptiontable)

    def number() -> int:
        byte = next(data)
        value = byte & 63
        while byte & 64:
            byte = next(data)
            value = value << 6 | byte & 63
        return value

    while True:
        try:
            start = number()
        except StopIteration:
            return
        length, handler, _ = number(), number(), number()
        yield start, start + length, handler
