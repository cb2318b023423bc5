"""What is counted of the interpreter for the host's metrics, once somebody counts: memory blocks and the pauses of the
cyclic garbage collector. ``take`` is called by the server on Python's main thread, every few seconds.
"""

from __future__ import annotations

import gc
import sys
from collections import deque

from httpy_rs._own import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Between two rounds there are a few; should nobody come for them, the oldest ones go.
_MOST = 1000


class Pauses:
    """A callback of ``gc`` that notes the generation and the seconds of each collection."""

    def __init__(self) -> None:
        self._begun: float | None = None
        self._noted: deque[tuple[int, float]] = deque(maxlen=_MOST)

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._begun = monotonic()
        elif self._begun is not None:
            self._noted.append((info["generation"], monotonic() - self._begun))
            self._begun = None

    def take(self) -> list[tuple[int, float]]:
        """All that were noted since the last time."""
        taken = []
        while self._noted:
            taken.append(self._noted.popleft())
        return taken


_pauses = Pauses()


def take() -> tuple[int, list[tuple[int, float]]]:
    """How many memory blocks are given out, and the pauses since the last time; begins to note them with the first."""
    if _pauses not in gc.callbacks:
        gc.callbacks.append(_pauses)
    return sys.getallocatedblocks(), _pauses.take()
