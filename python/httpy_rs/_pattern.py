"""`Pattern`: one route's path as Python wrote it, read into the paths that the server's router is given.

Accepts axum's syntax and httprouter's, with axum's meaning. For `httpy_rs.testing`: the server has its own copy in
Rust, and `tests/vectors/routes.json` holds the two together. Whether two patterns conflict is decided in `_route`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

__tracebackhide__ = True  # pytest leaves the frames of this file out

MAX_LENGTH = 8 * 1024  # bytes
MAX_CAPTURES = 25
AXUM_PRIVATE = "__private__axum"

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
ESCAPE = re.compile(r"[0-9A-Fa-f]{2}")
MORE_CAPTURES = re.compile(r"[{:*<]")
# RFC 3986: what means the same with and without an escape, and what may stand raw but means something else then.
UNRESERVED = re.compile(r"[0-9A-Za-z\-._~]")
RESERVED = re.compile(r"[!$&'()*+,;=:@]")
RAW = b':*"[]\\^|'  # what some clients send without an escape, and others with one
FORBIDDEN = {
    "?": "a `?` begins the query, which is no part of a pattern (a literal one is written `%3F`)",
    "#": "a `#` never reaches a server (a literal one is written `%23`)",
    "*": "a `*` begins a catch-all only after `/`: write `{*name}` (a literal one is written `%2A`)",
    "}": "a `}` closes nothing (a literal brace is written `}}`)",
} | {
    character: f"`{character}` cannot stand raw in a path, and a pattern is no regular expression (a literal one is "
    f"written `%{ord(character):02X}`)"
    for character in r">[]\^|"
}

# One byte of a literal, and whether it is written `%XX` where the spelling is an encoded one.
Literal = list[tuple[int, bool]]


class Capture(NamedTuple):
    """`{name}`, or `{*name}` for the rest of the path."""

    name: str
    rest: bool


class Path:
    """A path in axum's syntax, one spelling of a pattern: what `httpy_rs.request().route` is when it has matched."""

    def __init__(self, segments: list[tuple[str, Capture | None]]) -> None:
        self.template = expression = ""
        # Of two paths that match, the router takes the one with a literal where the other has a capture.
        self.order: list[tuple[int, str]] = []
        self._names = []
        for number, (literal, capture) in enumerate(segments, start=1):
            self.template += "/" + literal.replace("{", "{{").replace("}", "}}")
            expression += "/" + re.escape(literal)
            self.order += [(0, character) for character in f"/{literal}"]
            if capture is None:
                continue
            name, rest = capture
            self.template += f"{{*{name}}}" if rest else f"{{{name}}}"
            # As in axum: `/{a}/b` takes `//b`, but `/b/{a}` does not take `/b/`.
            expression += "(.+)" if rest else "([^/]+)" if number == len(segments) else "([^/]*)"
            self.order.append((2 if rest else 1, ""))
            self._names.append(name)
        self._expression = re.compile(expression, re.DOTALL)

    def matches(self, raw_path: str) -> bool:
        """Whether a path, as a client sends it, is for this one."""
        return self._expression.fullmatch(raw_path) is not None

    def match(self, raw_path: str) -> dict[str, list[str]]:
        """The params of a path, percent-decoded; raises `ValueError` where it does not match."""
        found = self._expression.fullmatch(raw_path)
        if found is None:
            raise ValueError(f'path "{raw_path}" does not match route "{self.template}"')
        values = [unquote_to_bytes(value).decode("utf-8", "surrogateescape") for value in found.groups()]
        return {name: [value] for name, value in zip(self._names, values, strict=True)}


class Pattern:
    """A pattern. Its `paths` together match every spelling of its literal parts; the first one is canonical.

    Raises `ValueError`, which says what is wrong and how it should be written, without repeating the pattern.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        length = len(text.encode())
        if length > MAX_LENGTH:
            raise ValueError(f"the pattern has {length} bytes, more than {MAX_LENGTH}")
        control = CONTROL.search(text)
        if control:
            raise ValueError(f"the control character {control[0]!r} cannot stand in a path")
        if not text.startswith("/"):
            raise ValueError("a pattern must begin with `/`")
        segments = [_segment(segment) for segment in text[1:].split("/")]
        _check([capture for _, capture in segments])
        paths = [Path([(write(literal), capture) for literal, capture in segments]) for write in (_upper, _lower, _raw)]
        self.paths = list({path.template: path for path in paths}.values())

    def find(self, raw_path: str) -> Path:
        """The path that a path, as a client sends it, is for; raises `ValueError` where none is."""
        for path in self.paths:
            if path.matches(raw_path):
                return path
        raise ValueError(f'path "{raw_path}" does not match route "{self.text}"')

    def match(self, raw_path: str) -> dict[str, list[str]]:
        """The params of a path, percent-decoded; raises `ValueError` where it does not match."""
        return self.find(raw_path).match(raw_path)


def _check(captures: list[Capture | None]) -> None:
    names: set[str] = set()
    for number, capture in enumerate(captures, start=1):
        if capture is None:
            continue
        if capture.rest and number < len(captures):
            raise ValueError(f"the catch-all `{{*{capture.name}}}` must be the end of the pattern")
        if capture.name in names:
            raise ValueError(f"two captures are named `{capture.name}`")
        names.add(capture.name)
    if len(names) > MAX_CAPTURES:
        raise ValueError(f"the pattern has {len(names)} captures, more than {MAX_CAPTURES}")


def _segment(text: str) -> tuple[Literal, Capture | None]:
    literal: Literal = []
    place = 0
    while place < len(text):
        character, after = text[place], text[place + 1 :]
        place += 1
        if character in "{}" and after.startswith(character):
            literal += _written(character)
            place += 1
        elif character == "{":
            return literal, _braced(after)
        elif character == ":" or (character == "*" and not literal):
            return literal, _bare(after, rest=character == "*")
        elif character == "<":
            raise ValueError(_angled(text[: place - 1], after))
        elif character in FORBIDDEN:
            raise ValueError(FORBIDDEN[character])
        elif character == "%":
            digits = ESCAPE.match(after)
            if digits is None:
                raise ValueError("a `%` must be followed by two hex digits (a literal one is written `%25`)")
            byte = int(digits[0], 16)
            literal.append((byte, not UNRESERVED.match(chr(byte))))
            place += 2
        else:
            literal += _written(character)
    return literal, None


def _written(character: str) -> Literal:
    plain = UNRESERVED.match(character) or RESERVED.match(character)
    return [(byte, not plain) for byte in character.encode()]


def _braced(text: str) -> Capture:
    """axum's `{name}` or `{*name}`, from after the brace to the end of the segment."""
    inner, brace, after = text.partition("}")
    # A regular expression with a slash in it is cut off here: name that, not its brace.
    if not brace and ":" not in text:
        raise ValueError("a `{` is never closed (a literal brace is written `{{`)")
    name = inner.removeprefix("*")
    _check_name(name)
    if MORE_CAPTURES.search(after):
        raise ValueError("a segment can have one capture only")
    if after:
        raise _text_after(name, after)
    return Capture(name, inner.startswith("*"))


def _bare(text: str, *, rest: bool) -> Capture:
    """httprouter's `:name` or `*name`, from after its first character to the end of the segment."""
    more = MORE_CAPTURES.search(text)
    if more:
        raise ValueError(
            "a segment can have one capture only"
            if more.start()
            else "a capture has no name: write `{name}` or `:name`"
        )
    _check_name(text)
    name, dot, after = text.partition(".")
    if dot:
        raise _text_after(name, f".{after}")
    return Capture(name, rest)


def _angled(before: str, after: str) -> str:
    """What to write in place of Flask's `<name>` or `<type:name>`."""
    inner, closed, _ = after.partition(">")
    kind, _, name = (inner if closed else "").rpartition(":")
    try:
        _check_name(name)
    except ValueError:
        return "`<` cannot stand raw in a path (a literal one is written `%3C`)"
    if kind == "path":
        return f"`<{inner}>` is no capture: write `/{before}{{*{name}}}`"
    return f"`<{inner}>` is no capture: write `/{before}{{{name}}}` or `/{before}:{name}`"


def _text_after(name: str, after: str) -> ValueError:
    return ValueError(f"a capture must end its segment: write `{{{name}}}` and take `{after}` off in the handler")


def _check_name(name: str) -> None:
    if not name:
        raise ValueError("a capture has no name: write `{name}` or `:name`, for the rest of a path `{*name}`")
    first, colon, kind = name.partition(":")
    if colon and kind == "path":
        raise ValueError(f"a capture has no type: write `{{*{first}}}` for the rest of the path")
    if colon:
        raise ValueError(
            f"a capture has no type and no expression: write `{{{first}}}` and check the value in the handler"
        )
    if name.endswith("?"):
        raise ValueError(f"a capture cannot be optional: write one pattern with `{{{name[:-1]}}}` and one without")
    for character in name:
        if not character.isalnum() and character not in "_-.":
            raise ValueError(f"the name of a capture has letters, digits, `_`, `-` and `.` only, found `{character}`")
    if name.startswith(AXUM_PRIVATE):
        raise ValueError(f"names that begin with `{AXUM_PRIVATE}` belong to axum")


def _encoded(literal: Literal, escape: Callable[[int], str]) -> str:
    return "".join(escape(byte) if escaped else chr(byte) for byte, escaped in literal)


def _upper(literal: Literal) -> str:
    """The same for all spellings of one literal: `caf%C3%A9`."""
    return _encoded(literal, "%{:02X}".format)


def _lower(literal: Literal) -> str:
    return _encoded(literal, "%{:02x}".format)


def _raw(literal: Literal) -> str:
    """As a client sends it that escapes only what it must: `café`."""
    spelled = b""
    for index, (byte, escaped) in enumerate(literal):
        # axum takes no segment that begins with `:` or `*`.
        is_raw = byte >= 0x80 or byte in b"{}" or (byte in RAW and not (index == 0 and byte in b":*"))
        spelled += b"%%%02X" % byte if escaped and not is_raw else bytes((byte,))
    # What is not UTF-8 no request can have raw.
    text = spelled.decode("utf-8", "surrogateescape")
    return re.sub("[\udc80-\udcff]", lambda found: f"%{ord(found[0]) - 0xDC00:02X}", text)
