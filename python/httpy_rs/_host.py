"""What of the process stays with the program that embeds Python, whatever Python code asks for: its signals and timers,
its standard streams, its switch interval, and the lock of its environment.

Nothing is refused in silence: a call that changes nothing raises what CPython raises where it refuses the same. A
forked child is Python's own and has all of it.
"""

from __future__ import annotations

import errno
import functools
import os
import posix
import sys

from httpy_rs._fork import begin_children

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

_process = os.getpid()


def guard_environment(change: Callable[[bytes, bytes | None], None]) -> None:
    """Has environment variables changed by `change`, under the lock that Rust code reads them with.

    C's `setenv` moves the table of variables. Rust code that reads a variable at that moment would crash.
    """
    put, unset = posix.putenv, posix.unsetenv

    def putenv(name: Any, value: Any, /) -> None:
        key, text = os.fsencode(name), os.fsencode(value)
        if _is_variable(key) and b"\0" not in text and _is_host():
            sys.audit("os.putenv", key, text)
            change(key, text)
        else:
            put(key, text)  # which says what is wrong, if anything is

    def unsetenv(name: Any, /) -> None:
        key = os.fsencode(name)
        if _is_variable(key) and _is_host():
            sys.audit("os.unsetenv", key)
            change(key, None)
        else:
            unset(key)

    for function in (putenv, unsetenv):
        _replace(function, posix, os)  # `os.environ` uses those of `os`


def keep_signals() -> None:
    """Refuses what would take a signal from the program, or end it by one.

    CPython does that itself on other threads than the main one; but modules are imported on the main thread.
    """
    import signal as module

    _signal: Any = sys.modules["_signal"]
    install, set_alarm, set_timer = _signal.signal, _signal.alarm, _signal.setitimer
    interrupt, set_wakeup = _signal.siginterrupt, _signal.set_wakeup_fd

    def refuse(what: str) -> None:
        raise ValueError(
            f"{what} only works in main thread of the main interpreter, and the program that embeds Python keeps that "
            "thread and its signals for itself"
        )

    def signal(signalnum: Any, handler: Any, /) -> Any:
        if _is_host():
            refuse("signal")
        return install(signalnum, handler)

    # No handler can be installed for the signals of the next two, and without one they end the process.
    def alarm(seconds: int, /) -> int:
        if seconds and _is_host():
            refuse("alarm")
        left: int = set_alarm(seconds)
        return left

    def setitimer(which: int, seconds: float, interval: float = 0.0, /) -> Any:
        if seconds and _is_host():
            refuse("setitimer")
        return set_timer(which, seconds, interval)

    def siginterrupt(signalnum: int, flag: bool, /) -> None:
        if _is_host():
            refuse("siginterrupt")
        interrupt(signalnum, flag)

    # asyncio calls it before it installs a handler, and wants warnings. uvloop and trio call it for each run, whether
    # there are handlers or not, and want none; that does no harm, as nothing is ever written to the descriptor.
    def set_wakeup_fd(fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
        if fd != -1 and warn_on_full_buffer and _is_host():
            refuse("set_wakeup_fd")
        before: int = set_wakeup(fd, warn_on_full_buffer=warn_on_full_buffer)
        return before

    _replace(signal, _signal)  # `signal.signal` is a function of Python's, which calls this one
    for function in (alarm, setitimer, siginterrupt, set_wakeup_fd):
        _replace(function, _signal, module)


def keep_streams() -> None:
    """Refuses to close the standard streams: the next connections would get their numbers, and the clients of these
    what is printed. Closes no range of descriptors: most of them are the program's, its listeners and connections.
    """
    close_one, close_range = posix.close, posix.closerange

    def close(fd: int) -> None:
        if fd in (0, 1, 2) and _is_host():
            raise PermissionError(errno.EPERM, "the program that embeds Python owns its standard streams")
        close_one(fd)

    def closerange(fd_low: int, fd_high: int, /) -> None:
        # It passes over what it cannot close, as CPython's does.
        if not _is_host():
            close_range(fd_low, fd_high)

    for function in (close, closerange):
        _replace(function, posix, os)


def release_signals(release: Callable[[list[int]], bool]) -> None:
    """Gives a forked child its signals as any Python has them: it has the program's handlers, but none of its threads.

    `release` gives those their defaults which no Python code handles, and returns whether SIGINT has its default now.
    What the program blocks now, as Python starts, is not blocked there.
    """
    signal: Any = sys.modules["_signal"]
    interrupt = signal.SIGINT
    # Refused in the host alone.
    install, installed, raise_interrupt = signal.signal, signal.getsignal, signal.default_int_handler
    numbers = sorted(signal.valid_signals())
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def begin_child() -> None:
        if release([number for number in numbers if callable(installed(number))]):
            install(interrupt, raise_interrupt)

    begin_children(begin_child, unblock=blocked)


def keep_switch_interval() -> None:
    """Refuses to change the switch interval, by which the server divides the interpreter among its threads."""
    change = sys.setswitchinterval

    def setswitchinterval(interval: float, /) -> None:
        if _is_host():
            raise ValueError("the switch interval is an option of the program that embeds Python")
        change(interval)

    _replace(setswitchinterval, sys)


def _replace(function: Callable[..., Any], *modules: ModuleType) -> None:
    """Puts it in place of the function of the same name."""
    functools.update_wrapper(function, getattr(modules[0], function.__name__))
    for module in modules:
        setattr(module, function.__name__, function)


def _is_host() -> bool:
    """False in a forked child."""
    return os.getpid() == _process


def _is_variable(name: bytes) -> bool:
    return name != b"" and b"=" not in name and b"\0" not in name
