"""`Starter`: how a coroutine becomes a task of the loop whose first step has run.

A handler that never waits is over after its first step, so that one is run at once: such a call costs neither a turn
of the loop nor a callback at its end. From Python 3.12 on, tasks can be started that way. Before, a task gives its
first step to the loop's `call_soon` as it is made: for that moment the loop has one that keeps the step, and it is
run right afterwards.
"""

from __future__ import annotations

import asyncio
import sys
from contextvars import Context
from types import CoroutineType
from typing import Any, Callable, Coroutine, List, Optional, Tuple

from httpy_rs._event_loop import wait_for
from httpy_rs._exception import attempt

Task = asyncio.Task  # without its parameter: it is called, and in Python 3.9 it has none at run time


class Starter:
    """Starts tasks on one loop, whose thread is the only one to use it."""

    def __init__(self, event_loop: asyncio.AbstractEventLoop) -> None:
        self._loop = event_loop
        self._kept: List[Tuple[Callable[[], Any], Optional[Context]]] = []

    def start(
        self, coroutine: Coroutine[Any, Any, Any], name: str, context: Context
    ) -> Tuple[asyncio.Task[Any], Context]:
        """A task of `coroutine`, and the context that it really runs in: before Python 3.11 tasks make a copy.

        Raises a `SystemExit` or `KeyboardInterrupt` of the first step.
        """
        if sys.version_info >= (3, 12):
            return Task(coroutine, loop=self._loop, name=name, context=context, eager_start=True), context
        event_loop: Any = self._loop
        event_loop.call_soon = self._keep
        try:
            if sys.version_info >= (3, 11):
                task = Task(coroutine, loop=self._loop, name=name, context=context)
            else:
                task = context.run(lambda: Task(coroutine, loop=self._loop, name=name))
        finally:
            del event_loop.call_soon
        step, own = self._kept.pop()
        context = context if own is None else own
        # What it raises is the task's as well, and found there.
        attempt(lambda: context.run(step), None)
        return task, context

    def _keep(self, step: Callable[[], Any], *arguments: Any, context: Optional[Context] = None) -> None:
        self._kept.append((step, context))


def coroutine_of(result: Any) -> Optional[Coroutine[Any, Any, Any]]:
    """What is to be awaited for `result` of a handler; `None` where that is the reply itself."""
    if type(result) is CoroutineType:
        return result
    if type(result) is tuple or not hasattr(result, "__await__"):
        return None
    return wait_for(result)
