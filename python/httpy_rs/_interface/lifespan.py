"""`Lifespan`: the start and the end of an ASGI app, in a task that runs beside its requests.

An app need not know the protocol: one that raises or returns before it has answered `lifespan.startup` is served
without it. Time limits are up to the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from httpy_rs._exception import summary
from httpy_rs._interface.message import ProtocolError, kind_of, quote


class LifespanError(Exception):
    """The start or the end of an app has failed; the text has the app's own message."""


class Lifespan:
    """The lifespan of one app, on the event loop on which `startup` is awaited."""

    def __init__(self, target: str, app: Callable[..., Awaitable[object]]) -> None:
        self.state: dict[str, Any] = {}
        """What the app keeps for its requests."""
        self.unused: str | None = "it was not started"
        """Why the app is served without; `None` if it uses it."""
        self._target = target
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self._events: asyncio.Queue[str] = asyncio.Queue()
        # The event that the app has to answer; set when it has, or has ended; and what it answered or raised.
        self._asked: str | None = None
        self._settled = asyncio.Event()
        self._failure: LifespanError | None = None
        self._raised: BaseException | None = None

    async def startup(self) -> None:
        """Waits for the start of the app. Raises `LifespanError` if the app reports that it has failed."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"{self._target} lifespan")
        if await self._ask("lifespan.startup"):
            self.unused = None
        elif self._raised is None:
            self.unused = "it returned before the end of its startup"
        else:
            import logging

            # Most apps that do not know the protocol raise; so does one whose startup has a bug.
            self.unused = f"it raised {summary(self._raised)} before the end of its startup"
            logging.getLogger("httpy_rs").info("%s is served without lifespan: %s", self._target, self.unused)

    async def shutdown(self) -> None:
        """Waits for the end of the app. Raises `LifespanError` if it has failed, by a message or an exception."""
        if self.unused is None and not await self._ask("lifespan.shutdown") and self._raised is not None:
            raise LifespanError(f"{self._target} raised {summary(self._raised)} in its lifespan") from self._raised

    async def _ask(self, event: str) -> bool:
        """Whether the app has answered: it may have ended before."""
        self._asked = event
        if self._task is not None and not self._task.done():
            self._settled.clear()
            self._events.put_nowait(event)
            try:
                await self._settled.wait()
            except BaseException:
                self._task.cancel()
                raise
        if self._failure is not None:
            raise self._failure
        return self._asked is None

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except BaseException as exception:  # a `SystemExit` would end the event loop
            self._raised = exception
        finally:
            self._settled.set()

    async def _receive(self) -> dict[str, Any]:
        return {"type": await self._events.get()}

    async def _send(self, message: Any) -> None:
        kind, asked = kind_of(message), self._asked
        if asked is None:
            raise ProtocolError(f"send() got {quote(kind)} when no lifespan event was to be answered")
        if kind not in (f"{asked}.complete", f"{asked}.failed"):
            raise ProtocolError(f"send() got {quote(kind)}: expected {asked}.complete or {asked}.failed")
        if kind.endswith(".failed"):
            text = message.get("message") or "without a message"
            self._failure = LifespanError(f"{self._target} sent {kind}: {text}")
        self._asked = None
        self._settled.set()
