"""`Events`: the base of what `sse()` gives, by which the server knows it without importing `_sse` at each start."""

from __future__ import annotations


class Events:
    """Chunks of `bytes`, each of which is an event."""

    __slots__ = ("heartbeat",)

    heartbeat: float | None
    """After so many seconds without an event the server sends a comment, without asking Python."""
