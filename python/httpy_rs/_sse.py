"""`sse()`: events as a reply of the type `text/event-stream`, which a browser's `EventSource` reads.

Here events become bytes, by the HTML standard's section 9.2. Sending them, and the heartbeats between them, is left to
the server, which knows the reply by its class `Events`. The other direction is in `_event_stream`.
"""

from __future__ import annotations

from httpy_rs._events import Events

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
    from typing import Any, NoReturn

    from httpy_rs.typing import HeaderValue

    # `Mapping`, although only a `dict` is taken at run time: `dict` is invariant.
    Event = str | Mapping[str, object]

SHORTEST_HEARTBEAT = 0.1

_KEYS = ("comment", "event", "id", "retry", "data")

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    # nginx and those that follow it would keep events back until a buffer is full.
    "X-Accel-Buffering": "no",
}


class EncodedEvents(Events):
    """Encoded events on their way out, one chunk of `bytes` each; made by `sse()`."""

    __slots__ = ("_count", "_events")

    def __init__(self, events: Any, heartbeat: float | None) -> None:
        self.heartbeat = heartbeat
        self._events = events
        self._count = 0

    def _encoded(self, event: object) -> bytes:
        self._count += 1
        return _Encoder(self._count).encode(event)


class SyncEvents(EncodedEvents):
    """Events of an iterator."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._encoded(next(self._events))

    def close(self) -> None:
        """Closes the iterator, where it can be closed."""
        close = getattr(self._events, "close", None)
        if close is not None:
            close()


class AsyncEvents(EncodedEvents):
    """Events of an async iterator."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return self._encoded(await self._events.__anext__())

    async def aclose(self) -> None:
        """Closes the async iterator, where it can be closed."""
        aclose = getattr(self._events, "aclose", None)
        if aclose is not None:
            await aclose()


def sse(
    events: Iterable[Event] | AsyncIterable[Event],
    *,
    heartbeat: float | None = 15.0,
    headers: Mapping[str, HeaderValue] | None = None,
    status: int = 200,
) -> tuple[int, SyncEvents | AsyncEvents, dict[str, HeaderValue]]:
    """The reply that sends `events` to a browser's `EventSource`, each as soon as it is available.

        def ticker(method, path, params, query, headers, body):
            return httpy_rs.sse({"event": "price", "data": price} for price in prices())

    - `events`: an iterable, or an async iterable, whose items are `str` (an event's data) or `dict` with at least one
      of the keys `data` (`str`; anything else is sent as JSON, without NaN), `event` (its type, "message" by
      default), `id` (`str` or `int`; a client that reconnects sends it as `Last-Event-ID`), `retry` (milliseconds
      after which it reconnects), `comment` (clients ignore it). A type needs data: clients drop an event without.
      Text is sent as UTF-8, surrogates that stand for a byte as that byte (PEP 383).
    - `heartbeat`: seconds without an event after which the server sends an empty comment. So proxies keep the
      connection open, and a client that has left is noticed. No Python code runs for it, and the next event may take
      any time; without heartbeats the server's `chunk_timeout` applies. At least 0.1; `None` switches it off.
      Defaults to 15.
    - `headers`: more headers. They replace those of `sse` with the same name: `Content-Type: text/event-stream`,
      `Cache-Control: no-cache`, `X-Accel-Buffering: no`.
    - `status`: clients read events with 200 only; with 204 they do not reconnect. Defaults to 200.

    If the client leaves, `events` is closed by its `close()` or `aclose()`, which raises `GeneratorExit` where a
    generator waits.

    Raises `TypeError` or `ValueError` for an argument that is none of that; what is wrong with an event is raised where
    it is sent: the stream breaks off there, and the log has the reason.
    """
    body = _body(events, _checked_heartbeat(heartbeat))
    given = dict(headers or {})
    names = {name.lower() for name in given}
    ours: dict[str, HeaderValue] = {name: value for name, value in _HEADERS.items() if name.lower() not in names}
    return status, body, {**ours, **given}


def _body(events: Any, heartbeat: float | None) -> SyncEvents | AsyncEvents:
    kind = type(events)
    # A text is an iterable too, and a `dict` is one event.
    if not isinstance(events, (str, bytes, bytearray, memoryview, dict)):
        if hasattr(kind, "__aiter__"):
            return AsyncEvents(kind.__aiter__(events), heartbeat)
        if hasattr(kind, "__iter__"):
            return SyncEvents(iter(events), heartbeat)
    raise TypeError(f"sse() was given {_name(events)}: expected an iterable or async iterable of events")


def _checked_heartbeat(heartbeat: object) -> float | None:
    if heartbeat is None:
        return None
    if isinstance(heartbeat, bool) or not isinstance(heartbeat, (int, float)):
        raise TypeError(f"heartbeat is {_name(heartbeat)}: expected seconds as int or float, or None")
    # Not true for NaN either.
    if not SHORTEST_HEARTBEAT <= heartbeat < float("inf"):
        raise ValueError(f"heartbeat is {heartbeat}: expected at least {SHORTEST_HEARTBEAT} seconds, or None for none")
    return float(heartbeat)


class _Encoder:
    """One event on its way to bytes; `number` is for the messages."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def encode(self, event: Any) -> bytes:
        if isinstance(event, str):
            return self._block("data", event) + b"\n"
        if not isinstance(event, dict):
            raise TypeError(f"event {self._number} is {_name(event)}: expected str or dict")
        for key in event:
            if key not in _KEYS:
                raise ValueError(
                    f"event {self._number} has the key {key!r}: expected only data, event, id, retry, comment"
                )
        if not event:
            raise ValueError(f"event {self._number} is empty: expected at least one of data, event, id, retry, comment")
        if "event" in event and "data" not in event:
            raise ValueError(f"event {self._number} has no data: clients drop an event that has only a type")
        return b"".join(getattr(self, f"_{key}")(event[key]) for key in _KEYS if key in event) + b"\n"

    def _data(self, data: object) -> bytes:
        if not isinstance(data, str):
            import json  # only events that need it pay for it

            try:
                data = json.dumps(data, allow_nan=False)
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"data of event {self._number} is no str and cannot be sent as JSON: {error}") from error
        return self._block("data", data)

    def _event(self, kind: object) -> bytes:
        return self._line("event", kind, "\r\n")

    def _id(self, identity: object) -> bytes:
        if isinstance(identity, int) and not isinstance(identity, bool):
            identity = int.__repr__(identity)
        # Clients ignore an id with a NUL.
        return self._line("id", identity, "\r\n\0")

    def _retry(self, retry: object) -> bytes:
        if isinstance(retry, bool) or not isinstance(retry, int):
            self._wrong_type("retry", retry, "milliseconds as int")
        if retry < 0:
            raise ValueError(f"retry of event {self._number} is {retry}: expected 0 milliseconds or more")
        return b"retry: %d\n" % retry

    def _comment(self, comment: object) -> bytes:
        if not isinstance(comment, str):
            self._wrong_type("comment", comment, "str")
        return self._block("", comment, key="comment")

    def _line(self, key: str, value: object, forbidden: str) -> bytes:
        if not isinstance(value, str):
            self._wrong_type(key, value, "str or int" if key == "id" else "str")
        text = str.__str__(value)  # of an enum's member the text, not the name
        for character in forbidden:
            if character in text:
                raise ValueError(f"{key} of event {self._number} is {text!r}: expected text without {character!r}")
        return self._bytes(key, f"{key}: {text}\n")

    def _block(self, field: str, text: str, key: str = "data") -> bytes:
        """One line of the field for each line of the text; `splitlines` would know more ends than the standard does."""
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return self._bytes(key, "".join(f"{field}: {line}\n" for line in lines))

    def _bytes(self, key: str, text: str) -> bytes:
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{key} of event {self._number} has U+{ord(error.object[error.start]):04X}: expected text that encodes "
                "as UTF-8 (surrogates U+DC80 to U+DCFF stand for bytes, PEP 383)"
            ) from None

    def _wrong_type(self, key: str, value: object, expected: str) -> NoReturn:
        raise TypeError(f"{key} of event {self._number} is {_name(value)}: expected {expected}")


def _name(value: object) -> str:
    return type(value).__name__
