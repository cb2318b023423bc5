"""`Response`: what a client gets of a handler that was called by `httpy_rs.testing`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from httpy_rs._event_stream import ReceivedEvents, parse


class ResponseHeaders:
    """The headers of a response, in order; names in any case."""

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        self._lines = lines

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of `name`, or `default`."""
        return next(iter(self.get_list(name)), default)

    def get_list(self, name: str) -> list[str]:
        """All values of `name` in order; empty if there is no such header."""
        return [value for other, value in self._lines if other.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        for value in self.get_list(name):
            return value
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_list(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Name and value of each line, names as the handler spelt them."""
        return iter(self._lines)

    def __len__(self) -> int:
        """The number of lines."""
        return len(self._lines)

    def __repr__(self) -> str:
        return f"ResponseHeaders({self._lines!r})"


class Response:
    """What a client would get. `Content-Length` is among the headers if the handler set it, and for `HEAD`."""

    __slots__ = ("body", "chunks", "headers", "status", "warnings")

    def __init__(self, status: int, headers: ResponseHeaders, chunks: list[bytes], warnings: list[str]) -> None:
        self.status = status
        self.headers = headers
        self.chunks = chunks
        """What an iterator yielded, or the whole body; no empty chunks."""
        self.body = b"".join(chunks)
        self.warnings = warnings
        """What the server would warn about in its log, without the target's name."""

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not UTF-8 as lone surrogates (PEP 383)."""
        return self.body.decode("utf-8", "surrogateescape")

    def json(self) -> Any:
        """The body read as JSON; raises `ValueError` if it is not JSON."""
        return json.loads(self.body)

    def events(self) -> ReceivedEvents:
        """The body read as `text/event-stream`: the events that a browser's `EventSource` dispatches.

        A list of `ReceivedEvent`, with the last `retry` and all `comments` as attributes.
        """
        return parse(self.body)

    def __repr__(self) -> str:
        return f"Response(status={self.status}, headers={self.headers!r}, body={self.body!r})"
