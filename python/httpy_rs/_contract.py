"""`check_reply`: the contract's rules for what a handler returns, in Python.

For worker processes, which judge types and encodings by `ReadReply`, and for `httpy_rs.testing`. The server has its own
copy in Rust; `tests/vectors/replies.json` holds the two together. Objects are judged by their real type (a mock's
`__class__` does not count) and read past what a subclass overrides, as the server does.
"""

from __future__ import annotations

import re
from types import CoroutineType
from typing import Any, NamedTuple, NoReturn

__tracebackhide__ = True  # pytest leaves the frames of this file out

HEADER_LINE_LIMIT = 1024
NAME_LIMIT = 65_535  # bytes
QUOTE_LIMIT = 64  # bytes of a client's or handler's text in a message

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
PEP_383 = "expected text that encodes as UTF-8 (surrogates U+DC80 to U+DCFF stand for bytes, PEP 383)"
NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # surrogates that stand for no byte
BEYOND_LATIN_1 = re.compile(r"[^\x00-\xff]")
DIGITS = re.compile(r"[0-9]+")

HOP_BY_HOP = frozenset(
    ("connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
WITHOUT_BODY = frozenset((204, 205, 304))

Lines = list[tuple[str, str]]


class ContractFailure(AssertionError):
    """A handler returned, or yielded, what the contract does not allow; its text is the line in the server's log."""

    def __init__(self, target: str, verb: str, rule: str, what: str) -> None:
        super().__init__(f"{target} {verb} {what}")
        self.rule = rule
        """The broken rule: what is wrong, in one word."""
        self.what = what
        """What was found, and what was expected."""


class CheckedReply(NamedTuple):
    """What the server sends for a reply; without a `Content-Length` here it adds the one of a whole body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    warnings: list[str]
    stream: Any
    """The iterator, plain or async, whose chunks are the body; `None` where `body` is all of it."""
    length: int | None
    """How many bytes the stream has to have, where the handler has said so."""


def check_reply(target: str, method: str, result: object, *, is_async: bool = False) -> CheckedReply:
    """What goes out for `result`, returned by `target` for a request of `method`; awaited, where that `is_async`.

    An iterator that the reply has no place for is left as it is: who has the result closes it. Raises `ContractFailure`
    with the server's message.
    """
    return ReadReply(target, result, is_async).checked(method)


def body_stream(result: Any) -> Any:
    """The iterator, plain or async, that stands as body in what a handler returned; `None` where there is none."""
    if _is(result, tuple):
        items: tuple[Any, ...] = (*tuple.__iter__(result),)
        if len(items) == 3 and is_iterator(items[1]):
            return items[1]
    return None


def is_iterator(value: object) -> bool:
    """Whether `value` can stand as a body in chunks: an iterator, or an async one."""
    return is_plain_iterator(value) or is_async_iterator(value)


def is_plain_iterator(value: object) -> bool:
    """Whether `value` is an iterator that is none of the async ones."""
    return _has(value, "__next__")


def is_async_iterator(value: object) -> bool:
    """Whether `value` gives an async iterator, and is no plain one."""
    return _has(value, "__aiter__") and not is_plain_iterator(value)


class ReadReply:
    """One reply on its way through the rules, in the contract's order: types and encodings first, as it is made, then
    meanings."""

    def __init__(self, target: str, result: object, is_async: bool) -> None:
        self.target = target
        self.is_async = is_async
        self.stream: Any = None
        status, body, headers = self._items(result)
        self.status = self._status(status)
        self.body = self._body(body)
        self.is_text = _is(body, str)
        self.lines = self._lines(headers)

    def checked(self, method: str) -> CheckedReply:
        """Decides what is kept of the reply for this method."""
        self._check_lines()
        warnings: list[str] = []
        headers = self._without_hop_by_hop(self._content_length(method), warnings)
        body_kept = self.status not in WITHOUT_BODY
        if not body_kept and (self.body or self.stream is not None):
            what = f"a body of {len(self.body)} bytes" if self.stream is None else "an iterator as body"
            warnings.append(f"{what} with status {self.status} was dropped")
        if self.body and body_kept and not any(name.lower() == "content-type" for name, _ in headers):
            default = "text/plain; charset=utf-8" if self.is_text else "application/octet-stream"
            headers.append(("Content-Type", default))
        if not body_kept or method == "HEAD":
            return CheckedReply(self.status, headers, b"", warnings, None, None)
        lengths = [value for name, value in headers if name.lower() == "content-length" and self.stream is not None]
        length = int(lengths[0].lstrip("0") or "0") if lengths else None
        return CheckedReply(self.status, headers, self.body, warnings, self.stream, length)

    def _fail(self, rule: str, what: str) -> NoReturn:
        raise ContractFailure(self.target, "returned", rule, what)

    def _items(self, result: Any) -> tuple[Any, ...]:
        if not _is(result, tuple):
            if _is(result, CoroutineType):
                result.close()
                self._fail(
                    "tuple",
                    "a coroutine that was never awaited: expected a tuple (status, body, headers); await it in an "
                    "async def",
                )
            self._fail("tuple", f"{type_name(result)}: expected a tuple (status, body, headers)")
        items: tuple[Any, ...] = (*tuple.__iter__(result),)
        self.types = _types(items)
        if len(items) != 3:
            self._fail("tuple", f"{self.types}: expected 3 items (status, body, headers), found {len(items)}")
        return items

    def _status(self, status: Any) -> int:
        if not _is(status, int) or _is(status, bool):
            self._fail("status", f"{self.types}: expected status to be an int, found {type_name(status)}")
        value = int.__int__(status)
        if not -(2**63) <= value < 2**63:
            self._fail("status", "a status beyond 64 bits: expected 200 to 999")
        if not 200 <= value <= 999:
            self._fail("status", f"status {value}: expected 200 to 999")
        return value

    def _body(self, body: Any) -> bytes:
        if body is None:
            return b""
        if type(body) is bytes:
            return body
        if _is(body, str):
            try:
                return exact(body).encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                self._fail("body", f"a body with {_without_byte(body)}: {PEP_383}")
        if is_binary(body):
            return memoryview(body).tobytes()
        if not is_iterator(body):
            self._fail(
                "body",
                f"{self.types}: expected body to be str, bytes, bytearray, memoryview or None, or an iterator of str "
                f"or bytes, found {type_name(body)}",
            )
        if not self.is_async and is_async_iterator(body):
            self._fail(
                "body",
                f"{self.types}: expected a plain iterator as body, as the handler is no async def, found "
                f"{type_name(body)}",
            )
        self.stream = body
        return b""

    def _lines(self, headers: Any) -> Lines:
        if headers is None:
            return []
        if not _is(headers, dict):
            self._fail("headers", f"{self.types}: expected headers to be a dict or None, found {type_name(headers)}")
        lines: Lines = []
        for name, values in dict.items(headers):
            if not _is(name, str):
                self._fail("header_name", f"a header name of type {type_name(name)}: expected str")
            name = exact(name)
            lines.extend((name, value) for value in self._values(name, values))
        return lines

    def _values(self, name: str, values: Any) -> list[str]:
        if _is(values, str):
            found = [values]
        elif _is(values, list):
            found = [*list.__iter__(values)]
        elif _is(values, tuple):
            found = [*tuple.__iter__(values)]
        else:
            self._fail(
                "header_value",
                f"header {_quote(name)} of type {type_name(values)}: expected str or a list or tuple of str",
            )
        for value in found:
            if not _is(value, str):
                self._fail(
                    "header_value", f"header {_quote(name)} with an item of type {type_name(value)}: expected str"
                )
            bad = BEYOND_LATIN_1.search(exact(value))
            if bad:
                self._fail(
                    "header_value",
                    f"header {_quote(name)} with U+{ord(bad.group()):04X} at index {bad.start()}: expected latin-1 "
                    "text; encode other text first, for example with urllib.parse.quote",
                )
        return [exact(value) for value in found]

    def _check_lines(self) -> None:
        # The server keeps no more lines than that, and so judges no others.
        for name, value in self.lines[:HEADER_LINE_LIMIT]:
            if not TOKEN.fullmatch(name) or len(name) > NAME_LIMIT:
                self._fail("header_name", f"header name {_quote(name)}: expected a token (RFC 9110, 5.6.2)")
            bad = FORBIDDEN_IN_VALUE.search(value)
            if bad:
                self._fail(
                    "header_value",
                    f"header {_quote(name)} with byte \\x{ord(bad.group()):02x} at index {bad.start()}: "
                    "expected a field value (RFC 9110, 5.5)",
                )
        if len(self.lines) > HEADER_LINE_LIMIT:
            self._fail("header_lines", f"{len(self.lines)} header lines: expected at most {HEADER_LINE_LIMIT}")

    def _content_length(self, method: str) -> Lines:
        """The lines with at most one `Content-Length`: the handler's where it may stay, for `HEAD` ours otherwise."""
        others = [line for line in self.lines if line[0].lower() != "content-length"]
        given = [line for line in self.lines if line[0].lower() == "content-length"]
        if self.status in (204, 205):
            return others
        if len(given) > 1:
            self._fail("content_length", f"{len(given)} Content-Length lines: expected at most one")
        if given:
            self._check_content_length(given[0][1], equal=method != "HEAD" and self.status != 304)
            return self.lines
        if method == "HEAD" and self.status != 304 and self.stream is None:
            return [*others, ("Content-Length", str(len(self.body)))]
        return others

    def _check_content_length(self, value: str, *, equal: bool) -> None:
        if self.stream is not None:
            # Nobody knows yet how long the body is, but what counts its bytes has 64 bits.
            number = value.lstrip("0")
            if not DIGITS.fullmatch(value) or (equal and (len(number) > 20 or int(number or "0") >= 2**64)):
                self._fail(
                    "content_length",
                    f"Content-Length {_quote(value, 'latin-1')} with an iterator as body: expected a number of bytes",
                )
            return
        # Compared as text: a number may be longer than what `int` reads.
        right = not equal or (value.lstrip("0") or "0") == str(len(self.body))
        if not DIGITS.fullmatch(value) or not right:
            self._fail(
                "content_length",
                f"Content-Length {_quote(value, 'latin-1')} with a body of {len(self.body)} bytes: "
                "expected them to be equal",
            )

    def _without_hop_by_hop(self, lines: Lines, warnings: list[str]) -> Lines:
        dropped = dict.fromkeys(name for name, _ in lines if name.lower() in HOP_BY_HOP)
        if dropped:
            warnings.append(f"hop-by-hop headers were dropped: {', '.join(dropped)}")
        return [line for line in lines if line[0] not in dropped]


def read_chunk(target: str, chunk: Any, number: int) -> bytes:
    """The bytes of the `number`th chunk, counted from 1, that a body has yielded. Raises `ContractFailure`."""
    if _is(chunk, str):
        try:
            return exact(chunk).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            what = f"a str with {_without_byte(chunk)} (chunk {number}): {PEP_383}"
            raise ContractFailure(target, "yielded", "chunk", what) from None
    if not is_binary(chunk):
        what = f"{type_name(chunk)} (chunk {number}): expected str, bytes, bytearray or memoryview"
        raise ContractFailure(target, "yielded", "chunk", what)
    return memoryview(chunk).tobytes()


def _without_byte(text: str) -> str:
    """The first character that stands for no byte, and where it is."""
    bad = NO_BYTE.search(exact(text))
    return f"U+{ord(bad.group()):04X} at index {bad.start()}" if bad else "another character"


def _is(value: object, kind: type) -> bool:
    return issubclass(type(value), kind)


def is_binary(value: object) -> bool:
    """Whether `value` is of a type whose bytes are sent as they are."""
    return _is(value, bytes) or _is(value, bytearray) or _is(value, memoryview)


def _has(value: object, name: str) -> bool:
    """Whether the type of `value` has a method of this name, whatever the value itself says."""
    return any(name in vars(kind) for kind in type.mro(type(value)))


def exact(text: str) -> str:
    """A `str` of the same characters, whatever a subclass overrides."""
    return str.__str__(text)


def type_name(value: object) -> str:
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name


def _types(items: tuple[Any, ...]) -> str:
    names = [type_name(item) for item in items[:8]]
    if len(items) > len(names):
        names.append("...")
    return f"({', '.join(names)})"


def _quote(text: str, encoding: str = "utf-8") -> str:
    """The bytes of `text` between quotes, what is not printable ASCII as `\\xNN`, long text cut."""
    encoded = text.encode(encoding, "surrogatepass")
    shown = []
    for byte in encoded[:QUOTE_LIMIT]:
        if byte in b'"\\':
            shown.append("\\" + chr(byte))
        elif 0x20 <= byte < 0x7F:
            shown.append(chr(byte))
        else:
            shown.append(f"\\x{byte:02x}")
    if len(encoded) > QUOTE_LIMIT:
        shown.append("...")
    return f'"{"".join(shown)}"'
