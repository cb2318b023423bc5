"""`Signature`: what a callable takes, read without ever evaluating its annotations.

Whether that is right or wrong for a handler or an init function is judged in `_load`.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from httpy_rs._body import AsyncBody, Body
from httpy_rs._exception import attempt

# More wrappers than this around one function are taken for a circle.
_WRAPPED_LIMIT = 100
# What a module holds in place of a lazy import (Python 3.15), until the name is used.
_LAZY_IMPORT: Any = getattr(types, "LazyImportType", ())


class Signature:
    """The parameters of one callable; everything is accepted where they cannot be had (functions written in C)."""

    def __init__(self, function: Any) -> None:
        self._function = function
        # The outermost parameters: those are called. A wrapper may well pass on more or fewer than it takes.
        self._found = _read(function, follow_wrapped=False)

    def __str__(self) -> str:
        if self._found is None:
            return "(...)"
        without_types = [
            parameter.replace(annotation=inspect.Parameter.empty) for parameter in self._found.parameters.values()
        ]
        return str(inspect.Signature(without_types))

    def accepts(self, count: int) -> bool:
        """Whether a call with `count` positional arguments and no others can bind."""
        return self._found is None or _parameter_of_last(self._found, count) is not False

    def body_mode(self, count: int) -> str:
        """How the last of `count` positional arguments is annotated: `text`, `bytes`, or `stream` for `httpy_rs.Body`.

        Where a wrapper (`functools.wraps`) does not say, the function that it wraps does.
        """
        for found in (self._found, _read(self._function, follow_wrapped=True)):
            parameter = found is not None and _parameter_of_last(found, count)
            if not isinstance(parameter, inspect.Parameter):
                continue
            mode = _mode(parameter.annotation, self._function)
            if mode is not None:
                return mode
            # A wrapper's `*arguments: Any` is for all of them and says nothing about this one.
            is_own = parameter.kind is not inspect.Parameter.VAR_POSITIONAL
            if is_own and parameter.annotation is not inspect.Parameter.empty:
                return "text"
        return "text"


def is_async(function: Any) -> bool:
    """Whether the result of a call is to be awaited.

    A plain wrapper around a coroutine function (`functools.wraps`) counts as one: it may return the coroutine, or the
    result itself.
    """
    seen = 0
    while function is not None and seen < _WRAPPED_LIMIT:
        seen += 1
        if any(_is_coroutine_function(called) for called in _called(function)):
            return True
        function = attempt(lambda: _wrapped(function), None)  # noqa: B023 - called at once
    return False


def is_generator(function: Any) -> bool:
    """Whether the result of a call is a generator, async or not."""
    kinds = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(_is(is_one, called) for called in _called(function) for is_one in kinds)


def _called(function: Any) -> tuple[Any, Any]:
    """The function itself, and what its type is called through: an object that is no function."""
    while isinstance(function, functools.partial):
        function = function.func
    return function, inspect.getattr_static(type(function), "__call__", None)


def _wrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__wrapped__", None)


def _is(kind: Callable[[Any], bool], function: Any) -> bool:
    return attempt(lambda: kind(function), False)  # what is asked for its attributes may raise anything


def _is_coroutine_function(function: Any) -> bool:
    if _is(inspect.iscoroutinefunction, function):
        return True
    # How functions were marked before `inspect.markcoroutinefunction`, and in libraries still are.
    coroutines = sys.modules.get("asyncio.coroutines")
    mark = getattr(coroutines, "_is_coroutine", None)
    return mark is not None and attempt(lambda: getattr(function, "_is_coroutine", None), None) is mark


def _read(function: Any, *, follow_wrapped: bool) -> inspect.Signature | None:
    options: dict[str, Any] = {"follow_wrapped": follow_wrapped}
    if sys.version_info >= (3, 14):
        # From 3.14 on annotations are evaluated when they are read, and may name what does not exist.
        import annotationlib

        options["annotation_format"] = annotationlib.Format.FORWARDREF
    try:
        return inspect.signature(function, **options)
    except Exception:  # a `__signature__` of the user's may raise anything
        return None


def _parameter_of_last(found: inspect.Signature, count: int) -> inspect.Parameter | bool:
    """The parameter that takes the last of `count` positional arguments; `False` when they do not bind."""
    try:
        bound = found.bind(*range(count))
    except TypeError:
        return False
    for name, value in bound.arguments.items():
        parameter = found.parameters[name]
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            return parameter
        if value == count - 1:
            return parameter
    return True


def _mode(annotation: object, function: object) -> str | None:
    if isinstance(annotation, str):
        # A quoted annotation under `from __future__ import annotations` carries its quotes.
        text = annotation.strip(" '\"")
        if text in ("bytes", "builtins.bytes"):
            return "bytes"
        if text.rpartition(".")[2] not in ("Body", "AsyncBody"):
            return None
        annotation = _look_up(text, function)
    if annotation is bytes:
        return "bytes"
    return "stream" if annotation is Body or annotation is AsyncBody else None


def _look_up(name: str, function: object) -> object:
    """What a name is where the function was written, dots followed through modules alone, so that nothing runs but the
    lazy import of the name itself.

    Who imports for annotations alone (`if TYPE_CHECKING`) leaves no trace of it: such a name is taken for ours.
    """
    first, *rest = name.split(".")
    names = _globals(function)
    if first not in names:
        return Body if first == "httpy_rs" or not rest else None
    found = _imported(names[first])
    for part in rest:
        found = _imported(vars(found).get(part)) if isinstance(found, types.ModuleType) else None
    return found


def _imported(found: Any) -> object:
    return attempt(found.resolve, None) if isinstance(found, _LAZY_IMPORT) else found


def _globals(function: Any) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    try:
        function = inspect.unwrap(function)
        # An object that is no function is called through its type.
        for called in (function, inspect.getattr_static(type(function), "__call__", None)):
            # Of a bound method, too.
            names = getattr(called, "__globals__", None)
            if isinstance(names, dict):
                return names
    except Exception:  # whatever the user's own objects do
        return {}
    return {}
