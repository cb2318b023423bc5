"""`capture` and `show`: what another thread is doing, as plain text for the log.

Two steps, because the thread is interrupted between them: reading its frames is quick and reads no files, the source
lines are looked up afterwards.
"""

from __future__ import annotations

import sys
import traceback

from httpy_rs._exception import FRAME_LIMIT, clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    # File, line, function; the outermost frame first.
    Frames = list[tuple[str, int, str]]

_PACKAGE = "<httpy_rs>"


def capture(thread: int) -> Frames:
    """The innermost frames of the thread with this identifier; none while it runs no Python code."""
    frame = sys._current_frames().get(thread)
    frames: Frames = []
    while frame is not None and len(frames) < FRAME_LIMIT:
        frames.append((frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name))
        frame = frame.f_back
    frames.reverse()
    return frames


def of_app(frames: Frames, *folders: str) -> Frames:
    """Without the outermost ones that are of this package or in one of `folders`: what brought the thread to the app's
    code. All of them where there is none of that, which is worth seeing too.
    """
    own = 0
    while own < len(frames) and frames[own][0].startswith((_PACKAGE, *folders)):
        own += 1
    return frames[own:] or frames


def show(frames: Frames) -> str:
    """The frames as a traceback prints them."""
    lines = traceback.StackSummary.from_list([traceback.FrameSummary(*frame) for frame in frames]).format()
    return clean("".join(lines))
