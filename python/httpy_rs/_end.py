"""What CPython does when it ends, short of ending: the interpreter goes on, since threads may be inside of it.

Step by step, as `Py_FinalizeEx` does it:

1. `threading._shutdown`: hooks of `concurrent.futures`, the end of the main thread, the wait for threads that are no
   daemons. The same here, with a limit.
2. `atexit`: `logging.shutdown`, `weakref.finalize`, `multiprocessing`. The same.
3. Flushes stdout and stderr. The same.
4. Stops all other threads. Here they go on until the process is left, soon after.
5. Collects garbage. The same.
6. Clears all modules, which closes what they hold. Here only those of the app, and only when no other thread is in
   Python code. Otherwise the files that are open are flushed, as they are in any case.
"""

from __future__ import annotations

import atexit
import gc
import os
import stat
import sys
import threading
import types
from _io import _IOBase

from httpy_rs._exception import attempt, describe
from httpy_rs._own import Lock, get_ident, sleep, start_thread
from httpy_rs._threading import is_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Any

# What a module defines is kept: destructors of what it holds may need it.
_DEFINITIONS = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
_INSTALLED = {"site-packages", "dist-packages"}
_NOT_THE_APPS = sys.stdlib_module_names | {"httpy_rs", "__main__", "__mp_main__"}


def shut_down(limit: float, idle: Container[int] = ()) -> tuple[list[str], list[str]]:
    """Does all of that, on the main thread. `idle` are threads of ours that are in Python code without doing anything.

    Waits at most `limit` seconds for threads. Returns the names of those that still ran, and the tracebacks of all that
    raised.
    """
    errors: list[str] = []
    running = _end_threads(limit, errors)
    _run_exit_functions(errors)
    _flush_streams(errors)
    # Before anything that may take long.
    _flush_files()
    if gc.isenabled():
        gc.collect()
    if _comes_to_rest(idle):
        _clear_modules()
        _flush_files()
        _flush_streams(errors)
    return running, errors


def is_at_rest(idle: Container[int] = ()) -> bool:
    """Whether no thread but this one is in Python code, or in C code that Python code has called."""
    me = get_ident()
    return all(thread == me or thread in idle for thread in sys._current_frames())


def _comes_to_rest(idle: Container[int]) -> bool:
    """Whether `is_at_rest`; threads that are about to end have a moment for that."""
    for _ in range(10):
        if is_at_rest(idle):
            return True
        sleep(0.005)
    return False


def _end_threads(limit: float, errors: list[str]) -> list[str]:
    ended = Lock()
    ended.acquire()

    def end() -> None:
        main = threading.main_thread()
        ident = main.ident
        # Up to 3.12 it marks the main thread as ended only where that is the thread which calls it.
        main._ident = get_ident()  # type: ignore[attr-defined]
        try:
            threading._shutdown()  # type: ignore[attr-defined]
        except BaseException as error:
            errors.append(describe(error)[2])
        finally:
            main._ident = ident  # type: ignore[attr-defined]
            ended.release()

    # Waiting has no limit of its own, so a thread that may be left behind waits.
    try:
        start_thread(end, ())
    except RuntimeError as error:  # no thread is to be had
        errors.append(describe(error)[2])
        return []
    if ended.acquire(timeout=limit):
        return []
    return [
        thread.name
        for thread in threading.enumerate()
        if not (thread.daemon or is_own(thread) or isinstance(thread, (threading._MainThread, threading._DummyThread)))  # type: ignore[attr-defined]
    ] or ["httpy-exit"]  # a hook of the end, then


def _run_exit_functions(errors: list[str]) -> None:
    hook = sys.unraisablehook

    def note(unraisable: Any) -> None:
        if unraisable.exc_value is not None:
            errors.append(describe(unraisable.exc_value)[2])
        if hook is not sys.__unraisablehook__:  # the app's own
            hook(unraisable)

    sys.unraisablehook = note
    try:
        atexit._run_exitfuncs()
    finally:
        sys.unraisablehook = hook


def _flush_streams(errors: list[str]) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception as error:
            if stream is not None:  # an app may take them away
                errors.append(describe(error)[2])


def _flush_files() -> None:
    # The collector does not show what is frozen.
    gc.unfreeze()
    files = [thing for thing in gc.get_objects() if issubclass(type(thing), _IOBase)]
    # What may wait for a reader comes last.
    for is_regular in (True, False):
        for file in files:
            if _is_regular(file) is is_regular:
                attempt(file.flush, None)


def _is_regular(file: Any) -> bool:
    return attempt(lambda: stat.S_ISREG(os.fstat(file.fileno()).st_mode), False)


def _clear_modules() -> None:
    """Lets go of what the app's modules hold.

    Whatever has a destructor in Python comes first, and the first names of a module last, so that destructors find what
    they need.
    """
    modules = [module.__dict__ for module in list(sys.modules.values()) if type(module) is types.ModuleType]
    modules = [names for names in modules if _is_of_the_app(names)]
    for goes in (_has_destructor, _is_no_definition):
        for names in modules:
            for name in reversed(list(names)):
                if not name.startswith("__") and goes(type(names[name])):
                    names[name] = None
        gc.collect()


def _has_destructor(kind: type) -> bool:
    return hasattr(kind, "__del__") and not issubclass(kind, _IOBase)


def _is_no_definition(kind: type) -> bool:
    return not issubclass(kind, _DEFINITIONS)


def _is_of_the_app(names: dict[str, Any]) -> bool:
    name, file = names.get("__name__"), names.get("__file__")
    if not isinstance(name, str) or not isinstance(file, str):
        return False
    return name.partition(".")[0] not in _NOT_THE_APPS and _INSTALLED.isdisjoint(file.split(os.sep))
