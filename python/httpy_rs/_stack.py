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
    from typing import List, Tuple

    # File, line, function; the outermost frame first.
    Frames = List[Tuple[str, int, str]]


def capture(thread: int) -> Frames:
    """The innermost frames of the thread with this identifier; none while it runs no Python code."""
    frame = sys._current_frames().get(thread)
    frames: Frames = []
    while frame is not None and len(frames) < FRAME_LIMIT:
        frames.append((frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name))
        frame = frame.f_back
    frames.reverse()
    return frames


def show(frames: Frames) -> str:
    """The frames as a traceback prints them."""
    lines = traceback.StackSummary.from_list([traceback.FrameSummary(*frame) for frame in frames]).format()
    return clean("".join(lines))
