"""`begin_children`: what is done in a forked child before any signal arrives there."""

from __future__ import annotations

import os
import sys

from httpy_rs._own import get_ident

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


def begin_children(begin: Callable[[], object], unblock: Iterable[int] = ()) -> None:
    """Has `begin` called in each forked child, where the signals of `unblock` are not blocked any more afterwards.

    All signals are blocked from before the fork until then: a handler of the parent would swallow them.
    """
    signal: Any = sys.modules["_signal"]
    change, every = signal.pthread_sigmask, signal.valid_signals()
    masks: dict[int, set[int]] = {}

    def hold() -> None:
        # Kept first: a handler may raise out of the call that blocks, and its result would be lost.
        masks[get_ident()] = change(signal.SIG_BLOCK, ())
        change(signal.SIG_BLOCK, every)

    def go_on() -> None:
        change(signal.SIG_SETMASK, masks.pop(get_ident()))

    def begin_child() -> None:
        try:
            begin()
        finally:
            change(signal.SIG_SETMASK, masks.pop(get_ident()).difference(unblock))

    os.register_at_fork(before=hold, after_in_parent=go_on, after_in_child=begin_child)
