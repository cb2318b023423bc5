"""The event loop of `async def` handlers: how it is made, runs and ends, and what is said of the tasks on it.

The server gives the loop a thread, and native functions that it calls; which calls run on it, how they are answered and
when they are cancelled is the server's business. Not imported before the first async function is loaded.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any

from httpy_rs._deadline import DeadlineExceeded
from httpy_rs._exception import FRAME_LIMIT, attempt, clean
from httpy_rs._own import monotonic, start_thread
from httpy_rs._stack import capture, of_app

# File, line, function; the outermost frame first.
Frames = list[tuple[str, int, str]]

_ASYNCIO = os.path.dirname(asyncio.__file__) + os.sep

# What calls had shielded when they were cancelled.
_shielded: weakref.WeakSet[asyncio.Future[Any]] = weakref.WeakSet()
# The callback by which `asyncio.shield` leaves what it shields to itself.
_OF_A_SHIELD = "shield.<locals>._outer_done_callback"


class Runner:
    """Runs one event loop, as one root task that ends last.

    Libraries bind to the root task what lives as long as the loop, and find it by `run_until_complete`: anyio binds its
    worker threads.
    """

    def __init__(
        self,
        prefer_uvloop: bool,
        is_in_first_step: Callable[[], bool],
        unforked: Callable[[BaseException | None], object],
    ) -> None:
        """`unforked` ends a process that a handler has forked."""
        self._selector: Any = None
        loop = _uvloop() if prefer_uvloop else None
        if loop is None:
            self._selector = selectors.DefaultSelector()
            loop = asyncio.SelectorEventLoop(self._selector)
        self.loop = loop
        """uvloop's where that is wanted and can be imported, else asyncio's own."""
        self.begun: Callable[[], object] = _nothing
        """Called once, on the loop, when it has begun: from then on it needs nothing that an app may replace."""
        self._descriptor = -1
        self._work: Callable[[], object] = _nothing
        self._stopping = asyncio.Event()
        # Imported here by asyncio: later, an app may have emptied `sys.modules`.
        getattr(asyncio.events, "_get_event_loop_policy", asyncio.get_event_loop_policy)()

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            exception = context.get("exception")
            # From Python 3.14 on a forked process cannot run the tasks of its parent's loop: one that awaits ends here.
            unforked(exception)
            # Both have been told of: the log has the deadline, and the call that raised the other one gets it as its
            # outcome, which asyncio does not see where it does not even hand out the task.
            known = isinstance(exception, DeadlineExceeded)
            if known or (isinstance(exception, (SystemExit, KeyboardInterrupt)) and is_in_first_step()):
                return
            loop.default_exception_handler(context)

        loop.set_exception_handler(handle)

    def run(self, descriptor: int, work: Callable[[], object], limit: Callable[[], float]) -> list[str]:
        """Runs the loop until `stop`, then ends what is left on it within `limit()` seconds, and closes it.

        Calls `work` on the loop whenever there is something to read from `descriptor`. Returns the names of the tasks
        that went on.
        """
        loop = self.loop
        self._descriptor, self._work = descriptor, work
        asyncio.set_event_loop(loop)
        try:
            root = loop.create_task(self._root(limit), name="httpy")
            loop.call_soon(self.begun)
            loop.add_reader(descriptor, self.drain)
            while not root.done():
                try:
                    _run_until_complete(loop, root)
                except BaseException as exception:
                    # A `SystemExit` of a task, an interruption that came too late, or a `stop()` of the loop: none of
                    # them ends the server. The other calls are where they were.
                    if isinstance(exception, Exception) and str(exception) != _STOPPED and not root.done():
                        message = "the event loop failed, and goes on"
                        loop.call_exception_handler({"message": message, "exception": exception})
            return root.result()
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def stop(self) -> None:
        """Lets `run` come to its end. To be called on the loop."""
        self._stopping.set()

    def drain(self) -> None:
        """Does the work that was given to `run`. To be called by the loop itself, as one of its callbacks.

        The work runs first steps of handlers, which may run the loop again from there (`nest_asyncio`). asyncio cannot
        call a reader again that has not returned. So a loop that looks for events meanwhile gets a new reader.
        """
        selector = self._selector
        if selector is None:  # uvloop's loops do not run again from there
            self._work()
            return
        selector.select = self._select_in_drain
        try:
            self._work()
        finally:
            selector.__dict__.pop("select", None)

    def _select_in_drain(self, timeout: float | None = None) -> Any:
        """In place of the selector's `select`, while `drain` runs."""
        selector, loop = self._selector, self.loop
        del selector.select
        if loop.remove_reader(self._descriptor):
            loop.add_reader(self._descriptor, self.drain)
            # For what the work has taken and not begun.
            loop.call_soon(self.drain)
            timeout = 0
        return selector.select(timeout)

    async def _root(self, limit: Callable[[], float]) -> list[str]:
        while not self._stopping.is_set():
            # Code that cancels all tasks does not mean this one.
            with suppress(asyncio.CancelledError, DeadlineExceeded):
                await self._stopping.wait()
        loop, root = self.loop, asyncio.current_task()
        loop.remove_reader(self._descriptor)
        ends = monotonic() + limit()
        left: list[str] = []
        while tasks := asyncio.all_tasks() - {root}:
            seconds = ends - monotonic()
            if seconds <= 0:
                left = [clean(task.get_name()) for task in tasks]
                for task in tasks:  # which are named: asyncio need not complain as well
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                break
            for task in tasks:
                task.cancel()
            # Those that begin others as they end are found in the next round.
            with suppress(asyncio.CancelledError):
                await asyncio.wait(tasks, timeout=min(seconds, 1.0))
        await _within(ends - monotonic(), loop.shutdown_asyncgens())
        await _within(ends - monotonic(), _end_executor(loop))
        return left


# What `run_until_complete` raises when the loop was stopped.
_STOPPED = "Event loop stopped before Future completed."


def _run_until_complete(loop: asyncio.AbstractEventLoop, root: asyncio.Task[Any]) -> None:
    if isinstance(loop, asyncio.BaseEventLoop):
        # `nest_asyncio` replaces that of the loop's class by one that does not mark the root task, nor runs again after
        # a `stop()`.
        asyncio.BaseEventLoop.run_until_complete(loop, root)
    else:
        loop.run_until_complete(root)


def _nothing() -> None:
    """Until there is something to do."""


def _uvloop() -> asyncio.AbstractEventLoop | None:
    try:
        import uvloop  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _within(seconds: float, work: Coroutine[Any, Any, Any]) -> None:
    """Awaits `work` for so long at most, whatever becomes of it."""
    with suppress(Exception, asyncio.CancelledError):
        await asyncio.wait_for(work, max(0.0, seconds))


async def _end_executor(loop: asyncio.AbstractEventLoop) -> None:
    """Waits for the jobs of the default executor.

    Can be cancelled, unlike asyncio's `shutdown_default_executor`, which waits all the same then.
    """
    if not isinstance(loop, asyncio.BaseEventLoop):
        # uvloop's own is out of reach. After it was cancelled it waits for so many seconds.
        await loop.shutdown_default_executor(0.1)  # type: ignore[call-arg, unused-ignore]
        return
    executor = getattr(loop, "_default_executor", None)
    if executor is None:
        return
    ended = asyncio.Event()

    def wait() -> None:
        executor.shutdown(wait=True)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(ended.set)

    start_thread(wait, ())
    await ended.wait()


def cancel(task: asyncio.Task[Any]) -> None:
    """Cancels the task of a call. What it awaits behind an `asyncio.shield` goes on, and counts as shielded."""
    attempt(lambda: _shielded.update(_behind_shields(task)), None)
    task.cancel()


def is_shielded(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether something goes on that a cancelled call has shielded. From any thread."""
    # Where the loop adds to them meanwhile, they are looked at again.
    return attempt(lambda: any(future.get_loop() is loop and not future.done() for future in list(_shielded)), True)


def _behind_shields(task: asyncio.Task[Any]) -> list[asyncio.Future[Any]]:
    found, waits = [], [task]
    while waits:
        future: Any = waits.pop()
        # What a task waits for, what `asyncio.gather` does.
        waits += filter(None, [getattr(future, "_fut_waiter", None), *getattr(future, "_children", ())])
        for callback, _ in future._callbacks or ():
            if getattr(callback, "__qualname__", "") == _OF_A_SHIELD:
                names = zip(callback.__code__.co_freevars, callback.__closure__, strict=True)
                found.append(dict(names)["inner"].cell_contents)
    return found


async def send(
    body: Any, write: Callable[..., Any], allowed: bool, limit: float
) -> tuple[bool, BaseException | None, BaseException | None]:
    """Sends a streamed body chunk by chunk, where that is allowed, and closes it in any case.

    `write` gives `True` to go on, `False` to stop, or a future of one of them, for which the body waits `limit` seconds
    at most. Without a chunk it is told that there is none any more. Returns whether the wait was in vain, what the body
    raised, and what closing it raised.
    """
    stalled = False
    fault = closing = None
    try:
        if not allowed:
            pass
        elif hasattr(type(body), "__aiter__"):
            async for chunk in body:
                goes_on = write(chunk)
                if goes_on is not True and (goes_on is False or not await _wait(goes_on, limit)):
                    break
        else:
            for chunk in body:
                goes_on = write(chunk)
                if goes_on is not True and (goes_on is False or not await _wait(goes_on, limit)):
                    break
    except _Stalled:
        stalled = True
    except BaseException as exception:
        fault = exception
    try:
        write()
        if hasattr(body, "aclose"):
            await body.aclose()
        elif hasattr(body, "close"):
            body.close()
    except BaseException as exception:
        closing = exception
    return stalled, fault, closing


class _Stalled(Exception):
    """The client has taken nothing for too long."""


async def _wait(future: asyncio.Future[bool], limit: float) -> bool:
    timer = future.get_loop().call_later(limit, _give_up, future)
    try:
        return await future
    finally:
        timer.cancel()


def _give_up(future: asyncio.Future[bool]) -> None:
    if not future.done():
        future.set_exception(_Stalled())


async def attended(awaitable: Awaitable[object], unforked: Callable[[BaseException | None], object]) -> object:
    """A coroutine of what a handler has returned. In a process that it has forked, `unforked` ends that process.

    Here, and not after the task's step: from Python 3.14 on asyncio refuses to end a step in such a process, and
    before, its loop would go on with the calls of others.
    """
    try:
        result = await awaitable
    except GeneratorExit:  # it is thrown away
        raise
    except BaseException as error:
        unforked(error)
        raise
    unforked(None)
    return result


def call(loop: asyncio.AbstractEventLoop, function: Callable[[], Any], limit: float | None) -> Any:
    """Calls an async function without arguments on `loop`, from another thread, and waits for its result.

    What it has set of the context is set in that of the calling thread. Raises what the function raises, and
    `TimeoutError` when it takes longer than `limit` seconds.
    """

    async def attend() -> tuple[Any, BaseException | None, Context]:
        try:
            result = function()
            return (await result if hasattr(result, "__await__") else result), None, copy_context()
        except BaseException as exception:  # a `SystemExit` would stop the loop
            return None, exception, copy_context()

    before = copy_context()
    future = asyncio.run_coroutine_threadsafe(attend(), loop)
    try:
        result, exception, context = future.result(limit)
    except TimeoutError as exception:
        future.cancel()
        raise TimeoutError(f"it did not end within {limit:.1f} s") from exception
    for variable, value in context.items():
        if variable not in before or before[variable] is not value:
            variable.set(value)
    if exception is not None:
        raise exception
    return result


def bound(loop: asyncio.AbstractEventLoop, function: Callable[[], Any], limit: float | None) -> Callable[[], Any]:
    """`call` with these arguments, as a function without any."""
    return lambda: call(loop, function, limit)


def current_call(loop: asyncio.AbstractEventLoop, thread: int) -> tuple[object, Frames]:
    """The task that runs on `loop`, whose thread has this identifier, and that thread's frames from the task on."""
    return asyncio.current_task(loop), of_app(capture(thread), _ASYNCIO)


def task_frames(task: asyncio.Task[Any]) -> Frames:
    """Where a task that does not run just now waits: through all that it awaits."""
    frames: Frames = []
    waits: Any = task.get_coro()
    while waits is not None and len(frames) < FRAME_LIMIT:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(waits, f"{kind}_frame", None)
            if frame is not None:
                frames.append((frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name))
                break
        awaited = (getattr(waits, name, None) for name in ("cr_await", "gi_yieldfrom", "ag_await"))
        waits = next(filter(None, awaited), None)
    return frames
