"""What a handler returned, as messages.

What `marshal` writes just as it is goes as it is, for the server to judge. The rest is read by the contract's rules
here (`_contract.ReadReply`): what has passed them goes on as plain values, and a failure as its text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from httpy_rs._chunk import close
from httpy_rs._contract import WITHOUT_BODY, ContractFailure, ReadReply, body_stream, is_plain_iterator, read_chunk
from httpy_rs._events import Events
from httpy_rs._exception import unraisable
from httpy_rs._interface.message import Headers
from httpy_rs._worker import wire
from httpy_rs._worker.frame import PART

# Text with this number of characters has at most `PART` bytes.
_SHORT = PART // 4


class Answer:
    """A reply on its way: what goes ahead of it, what its message says, and the iterator whose chunks follow."""

    __slots__ = ("_status", "ahead", "heartbeat", "said", "stream")

    def __init__(self, said: wire.Said, ahead: bytes = b"") -> None:
        self.said = said
        self.ahead = ahead
        self.stream: Any = None
        self.heartbeat: float | None = None
        self._status = 0

    @classmethod
    def streamed(cls, status: int, headers: Any, stream: Any) -> Answer:
        """One with chunks."""
        heartbeat = stream.heartbeat if issubclass(type(stream), Events) else None
        if heartbeat is not None:
            heartbeat = float(heartbeat)
        made = cls(wire.head(status, headers, heartbeat))
        made.stream, made.heartbeat, made._status = stream, heartbeat, status
        return made

    @classmethod
    def of_app(cls, status: int, headers: Headers, stream: Any) -> Answer:
        """An application's with chunks."""
        made = cls(wire.app_head(status, headers))
        made.stream, made._status = stream, status
        return made

    def allows_body(self, method: str) -> bool:
        """Whether chunks are wanted in a reply to a request of this method."""
        return method != "HEAD" and self._status not in WITHOUT_BODY


def cut(data: bytes) -> Iterator[bytes]:
    """`data` in pieces of the size that a message may have."""
    return (data[start : start + PART] for start in range(0, len(data), PART))


def is_plain(result: Any) -> bool:
    """Whether `marshal` writes the reply just as it is, in one message."""
    if type(result) is not tuple or len(result) != 3:
        return False
    status, body, headers = result
    return _is_plain_body(body) and _is_plain_head(status, headers)


def _is_plain_body(body: Any) -> bool:
    if type(body) is str:
        return len(body) <= _SHORT or (len(body) <= PART and body.isascii())
    return body is None or (type(body) is bytes and len(body) <= PART)


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
    if is_plain(result):
        return Answer(wire.reply(result))
    try:
        read = ReadReply(target, result, is_async)
    except ContractFailure as failure:
        _close_refused(result)
        return Answer(wire.refused(failure.rule, failure.what[:_SHORT]))
    headers: dict[str, list[str]] = {}
    for name, value in read.lines:
        headers.setdefault(name, []).append(value)
    if read.stream is not None:
        return Answer.streamed(read.status, headers, read.stream)
    return Answer(wire.rest(read.status, read.is_text, headers), read.body)


def raw_answer(status: int, headers: Headers, body: Any) -> Answer:
    """What is sent for the reply of an application: `bytes`, or an iterator of them."""
    if type(body) is not bytes:
        return Answer.of_app(status, headers, body)
    if len(body) > PART:
        return Answer(wire.app(status, headers, None), body)
    return Answer(wire.app(status, headers, body))


def chunk(target: str, item: Any, number: int) -> bytes:
    """The bytes of what a body that is an iterator has yielded. Raises `ContractFailure`."""
    return item if type(item) is bytes else read_chunk(target, item, number)


def _close_refused(result: Any) -> None:
    """Closes the body that is dropped, as a destructor would: its call has another failure to report."""
    body = body_stream(result)
    if is_plain_iterator(body):
        try:
            close(body)
        except BaseException as error:
            unraisable(error)
