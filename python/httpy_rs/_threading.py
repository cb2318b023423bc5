"""What `threading` does for each thread that it starts, for the threads of the server that run handlers.

Python takes them for foreign ones otherwise: each is a dummy with a name of its own, cannot be joined, and has none of
the functions that debuggers, profilers and tools for coverage set for all threads.
"""

from __future__ import annotations

import sys
import threading

from httpy_rs._own import clock_gettime

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from typing import Any

_own: set[threading.Thread] = set()


class Hooks:
    """What `threading.settrace` and `threading.setprofile` have set, as the calling thread has it."""

    __slots__ = ("_profile", "_trace")

    def __init__(self) -> None:
        self._trace: Any = None
        self._profile: Any = None

    def follow(self) -> None:
        """Sets them as a thread has them that starts now, where they have changed."""
        trace, profile = threading.gettrace(), threading.getprofile()
        if trace is not self._trace:
            self._trace = trace
            sys.settrace(trace)
        if profile is not self._profile:
            self._profile = profile
            sys.setprofile(profile)


def enter(name: str) -> None:
    """Makes the calling thread, which Python has not started, one of `threading` until it calls `leave`.

    No daemon, which would be inherited: a thread that a handler starts is waited for at the exit, as it is when the
    main thread of a program starts it. The thread itself is not: the server ends it.
    """
    thread = threading.current_thread()
    thread.__class__ = threading.Thread
    thread.name = name
    # Up to 3.12. Still a daemon, so that the exit does not wait for it.
    set_lock = getattr(thread, "_set_tstate_lock", None)
    if set_lock is not None:
        set_lock()
    thread._daemonic = False  # type: ignore[attr-defined]
    _own.add(thread)


def leave() -> None:
    """The calling thread is about to end, which Python would not see."""
    with threading._active_limbo_lock:  # type: ignore[attr-defined]
        thread = threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]
    _own.discard(thread)
    # From 3.13 on. Before, the end of the thread's state says so.
    handle = getattr(thread, "_handle", None)
    if handle is not None:
        handle._set_done()


def is_own(thread: threading.Thread) -> bool:
    """Whether the server ends this thread."""
    return thread in _own


def processor_time(ident: int) -> float | None:
    """Seconds for which a thread has used the processor; `None` if unknown, as for a thread that has ended.

    `pthread_getcpuclockid` would read the memory of a thread that has ended. The kernel refuses its number.
    """
    thread = threading._active.get(ident)  # type: ignore[attr-defined]
    number = getattr(thread, "native_id", None)
    if number is None or sys.platform != "linux":
        return None
    try:
        # The thread's clock, as Linux numbers it: `CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED`.
        return clock_gettime(~number << 3 | 6)
    except OSError:
        return None
