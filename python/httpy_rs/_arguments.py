"""`Arguments`: the six arguments of a handler, built from a request as the server builds them.

For `httpy_rs.testing`; `tests/vectors/requests.json` holds this and the server's code together. How a pattern captures
its params stands in `_pattern`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlencode

from httpy_rs._contract import FORBIDDEN_IN_VALUE, TOKEN
from httpy_rs._pattern import Path, Pattern

__tracebackhide__ = True  # pytest leaves the frames of this file out

NOT_IN_TARGET = re.compile(r"[\x00-\x20\x7f#]")

Pairs = Mapping[str, str | list[str]] | Iterable[tuple[str, str]] | None
"""Headers or a query: name to one value or a list of values, or pairs of name and value."""


class Arguments(NamedTuple):
    """What a handler is called with, in this order."""

    method: str
    path: str
    params: dict[str, list[str]]
    query: dict[str, list[str]]
    headers: dict[str, list[str]]
    body: str | bytes


def arguments(
    method: str,
    target: str,
    route: Pattern | Path | None,
    headers: Pairs,
    body: str | bytes,
    *,
    wants_bytes: bool,
) -> Arguments:
    """The six arguments for a request.

    Raises `ValueError` for what no server would let through to a handler.
    """
    if not TOKEN.fullmatch(method):
        raise ValueError(f"method {method!r}: expected a token (RFC 9110, 5.6.2)")
    if NOT_IN_TARGET.search(target) or not (target.startswith("/") or target == "*"):
        raise ValueError(f'target {target!r}: expected a path that begins with "/", blanks and "#" percent-encoded')
    raw_path, _, raw_query = target.partition("?")
    sent = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else bytes(body)
    return Arguments(
        method,
        _decode(raw_path),
        {} if route is None else route.match(raw_path),
        _query(raw_query),
        _headers(headers),
        sent if wants_bytes else sent.decode("utf-8", "surrogateescape"),
    )


def with_query(target: str, query: Pairs) -> str:
    """`target` with `query`, encoded, behind the query that it has already."""
    encoded = urlencode(list(_pairs(query, "query parameter")), errors="surrogateescape")
    if not encoded:
        return target
    return f"{target}{'&' if '?' in target else '?'}{encoded}"


def _decode(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def _query(text: str) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for piece in filter(None, text.replace("+", " ").split("&")):
        name, _, value = piece.partition("=")
        query.setdefault(_decode(name), []).append(_decode(value))
    return query


def _headers(given: Pairs) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in _pairs(given, "header"):
        if not TOKEN.fullmatch(name):
            raise ValueError(f"header name {name!r}: expected a token (RFC 9110, 5.6.2)")
        value.encode("latin-1")  # raises UnicodeEncodeError, which is a ValueError
        if FORBIDDEN_IN_VALUE.search(value):
            raise ValueError(f"header {name!r} with {value!r}: expected a field value (RFC 9110, 5.5)")
        headers.setdefault(_canonical(name), []).append(value.strip(" \t"))
    if "Cookie" in headers:
        headers["Cookie"] = ["; ".join(headers["Cookie"])]
    headers.setdefault("Host", ["testserver"])
    return headers


def _pairs(given: Pairs, what: str) -> Iterable[tuple[str, str]]:
    if given is None:
        return
    for name, values in given.items() if isinstance(given, Mapping) else given:
        if not isinstance(name, str):
            raise TypeError(f"{what} name {name!r} is {type(name).__name__}: expected str")
        for value in values if isinstance(values, (list, tuple)) else [values]:
            if not isinstance(value, str):
                raise TypeError(f"{what} {name!r} is {type(value).__name__}: expected str, or a list of str")
            yield name, value


def _canonical(name: str) -> str:
    """First letter and each after `-` upper case, as Go's net/http writes names."""
    return "-".join(part.capitalize() for part in name.split("-"))
