"""What a handler returned, as messages: as it is, where `marshal` writes just that; else described, for the server to
judge.

The rules, and the words for what breaks them, are the server's: here only types are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CoroutineType
from typing import Any

from httpy_rs._chunk import close
from httpy_rs._contract import (
    WITHOUT_BODY,
    ContractFailure,
    ReadReply,
    exact,
    is_async_iterator,
    is_binary,
    is_iterator,
    is_plain_iterator,
    type_name,
)
from httpy_rs._events import Events
from httpy_rs._exception import unraisable
from httpy_rs._worker.frame import PART

NAMES_LIMIT = 8
# Text of so many characters has at most `PART` bytes.
_SHORT = PART // 4

Node = tuple[Any, ...]


class Answer:
    """A reply on its way: what goes ahead of it, what its message says, and the iterator whose chunks follow."""

    __slots__ = ("_status", "ahead", "heartbeat", "said", "stream")

    def __init__(self, said: Node, ahead: bytes = b"") -> None:
        self.said = said
        self.ahead = ahead
        self.stream: Any = None
        self.heartbeat: float | None = None
        self._status = 0

    @classmethod
    def streamed(cls, status: int, result: Any, stream: Any) -> Answer:
        """One with chunks."""
        heartbeat = stream.heartbeat if issubclass(type(stream), Events) else None
        if heartbeat is not None:
            heartbeat = float(heartbeat)
        if type(result) is tuple and _is_plain_head(result[0], result[2]):
            made = cls(("s", (status, result[2], heartbeat)))
        else:
            made = cls(("sd", _node(result), heartbeat))
        made.stream, made.heartbeat, made._status = stream, heartbeat, status
        return made

    def allows_body(self, method: str) -> bool:
        """Whether chunks are wanted in a reply to a request of this method."""
        return method != "HEAD" and self._status not in WITHOUT_BODY


def cut(data: bytes) -> Iterator[bytes]:
    """`data` in pieces of the size that a message may have."""
    return (data[start : start + PART] for start in range(0, len(data), PART))


def is_plain(result: Any) -> bool:
    """Whether `marshal` writes the reply just as it is, in one message."""
    return _has_plain_types(result) and fits(result[1])


def fits(body: Any) -> bool:
    """Whether a `str`, `bytes` or `None` goes into one message."""
    if type(body) is str:
        return len(body) <= _SHORT or (len(body) <= PART and body.isascii())
    return body is None or len(body) <= PART


def _has_plain_types(result: Any) -> bool:
    if type(result) is not tuple or len(result) != 3:
        return False
    body = result[1]
    return (body is None or type(body) is str or type(body) is bytes) and _is_plain_head(result[0], result[2])


def _is_plain_head(status: Any, headers: Any) -> bool:
    if type(status) is not int or not 0 <= status <= 999:
        return False
    if headers is None:
        return True
    if type(headers) is not dict:
        return False
    for name, values in headers.items():
        if type(name) is not str:
            return False
        if type(values) is list or type(values) is tuple:
            for value in values:
                if type(value) is not str:
                    return False
        elif type(values) is not str:
            return False
    return True


def answer(target: str, result: Any, *, is_async: bool) -> Answer:
    """What is sent for `result`. Raises what code of the app raises that has to be asked."""
    if _has_plain_types(result):
        status, body, headers = result
        if fits(body):
            return Answer(("r", result))
        if type(body) is bytes:
            return Answer(("p", (status, "b", headers)), body)
        try:
            return Answer(("p", (status, "t", headers)), body.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            return _described(result)
    body = _body(result)
    if not is_iterator(body):
        return _described(result)
    try:
        read = ReadReply(target, result, is_async)
    except ContractFailure:
        refused = _described(result)
        if is_plain_iterator(body):
            _close_refused(body)
        return refused
    return Answer.streamed(read.status, result, body)


class BadChunk(Exception):
    """An iterator yielded what is no chunk: as the server reads it."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node


def chunk(item: Any) -> bytes:
    """The bytes of what a body that is an iterator has yielded. Raises `BadChunk`."""
    if type(item) is bytes:
        return item
    if issubclass(type(item), str):
        try:
            return exact(item).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise BadChunk(_bad_text(error)) from None
    if is_binary(item):
        return memoryview(item).tobytes()
    raise BadChunk(("other", type_name(item)))


def _body(result: Any) -> Any:
    """What stands where a body does."""
    if issubclass(type(result), tuple):
        items = (*tuple.__iter__(result),)
        if len(items) == 3:
            return items[1]
    return None


def _described(result: Any) -> Answer:
    if issubclass(type(result), CoroutineType):
        result.close()
        return Answer(("d", ("coroutine",)))
    ahead: list[bytes] = []
    return Answer(("d", _node(result, ahead)), b"".join(ahead))


def _node(result: Any, ahead: list[bytes] | None = None) -> Node:
    if not issubclass(type(result), tuple):
        return "other", type_name(result)
    items = (*tuple.__iter__(result),)
    names = [type_name(item) for item in items[:NAMES_LIMIT]]
    if len(items) != 3:
        return "tuple", len(items), names
    status, body, headers = items
    read = _status_node(status)
    try:
        content = _body_node(body, ahead)
    except BaseException:
        # The server judges the status first, and where it refuses that, looks no further.
        if read[0] == "int" and 200 <= read[1] <= 999:
            raise
        content = ("none",)
    return "tuple", [read, content, _headers_node(headers)], names


def _status_node(status: Any) -> Node:
    if not issubclass(type(status), int) or issubclass(type(status), bool):
        return "other", type_name(status)
    number = int.__int__(status)
    return ("int", number) if -(2**63) <= number < 2**63 else ("bigint",)


def _body_node(body: Any, ahead: list[bytes] | None) -> Node:
    if body is None:
        return ("none",)
    if issubclass(type(body), str):
        try:
            data, kind = exact(body).encode("utf-8", "surrogateescape"), "t"
        except UnicodeEncodeError as error:
            return _bad_text(error)
    elif is_binary(body):
        data, kind = memoryview(body).tobytes(), "b"
    elif is_plain_iterator(body):
        return ("iterator",)
    elif is_async_iterator(body):
        return "async_iterator", type_name(body)
    else:
        return "other", type_name(body)
    if ahead is None or len(data) <= PART:
        return ("bytes", data) if kind == "b" else ("str", exact(body))
    ahead.append(data)
    return "ahead", kind


def _headers_node(headers: Any) -> Node:
    if headers is None:
        return ("none",)
    if not issubclass(type(headers), dict):
        return "other", type_name(headers)
    return "dict", [(_text_node(name), _values_node(values)) for name, values in list(dict.items(headers))]


def _values_node(values: Any) -> Node:
    if issubclass(type(values), list):
        return "list", [_text_node(value) for value in list.__iter__(values)]
    if issubclass(type(values), tuple):
        return "list", [_text_node(value) for value in tuple.__iter__(values)], "tuple"
    return _text_node(values)


def _text_node(value: Any) -> Node:
    return ("str", exact(value)) if issubclass(type(value), str) else ("other", type_name(value))


def _bad_text(error: UnicodeEncodeError) -> Node:
    return "badstr", ord(error.object[error.start]), error.start


def _close_refused(body: Any) -> None:
    """As of a destructor, since its call has something else to tell."""
    try:
        close(body)
    except BaseException as error:
        unraisable(error)
