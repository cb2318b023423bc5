"""`keep`: the worker's own descriptors are none to the app."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable


def keep(own: frozenset[int], is_given_up: Callable[[], bool]) -> None:
    """From now on `os.close` and `os.closerange` know nothing of `own`, until they are given up.

    Daemons, and what is to start with nothing inherited, close all that they have not opened.
    """
    close, close_range = os.close, os.closerange

    def close_other(fd: int) -> None:
        if fd in own and not is_given_up():
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        close(fd)

    def close_others(fd_low: int, fd_high: int, /) -> None:
        for number in () if is_given_up() else sorted(own):
            if fd_low <= number < fd_high:
                close_range(fd_low, number)
                fd_low = number + 1
        close_range(fd_low, fd_high)

    os.close = close_other
    os.closerange = close_others
