"""`Routes`: a route map that has been read as the server reads it, and the route that a request is for.

For `httpy_rs.testing`: the server has its own copy in Rust, and `tests/vectors/routes.json` holds the two together.
How one pattern is read stands in `_pattern`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from httpy_rs._load import LoadError
from httpy_rs._pattern import Path, Pattern
from httpy_rs._response import Response, ResponseHeaders

__tracebackhide__ = True  # pytest leaves the frames of this file out

KNOWN = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
SHOWN = 80  # characters of a text from Python in a message


class Routes:
    """Checked routes.

    Raises `LoadError` of the kind `routes` with all problems of the map, a line each, as the server words them.
    """

    def __init__(self, entries: Iterable[tuple[str, list[str]]]) -> None:
        self._problems: list[str] = []
        # By the canonical path; each route's methods in the order in which they were given.
        self._methods: dict[str, list[str]] = {}
        # A path, the route that it belongs to, and its pattern as Python wrote it.
        self._paths: list[tuple[Path, str, str]] = []
        for pattern, methods in entries:
            self._add(pattern, methods)
        if self._problems:
            raise LoadError("routes", "\n".join(self._problems))
        self._paths.sort(key=lambda entry: entry[0].order)

    def find(self, method: str, raw_path: str) -> Path | Response:
        """The path that a request is for; where there is none, the response that it gets."""
        for path, route, _ in self._paths:
            if path.matches(raw_path):
                allowed = self._allowed(route)
                if method in allowed:
                    return path
                return Response(405, ResponseHeaders([("Allow", ",".join(allowed))]), [], [])
        return Response(404, ResponseHeaders([]), [], [])

    def _allowed(self, route: str) -> list[str]:
        """`HEAD` comes with `GET`."""
        both = [(method, "HEAD") if method == "GET" else (method,) for method in self._methods[route]]
        return list(dict.fromkeys(method for methods in both for method in methods))

    def _add(self, given: str, names: list[str]) -> None:
        if _known(given):
            return self._problem(
                given,
                "it is a method where a pattern was expected: the map is {route: [methods]}, RouteMap::transpose turns "
                "the other arrangement round",
            )
        methods = self._read_methods(given, names)
        try:
            pattern = Pattern(given)
        except ValueError as problem:
            return self._problem(given, str(problem))
        route = pattern.paths[0].template
        is_new = route not in self._methods
        known = self._methods.setdefault(route, [])
        known += [method for method in methods if method not in known]
        if is_new:
            self._insert(given, route, pattern.paths)
        return None

    def _read_methods(self, given: str, names: list[str]) -> list[str]:
        all_known = ", ".join(KNOWN)
        if not names:
            self._problem(given, f"it has no methods: give at least one of {all_known}")
        methods = []
        for name in names:
            method = _known(name)
            if method:
                methods.append(method)
            elif name.isascii() and name.upper() == "CONNECT":
                self._problem(
                    given, "CONNECT asks a proxy for a tunnel and is answered with 405: a route cannot have it"
                )
            else:
                self._problem(given, f"{_show(name)} is not one of {all_known}")
        return list(dict.fromkeys(methods))

    def _insert(self, given: str, route: str, paths: list[Path]) -> None:
        for path in paths:
            other = next((other for known, _, other in self._paths if _conflict(path, known)), None)
            if other is not None:
                self._problem(given, f"it conflicts with {_show(other)}: some paths would match both alike")
                return
            self._paths.append((path, route, given))

    def _problem(self, given: str, problem: str) -> None:
        self._problems.append(f"{_show(given)}: {problem}")


def _conflict(one: Path, other: Path) -> bool:
    """Whether the router would not know which of two paths to take."""
    for left, right in zip(one.order, other.order, strict=False):
        if left != right:
            # A capture of one segment beside one of the rest of the path.
            return left[0] > 0 and right[0] > 0
    return len(one.order) == len(other.order)


def _known(name: str) -> str:
    """The method of this name, in any case; empty where there is none."""
    method = name.upper() if name.isascii() else ""
    return method if method in KNOWN else ""


def _show(text: str) -> str:
    """A text from Python on one line, quoted, and no longer than is good to read."""
    shown = json.dumps(text[:SHOWN], ensure_ascii=False)
    return f"{shown}..." if len(text) > SHOWN else shown
