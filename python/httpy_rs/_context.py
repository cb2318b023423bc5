"""`Start`: the context that loading the app has left, of which each call runs in a copy.

What modules set while they are imported, or init functions, is meant for the whole app: the precision of `decimal`,
numpy's print options, an application context that was pushed.
"""

from __future__ import annotations

import sys
from contextvars import Context, copy_context

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable


class Start:
    """The context of the thread that has just loaded something."""

    __slots__ = ("context", "isolate")

    def __init__(self) -> None:
        self.context = copy_context()
        self.isolate = _isolation(self.context)
        """Called in each copy, where it is not `None`: replaces what one call could change for others."""

    def copy(self) -> Context:
        """The context of a call."""
        context = self.context.copy()
        if self.isolate is not None:
            context.run(self.isolate)
        return context


def _isolation(context: Context) -> Callable[[], None] | None:
    # The context of `decimal` is an object that is changed in place, and a copied context has the same one.
    decimal = sys.modules.get("decimal")
    kind = getattr(decimal, "Context", None)
    if decimal is None or not any(type(value) is kind for value in context.values()):
        return None
    return lambda: decimal.setcontext(decimal.getcontext().copy())
