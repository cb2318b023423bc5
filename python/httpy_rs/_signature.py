"""`Signature`: what a callable takes, read without ever evaluating its annotations.

Whether that is right or wrong for a handler or an init function is judged in `_load`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any

from httpy_rs._exception import attempt

# More wrappers than this around one function are taken for a circle.
_WRAPPED_LIMIT = 100


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

    def last_is_bytes(self, count: int) -> bool:
        """Whether the parameter that gets the last of `count` positional arguments is annotated `bytes`.

        Where a wrapper (`functools.wraps`) does not say, the function that it wraps does.
        """
        for found in (self._found, _read(self._function, follow_wrapped=True)):
            parameter = found is not None and _parameter_of_last(found, count)
            if not isinstance(parameter, inspect.Parameter):
                continue
            if _is_bytes(parameter.annotation):
                return True
            # A wrapper's `*arguments: Any` is for all of them and says nothing about this one.
            is_own = parameter.kind is not inspect.Parameter.VAR_POSITIONAL
            if is_own and parameter.annotation is not inspect.Parameter.empty:
                return False
        return False


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
    return any(inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called) for called in _called(function))


def _called(function: Any) -> tuple[Any, Any]:
    """The function itself, and what its type is called through: an object that is no function."""
    while isinstance(function, functools.partial):
        function = function.func
    return function, inspect.getattr_static(type(function), "__call__", None)


def _wrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__wrapped__", None)


def _is_coroutine_function(function: Any) -> bool:
    if inspect.iscoroutinefunction(function):
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


def _is_bytes(annotation: object) -> bool:
    if isinstance(annotation, str):
        # A quoted annotation under `from __future__ import annotations` carries its quotes.
        return annotation.strip(" '\"") in ("bytes", "builtins.bytes")
    return annotation is bytes
