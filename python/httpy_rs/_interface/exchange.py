"""`Exchange`: what the server gives an interface for one request; `ClientGone`."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol


class Exchange(Protocol):
    """One request and its reply. A future of `write` may be cancelled, or get another result; no other one is."""

    scope: dict[str, Any]
    """All of it but `state`; not used by the server any more."""
    body: bytes
    """What came with the call."""
    is_whole: bool
    """That is all of the request's body."""

    def next_chunk(self) -> asyncio.Future[bytes | None]:
        """The next chunk, `None` at the end. Not called again before it is done. Fails with `BodyError`."""

    def left(self) -> asyncio.Future[None]:
        """Is done when the client has left. Called once at most."""

    def is_gone(self) -> bool:
        """Whether the client has left."""

    def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Sends a complete reply."""

    def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Sends the head of a reply that has a body, which follows. A WebSocket is accepted with status 101."""

    def write(self, chunk: bytes) -> bool | asyncio.Future[bool]:
        """Sends a part of the body. `False`: the client takes no more. A future: that, once there is room."""

    def end(self) -> None:
        """Completes the body."""


class ClientGone(OSError):
    """A message cannot be sent because the client has left. Raised in the app by `send()`."""
