"""The event loop of `async def` handlers: how it is made, runs and ends, and what is said of the tasks on it.

The server gives the loop a thread, and native functions that it calls; which calls run on it, how they are answered and
when they are cancelled is the server's business. Not imported before the first async function is loaded.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from httpy_rs._deadline import DeadlineExceeded
from httpy_rs._exception import FRAME_LIMIT, attempt, clean
from httpy_rs._stack import capture, of_app

# File, line, function; the outermost frame first.
Frames = list[tuple[str, int, str]]

_ASYNCIO = os.path.dirname(asyncio.__file__) + os.sep


def new_loop(
    prefer_uvloop: bool, is_in_first_step: Callable[[], bool], unforked: Callable[[BaseException | None], object]
) -> asyncio.AbstractEventLoop:
    """A loop of uvloop's where that is wanted and can be imported, else one of asyncio's own.

    `unforked` ends a process that a handler has forked.
    """
    loop = _uvloop() if prefer_uvloop else None
    if loop is None:
        loop = asyncio.SelectorEventLoop()

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
    return loop


def _uvloop() -> asyncio.AbstractEventLoop | None:
    try:
        import uvloop  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(
    loop: asyncio.AbstractEventLoop, descriptor: int, drain: Callable[[], None], is_closed: Callable[[], bool]
) -> None:
    """Runs the loop until it is closed, and `drain` whenever there is something to read from `descriptor`."""
    asyncio.set_event_loop(loop)
    loop.add_reader(descriptor, drain)
    while not is_closed():
        try:
            loop.run_forever()
        except BaseException as exception:
            # A `SystemExit` of a task, or an interruption that came too late: neither ends the server. The other calls
            # are where they were.
            if isinstance(exception, Exception):
                loop.call_exception_handler({"message": "the event loop failed, and goes on", "exception": exception})
    loop.remove_reader(descriptor)


def close(loop: asyncio.AbstractEventLoop, limit: float) -> list[str]:
    """Cancels what is left and closes the loop, after `limit` seconds at most; the names of the tasks that went on."""
    ends = time.monotonic() + limit
    left: list[str] = []
    try:
        while True:
            tasks = asyncio.all_tasks(loop)
            seconds = ends - time.monotonic()
            if not tasks:
                break
            if seconds <= 0:
                left = [clean(task.get_name()) for task in tasks]
                break
            for task in tasks:
                task.cancel()
            # Those that begin others as they end are found in the next round.
            _complete(loop, asyncio.wait(tasks, timeout=min(seconds, 1.0)))
        _complete(loop, asyncio.wait_for(loop.shutdown_asyncgens(), max(0.0, ends - time.monotonic())))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return left


def _complete(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> None:
    try:
        loop.run_until_complete(work)
    except TimeoutError:
        pass
    except BaseException as exception:  # a `SystemExit` of a task
        context = {"message": "the event loop failed as it ended", "exception": exception}
        attempt(lambda: loop.call_exception_handler(context), None)


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

    Raises what the function raises, and `TimeoutError` when it takes longer than `limit` seconds.
    """

    async def attend() -> tuple[Any, BaseException | None]:
        try:
            result = function()
            return (await result if hasattr(result, "__await__") else result), None
        except BaseException as exception:  # a `SystemExit` would stop the loop
            return None, exception

    future = asyncio.run_coroutine_threadsafe(attend(), loop)
    try:
        result, exception = future.result(limit)
    except TimeoutError as exception:
        future.cancel()
        raise TimeoutError(f"it did not end within {limit:.1f} s") from exception
    if exception is not None:
        raise exception
    return result


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
