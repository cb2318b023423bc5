"""`chain`: an exception and what led to it, frame by frame with source lines, for the pages of an app in debug.

Reads files, and takes longer than `_exception.describe`: only called where somebody asked for such pages.
"""

from __future__ import annotations

import linecache
import os
from types import TracebackType

from httpy_rs._exception import NO_MESSAGE, attempt, clean, type_name_of, user_frames

LINKS = 5
FRAMES = 30  # of each, the innermost ones
AROUND = 5  # lines before and after the one that runs
LINE_LIMIT = 300  # characters
TITLE_LIMIT = 4000

# File, line, function, whether it is the app's own code, the number of the first source line, source lines.
Frame = tuple[str, int, str, bool, int, list[str]]
# How it led to the one before ("" for the first), the text of the exception, its frames, the outermost first.
Link = tuple[str, str, list[Frame]]

_LIBRARY = os.path.dirname(os.__file__) + os.sep


def chain(exc: BaseException) -> list[Link]:
    """The exception, and each one that it came from. Never raises; what cannot be read is left out."""
    links: list[Link] = []
    seen: list[BaseException] = []
    relation = ""
    current: BaseException | None = exc
    while current is not None and len(links) < LINKS and not any(current is one for one in seen):
        seen.append(current)
        links.append((relation, _title(current), _frames(current)))
        relation, current = _next(current)
    return links


def _next(exc: BaseException) -> tuple[str, BaseException | None]:
    # Read past what a subclass overrides.
    parts = BaseException.__dict__
    cause = attempt(lambda: parts["__cause__"].__get__(exc), None)
    if cause is not None:
        return "cause", cause
    suppressed = attempt(lambda: parts["__suppress_context__"].__get__(exc), True)
    return "context", None if suppressed else attempt(lambda: parts["__context__"].__get__(exc), None)


def _title(exc: BaseException) -> str:
    name = attempt(lambda: clean(type_name_of(type(exc))), "<exception type without a name>")
    message = attempt(lambda: clean(str(exc)[:TITLE_LIMIT]), NO_MESSAGE)
    return f"{name}: {message}" if message else name


def _frames(exc: BaseException) -> list[Frame]:
    found: list[TracebackType] = []
    frames = attempt(lambda: user_frames(exc), None)
    while frames is not None:
        found.append(frames)
        del found[:-FRAMES]
        frames = frames.tb_next
    return [frame for frame in (attempt(lambda one=one: _frame(one), None) for one in found) if frame is not None]  # type: ignore[misc]


def _frame(frames: TracebackType) -> Frame:
    code = frames.tb_frame.f_code
    file, line = code.co_filename, frames.tb_lineno or 0
    own = _is_own(file)
    around = AROUND if own else 0
    first = max(line - around, 1)
    nothing: list[str] = []
    lines = attempt(lambda: linecache.getlines(file, frames.tb_frame.f_globals), nothing)[first - 1 : line + around]
    function = code.co_qualname
    return clean(file), line, clean(function), own, first, [clean(text.rstrip()[:LINE_LIMIT]) for text in lines]


def _is_own(file: str) -> bool:
    """Neither Python's own nor installed."""
    folders = file.split(os.sep)
    return not file.startswith(("<", _LIBRARY)) and "site-packages" not in folders and "dist-packages" not in folders
