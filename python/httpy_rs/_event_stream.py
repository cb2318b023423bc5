"""`parse`: a body of the type `text/event-stream`, read as a browser's `EventSource` reads it.

The rules are those of the HTML standard, 9.2.5 and 9.2.6. For `httpy_rs.testing`; `_sse` writes events.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LINE_END = re.compile(r"\r\n|\n|\r")


class ReceivedEvent(NamedTuple):
    """One event as a client's listener gets it."""

    data: str
    event: str
    """Its type; "message" where none was given."""
    id: str
    """The last id that was given up to here; empty before the first."""


class ReceivedEvents(list[ReceivedEvent]):
    """The events of a stream, in order; beside them what else a client takes from it."""

    retry: int | None = None
    """Milliseconds after which a client would connect again, where the stream said so."""
    comments: list[str]
    """The comments, which no client looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.comments = []


def parse(body: bytes) -> ReceivedEvents:
    """The events that a client dispatches.

    What is not UTF-8 becomes U+FFFD, and an event without the empty line behind it is lost.
    """
    text = body.decode("utf-8", "replace")
    # One byte order mark at the beginning is no part of the text.
    lines = LINE_END.split(text[1:] if text.startswith("\ufeff") else text)
    lines.pop()  # what stands behind the last line's end is no line
    events = ReceivedEvents()
    data: list[str] = []
    kind = last_id = ""
    for line in lines:
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if not line:
            if data:
                events.append(ReceivedEvent("\n".join(data), kind or "message", last_id))
            data, kind = [], ""
        elif not field:
            events.comments.append(value)
        elif field == "data":
            data.append(value)
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last_id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            events.retry = int(value)
    return events
