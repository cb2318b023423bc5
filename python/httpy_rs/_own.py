"""The clock, threads, locks and the exit that this package uses.

Apps and their tools replace these functions: by a clock that stands still, by threads that are greenlets. That must not
change the server's. So they are taken from modules made anew, before any code of the app runs, and the other modules of
this package import them from here, never from `time` or `threading`.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.machinery import BuiltinImporter

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


def _anew(name: str) -> Any:
    """A new copy of a built-in module, whatever was done to the one in `sys.modules`."""
    spec = BuiltinImporter.find_spec(name)
    if spec is None:  # a build that has it as a shared library
        return import_module(name)
    module = BuiltinImporter.create_module(spec)
    BuiltinImporter.exec_module(module)  # type: ignore[arg-type]
    return module


_time = _anew("time")
_threads = _anew("_thread")

# The same clock as `time.monotonic`, which time_machine replaces in C, for every copy of the module.
monotonic: Callable[[], float] = _time.perf_counter
time: Callable[[], float] = _time.time
sleep: Callable[[float], None] = _time.sleep
clock_gettime: Callable[[int], float] = _time.clock_gettime

Lock: Callable[[], Any] = _threads.allocate_lock
get_ident: Callable[[], int] = _threads.get_ident
start_thread: Callable[[Callable[..., object], tuple[Any, ...]], int] = _threads.start_new_thread

leave: Callable[[int], NoReturn] = os._exit
getpid: Callable[[], int] = os.getpid
_write = os.write


def say(text: str) -> None:
    """Writes to the standard error of the process, whatever `sys.stderr` is."""
    try:
        _write(2, text.encode("utf-8", "backslashreplace"))
    except OSError:  # closed
        return
