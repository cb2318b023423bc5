"""`Targets`: what is loaded, by the index that jobs name it by. How they are loaded stands in
`httpy_rs._load`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from httpy_rs._exception import attempt
from httpy_rs._interface import HANDLER, Interface
from httpy_rs._load import load


class Target:
    """A loaded handler, or a whole application."""

    __slots__ = ("body_type", "function", "interface", "name")

    def __init__(self, name: str, function: Callable[..., Any], interface: Interface) -> None:
        self.name = name
        self.function = function
        self.interface = interface
        # Of what a job brings just as the handler wants it.
        self.body_type: type | None = {"text": str, "bytes": bytes}.get(interface.body)


class Targets(list[Target]):
    """Grows only by functions and applications that are not in it yet."""

    def app(self, kind: str, name: str) -> int | None:
        """The index of a loaded application. Its startup has run, so it is not loaded twice."""
        for index, known in enumerate(self):
            if known.name == name and known.interface.kind == kind != HANDLER:
                return index
        return None

    def add(self, target: Target) -> int:
        """The index of `target`, or of an equal one."""
        for index, known in enumerate(self):
            # Equal and not only the same: a bound method is another object each time.
            is_same = known.name == target.name and known.interface == target.interface
            if is_same and _equal(known.function, target.function):
                return index
        self.append(target)
        return len(self) - 1


def load_target(kind: str, name: str, paths: Sequence[str]) -> Target:
    """What `name` names, to be called as `kind` says. Raises `LoadError`."""
    return Target(name, *load(kind, name, paths))


def _equal(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    return attempt(lambda: bool(one == other), False)
