"""`Running`: a call under way on the event loop."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Any

from httpy_rs._own import monotonic
from httpy_rs._worker.async_stream import AsyncSending
from httpy_rs._worker.target import Target
from httpy_rs._worker.wire import Call

if TYPE_CHECKING:
    from httpy_rs._worker.exchange import Exchange


class Running:
    """The task of a call, and how far it is."""

    __slots__ = ("call", "context", "exchange", "is_cancelled", "sending", "target", "task", "times")

    def __init__(self, call: Call, target: Target, context: Context) -> None:
        self.call = call
        self.target = target
        self.context = context
        self.task: asyncio.Task[Any] | None = None
        """None in its first step."""
        self.is_cancelled = False
        self.sending: AsyncSending | None = None
        self.exchange: Exchange | None = None
        """Of an application's call."""
        # When it came how far, where that is wanted.
        self.times: list[float] | None = [] if call.is_timed else None

    def stamp(self) -> None:
        """It has come one step further."""
        if self.times is not None and len(self.times) < 3:
            self.times.append(monotonic() - self.call.received)
