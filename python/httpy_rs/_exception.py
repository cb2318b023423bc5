"""`describe`: an exception as plain text, whatever the exception does to prevent it.

What the text is used for (a log line, an error of `build()`) is up to the caller; it can always be encoded as UTF-8.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TypeVar

TEXT_LIMIT = 64 * 1024  # bytes of UTF-8, for the message and for the traceback
# Formatting holds the interpreter, and clients can make it happen: a runaway recursion must stay cheap.
FRAME_LIMIT = 200

NO_MESSAGE = "<exception str() failed>"

_MACHINERY = ("httpy_rs", "importlib")

T = TypeVar("T")


def describe(exc: BaseException) -> tuple[str, str, str, str]:
    """Type name, message, traceback and innermost place (`worker.py:12`, or empty) of `exc`. Never raises."""
    type_name = attempt(lambda: clean(type_name_of(type(exc))), "<exception type without a name>")
    message = attempt(lambda: clean(str(exc)), NO_MESSAGE)
    frames = attempt(lambda: user_frames(exc), None)
    place = attempt(lambda: clean(_innermost(frames)), "")
    text = attempt(lambda: clean(_format(exc, frames)), f"{type_name}: {message}\n")
    return type_name, message, text, place


def summary(exc: BaseException) -> str:
    """Type name and message in one text."""
    type_name, message, _, _ = describe(exc)
    return f"{type_name}: {message}" if message else type_name


def type_name_of(kind: type) -> str:
    """`ValueError` for what is built in, otherwise with its module: `app.errors.NotAllowed`."""
    # Read past the metaclass, which may answer anything.
    qualname: str = type.__dict__["__qualname__"].__get__(kind)
    module = type.__dict__["__module__"].__get__(kind)
    if module == "builtins" or not isinstance(module, str):
        return qualname
    return f"{module}.{qualname}"


def user_frames(exc: BaseException) -> TracebackType | None:
    """The traceback from the first frame that is not of this package or of what runs code for it."""
    frames = exc.__traceback__
    while frames is not None and _is_machinery(frames.tb_frame):
        frames = frames.tb_next
    return frames


def _is_machinery(frame: FrameType) -> bool:
    if frame.f_code.co_filename.startswith("<frozen importlib"):
        return True
    module = frame.f_globals.get("__name__")
    return isinstance(module, str) and module.partition(".")[0] in _MACHINERY


def _innermost(frames: TracebackType | None) -> str:
    if frames is None:
        return ""
    while frames.tb_next is not None:
        frames = frames.tb_next
    return f"{frames.tb_frame.f_code.co_filename}:{frames.tb_lineno}"


def _format(exc: BaseException, frames: TracebackType | None) -> str:
    count = 0
    rest = frames
    while rest is not None and count <= FRAME_LIMIT:
        count += 1
        rest = rest.tb_next
    # A negative limit keeps the innermost frames.
    limit = -FRAME_LIMIT if count > FRAME_LIMIT else None
    return "".join(traceback.format_exception(type(exc), exc, frames, limit))


def clean(text: str) -> str:
    """`text` as an exact `str` without lone surrogates, at most `TEXT_LIMIT` bytes long, cut in its middle."""
    encoded = str.encode(text, "utf-8", "backslashreplace")
    if len(encoded) <= TEXT_LIMIT:
        return encoded.decode("utf-8")
    part = TEXT_LIMIT // 2 - 40  # leaves room for the note
    left_out = len(encoded) - 2 * part
    head = encoded[:part].decode("utf-8", "ignore")
    tail = encoded[-part:].decode("utf-8", "ignore")
    return f"{head}\n... {left_out} bytes left out ...\n{tail}"


class _Unraisable:
    """Raises as it is thrown away. CPython has no other way to call `sys.unraisablehook` from Python code."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __del__(self) -> None:
        raise self._error


def unraisable(error: BaseException) -> None:
    """Tells of an exception that nobody can catch."""
    _Unraisable(error)


def attempt(work: Callable[[], T], fallback: T) -> T:
    """What `work` returns, or `fallback` whatever it raises."""
    try:
        return work()
    except BaseException:  # also what `__str__` may raise on purpose: KeyboardInterrupt, SystemExit
        return fallback
