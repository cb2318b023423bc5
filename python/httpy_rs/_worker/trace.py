"""`connect`: lets `_interrupt` set the trace function of another thread, up to Python 3.11 by `ctypes`."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from httpy_rs import _interrupt
from httpy_rs._own import get_ident

# The `PyThreadState` of each thread that runs handlers. These threads live as long as the process.
_states: dict[int, int] = {}
_state: Callable[[], int] | None = None


def connect() -> None:
    """Does nothing without `ctypes`: no handler is interrupted then."""
    if _interrupt.HAS_MONITORING:
        return
    try:
        import ctypes

        set_trace: Any = ctypes.pythonapi._PyEval_SetTrace
        state: Any = ctypes.pythonapi.PyThreadState_Get
    except (ImportError, AttributeError):
        return
    hook: Any = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    begin_there = hook(_begin)
    set_trace.argtypes = [ctypes.c_void_p, hook, ctypes.py_object]
    state.restype = ctypes.c_void_p

    def trace_thread(thread: int, frame: FrameType, begin: Callable[[], object]) -> None:
        if thread in _states:
            set_trace(_states[thread], begin_there, begin)

    global _state
    _state, _interrupt.trace_thread = state, trace_thread


def note_thread() -> None:
    """Lets the calling thread be interrupted."""
    if _state is not None:
        _states[get_ident()] = _state()


def _begin(begin: Callable[[], object], frame: object, event: int, argument: object) -> int:
    begin()
    return 0
