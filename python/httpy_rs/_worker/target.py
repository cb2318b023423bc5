"""`Targets`: the loaded handlers, by the index that jobs name them by. How they are loaded stands in
`httpy_rs._load`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from httpy_rs._exception import attempt
from httpy_rs._interface import Interface
from httpy_rs._load import load_handler


class Target:
    """A loaded handler."""

    __slots__ = ("body_type", "function", "interface", "name")

    def __init__(self, name: str, function: Callable[..., Any], interface: Interface) -> None:
        self.name = name
        self.function = function
        self.interface = interface
        # Of what a job brings just as the handler wants it.
        self.body_type: type | None = {"text": str, "bytes": bytes}.get(interface.body)


class Targets(list[Target]):
    """Grows only by functions that are not in it yet."""

    def load(self, name: str, paths: Sequence[str]) -> int:
        """The index of the handler of this name. Raises `LoadError`."""
        target = Target(name, *load_handler(name, paths))
        for index, known in enumerate(self):
            # Equal and not only the same: a bound method is another object each time.
            if known.name == name and known.interface == target.interface and _equal(known.function, target.function):
                return index
        return self._add(target)

    def place(self, name: str, paths: Sequence[str]) -> int:
        """The next index, which is now that of the handler of this name. Raises `LoadError`."""
        return self._add(Target(name, *load_handler(name, paths)))

    def _add(self, target: Target) -> int:
        self.append(target)
        return len(self) - 1


def _equal(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    return attempt(lambda: bool(one == other), False)
