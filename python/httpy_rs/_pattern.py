"""`Pattern`: one route pattern, in axum's or httprouter's syntax, matched against a raw path for its params.

For `httpy_rs.testing` alone: the server's router is axum's. Conflicts between patterns are not this file's matter.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

# A capture takes the rest of its segment, as in axum; what stands before it is literal.
AXUM_SEGMENT = re.compile(r"(?!\*)(?P<literal>(?:[^{}:]|\{\{|\}\})*)(?:\{(?P<star>\*?)(?P<name>[^{}*:<>/?]+)\})?")
HTTPROUTER_SEGMENT = re.compile(r"(?P<literal>[^:*{}]*)(?::(?P<name>[^:*{}<>/]+))")
HTTPROUTER_REST = re.compile(r"\*(?P<name>[^:*{}<>/]+)")

UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Pattern:
    """A pattern; `template` is its spelling in axum's syntax.

    Raises `ValueError` for text that is no pattern.
    """

    def __init__(self, text: str) -> None:
        if not text.startswith("/"):
            raise ValueError(f'route "{text}" does not begin with "/"')
        self.text = text
        self.template = ""
        self._names: list[str] = []
        self._rest = False
        expression = b""
        *others, last = text[1:].split("/")
        for segment in others:
            expression += b"/" + self._read(segment, last=False)
        expression += b"/" + self._read(last, last=True)
        self._expression = re.compile(expression, re.DOTALL)

    def match(self, raw_path: str) -> dict[str, list[str]]:
        """The params of `raw_path`, percent-decoded.

        Raises `ValueError` when the path does not match.
        """
        found = self._expression.fullmatch(raw_path.encode())
        if found is None:
            raise ValueError(f'path "{raw_path}" does not match route "{self.text}"')
        values = [unquote_to_bytes(value).decode("utf-8", "surrogateescape") for value in found.groups()]
        return {name: [value] for name, value in zip(self._names, values, strict=True)}

    def _read(self, segment: str, *, last: bool) -> bytes:
        if self._rest:
            raise ValueError(f'route "{self.text}": a catch-all has to be the last segment')
        self.template += "/"
        rest = HTTPROUTER_REST.fullmatch(segment)
        if rest:
            return self._capture(rest.group("name"), rest=True, last=last)
        found = HTTPROUTER_SEGMENT.fullmatch(segment) or AXUM_SEGMENT.fullmatch(segment)
        if found is None or (segment.startswith("<") and segment.endswith(">")):
            raise ValueError(f'route "{self.text}": "{segment}" is no segment; write {{name}}, :name or {{*rest}}')
        literal = found.group("literal")
        self.template += literal
        expression = _literal(literal.replace("{{", "{").replace("}}", "}"))
        if found.group("name") is None:
            return expression
        rest_of_path = found.groupdict().get("star") == "*"
        if rest_of_path and literal:
            raise ValueError(f'route "{self.text}": a catch-all needs a segment of its own')
        return expression + self._capture(found.group("name"), rest=rest_of_path, last=last)

    def _capture(self, name: str, *, rest: bool, last: bool) -> bytes:
        if name in self._names:
            raise ValueError(f'route "{self.text}" captures "{name}" twice')
        self._names.append(name)
        self._rest = rest
        self.template += f"{{*{name}}}" if rest else f"{{{name}}}"
        if rest:
            return b"(.+)"
        # As in axum: `/{a}/b` takes `//b`, but `/b/{a}` does not take `/b/`.
        return b"([^/]+)" if last else b"([^/]*)"


def _literal(text: str) -> bytes:
    """An expression for `text` as a client may spell it: raw, or percent-encoded where that is usual."""
    parts = []
    for byte in unquote_to_bytes(text):
        raw = re.escape(bytes((byte,)))
        # An encoded slash is not a slash.
        spellings = [] if byte == ord("/") else [raw]
        if byte not in UNRESERVED:
            spellings += [b"%%%02X" % byte, b"%%%02x" % byte]
        parts.append(b"(?:" + b"|".join(spellings) + b")")
    return b"".join(parts)
