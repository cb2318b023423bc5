"""The parts of ASGI's messages, checked as an app sends them. What HTTP allows in them is judged by the server."""

from __future__ import annotations

from typing import Any

from httpy_rs._interface.message_stream import BINARY, TEXT

_QUOTE_LIMIT = 64  # characters of an app's text in an error
_DIGITS_LIMIT = 18
_HEAD_LIMIT = 1024 * 1024  # bytes of the headers of one reply
_LINES_LIMIT = 1024
_NORMAL = 1000
_CODES = frozenset((_NORMAL, 1001, 1002, 1003, *range(1007, 1015)))  # that an endpoint may send, RFC 6455, 7.4
_OWN_CODES = (3000, 4999)
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_REASON_LIMIT = 123  # bytes, RFC 6455, 5.5


Headers = list[tuple[bytes, bytes]]


class ProtocolError(RuntimeError):
    """The app has broken a rule of ASGI; the text has what was found and what was expected.

    Raised in the app by the `send()` that breaks it, or by the call of an app that returns too early.
    """


def kind_of(message: Any) -> str:
    """The type of a message."""
    if not isinstance(message, dict):
        raise ProtocolError(f"send() got a message {_type(message)}: expected a dict")
    kind = message.get("type")
    if not isinstance(kind, str):
        raise ProtocolError(f'send() got a message whose "type" is {_type(kind)}: expected str')
    return kind


def head_of(message: dict[str, Any]) -> tuple[int, Headers, int | None]:
    """Status and headers of the message that begins a reply, and what its `Content-Length` says."""
    status = message.get("status")
    if type(status) is not int:
        status = _int(status)
    if not 200 <= status <= 999:
        raise ProtocolError(f"the status is {status}: expected 200 to 999")
    headers, length = _read_headers(message)
    return status, headers, length


def _read_headers(message: dict[str, Any]) -> tuple[Headers, int | None]:
    """The headers of a message, their names in lower case, and what their `Content-Length` says."""
    given = message.get("headers", ())
    headers: Headers = []
    length = None
    size = 0
    try:
        for name, value in given:
            if type(name) is not bytes:
                name = _bytes(name, "the name of a header")
            if type(value) is not bytes:
                value = _bytes(value, f"the value of the header {quote(name)}")
            name = name.lower()
            if name == b"content-length":
                length = _length(value, length)
            size += len(name) + len(value)
            headers.append((name, value))
    except (TypeError, ValueError) as exception:
        raise ProtocolError(f"the headers are {_type(given)}: expected pairs of name and value") from exception
    check_size(len(headers), size)
    return headers, length


def check_size(lines: int, size: int) -> None:
    """Refuses headers that are too many, or have too many bytes together."""
    if lines > _LINES_LIMIT:
        raise ProtocolError(f"there are {lines} headers: expected {_LINES_LIMIT} at most")
    if size > _HEAD_LIMIT:
        raise ProtocolError(f"the headers have {size} bytes: expected {_HEAD_LIMIT} at most")


def accepted_headers(message: dict[str, Any]) -> Headers:
    """The headers with which a WebSocket is accepted; its subprotocol is the last."""
    headers, _ = _read_headers(message)
    for name, _ in headers:
        if name.startswith(b"sec-websocket-"):
            raise ProtocolError(f"the headers have {quote(name)}, which is up to the server and the item subprotocol")
    subprotocol = message.get("subprotocol") or None
    if subprotocol is not None:
        if not isinstance(subprotocol, str):
            raise ProtocolError(f"the subprotocol is {_type(subprotocol)}: expected str")
        if not _TOKEN.issuperset(subprotocol):
            raise ProtocolError(f"the subprotocol is {quote(subprotocol)}: expected a token of RFC 9110")
        headers.append((b"sec-websocket-protocol", subprotocol.encode()))
    return headers


def data_of(message: dict[str, Any]) -> tuple[int, bytes]:
    """Kind and payload of a message of a WebSocket."""
    data = message.get("bytes")
    if data is not None:
        return BINARY, data if type(data) is bytes else _bytes(data, "the item bytes")
    text = message.get("text")
    if text is None:
        raise ProtocolError("the message has neither bytes nor text")
    if not isinstance(text, str):
        raise ProtocolError(f"the item text is {_type(text)}: expected str")
    return TEXT, _encoded(text, "the text")


def close_of(message: dict[str, Any]) -> tuple[int, str]:
    """Code and reason with which a WebSocket is closed."""
    code = message.get("code", _NORMAL)
    code = _NORMAL if code is None else code
    if not isinstance(code, int) or not (code in _CODES or _OWN_CODES[0] <= code <= _OWN_CODES[1]):
        found = code if isinstance(code, int) else _type(code)
        raise ProtocolError(f"the code is {found}: expected one that may be sent, such as 1000 or 3000 to 4999")
    reason = message.get("reason") or ""
    if not isinstance(reason, str):
        raise ProtocolError(f"the reason is {_type(reason)}: expected str")
    size = len(_encoded(reason, "the reason"))
    if size > _REASON_LIMIT:
        raise ProtocolError(f"the reason has {size} bytes: expected {_REASON_LIMIT} at most")
    return int(code), reason


def body_of(message: dict[str, Any]) -> tuple[bytes, bool]:
    """The part of the body that a message has, and whether it is the last one."""
    body = message.get("body", b"")
    if type(body) is not bytes:
        body = _bytes(body, "the body")
    return body, not message.get("more_body", False)


def quote(text: str | bytes) -> str:
    """An app's text for an error: in quotes, cut to a limit."""
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    return repr(text if len(text) <= _QUOTE_LIMIT else f"{text[:_QUOTE_LIMIT]}...")


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exception:
        raise ProtocolError(f"{what} is not Unicode: {exception.reason}") from exception


def _int(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise ProtocolError(f"the status is {_type(value)}: expected int")


def _bytes(value: object, what: str) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise ProtocolError(f"{what} is {_type(value)}: expected bytes")


def _length(value: bytes, before: int | None) -> int:
    if not value.isdigit() or len(value) > _DIGITS_LIMIT:
        raise ProtocolError(f"the Content-Length is {quote(value)}: expected digits")
    length = int(value)
    if before is not None:
        raise ProtocolError(f"there are two headers Content-Length, {before} and {length}: expected one at most")
    return length


def _type(value: object) -> str:
    return f"of type {type(value).__name__}"
