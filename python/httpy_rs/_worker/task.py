"""`Starter`: how a coroutine becomes a task of the loop whose first step has run.

A handler that never waits is over after its first step, so that one is run at once: such a call costs neither a turn
of the loop nor a callback at its end. From Python 3.12 on, tasks can be started that way. Before, a task gives its
first step to the loop's `call_soon` as it is made: for that moment the loop has one that keeps the step, and it is
run right afterwards.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from httpy_rs._exception import attempt


class Starter:
    """Starts tasks on one loop, whose thread is the only one to use it."""

    def __init__(self, event_loop: asyncio.AbstractEventLoop) -> None:
        self._loop = event_loop
        self._kept: list[tuple[Callable[..., Any], tuple[Any, ...], Context | None]] = []

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str, context: Context) -> asyncio.Task[Any]:
        """A task of `coroutine` in `context`, whose first step has run.

        Raises a `SystemExit` or `KeyboardInterrupt` of the first step.
        """
        if sys.version_info >= (3, 12):
            return asyncio.Task(coroutine, loop=self._loop, name=name, context=context, eager_start=True)
        event_loop: Any = self._loop
        event_loop.call_soon = self._keep
        try:
            task = asyncio.Task(coroutine, loop=self._loop, name=name, context=context)
        finally:
            del event_loop.call_soon
        kept, self._kept = self._kept, []
        for step, arguments, own in kept:
            if own is not context:  # asked by a destructor that ran meanwhile
                event_loop.call_soon(step, *arguments, context=own)
        step = next(step for step, _, own in kept if own is context)
        # What it raises is the task's as well, and found there.
        attempt(lambda: context.run(step), None)
        return task

    def _keep(self, step: Callable[..., Any], *arguments: Any, context: Context | None = None) -> None:
        self._kept.append((step, arguments, context))
