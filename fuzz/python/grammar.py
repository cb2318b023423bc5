"""Handlers of the fuzz targets: bytes become an object, and a map becomes an init function's result."""

import http
import json

from twin import judge


class Text(str):
    """A `str` that lies wherever it is asked."""

    def __str__(self):
        raise ValueError("str")

    def encode(self, *_):
        return b"lie"

    def __getitem__(self, _):
        return "lie"

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


class Array(bytearray):
    def __bytes__(self):
        return b"lie"

    def __len__(self):
        return 0


class Number(int):
    def __index__(self):
        raise ValueError("index")

    def __int__(self):
        return 204


class Items(tuple):
    def __iter__(self):
        raise ValueError("iter")

    def __len__(self):
        return 3


class Table(dict):
    def items(self):
        raise ValueError("items")

    def __len__(self):
        return 0


class Meta(type):
    @property
    def __name__(cls):
        raise ValueError("name")


class Unnamed(metaclass=Meta):
    """Its type's name cannot be asked for."""


class Posing:
    """Says that it is a tuple."""

    __class__ = tuple


NAMES = ["Content-Length", "content-type", "Connection", "Transfer-Encoding", "X-A", "x-a", "Set-Cookie", "", "a b"]
CODE_POINTS = [0, 9, 10, 13, 34, 92, 127, 128, 255, 256, 0xD800, 0xDC7F, 0xDC80, 0xDCFF, 0xDD00, 0xFFFF, 0x1F600]
STATUSES = [200, 204, 205, 304, 404, 199, 99, 999, 1000, 2**63 - 1, 2**63, -(2**63) - 1, -1, http.HTTPStatus.NOT_FOUND]


class Grammar:
    """Reads bytes as decisions; when they are used up, every decision is 0."""

    def __init__(self, data):
        self._data = iter(data)

    def reply(self):
        """Most often a tuple of three that could be right."""
        kind = self._byte()
        if kind < 192:
            return self._status(), self._body(), self._headers()
        items = [self._value(0) for _ in range(self._byte() % 12)]
        return [tuple(items), Items(items), items, self._value(0), Items((200, "a", {}))][kind % 5]

    def _byte(self):
        return next(self._data, 0)

    def _status(self):
        kind = self._byte()
        if kind < 128:
            return STATUSES[kind % len(STATUSES)]
        return 200 + kind if kind < 224 else Number(kind) if kind < 240 else self._value(0)

    def _body(self):
        kind = self._byte()
        if kind < 96:
            return self._text(may_be_long=True)
        return self._bytes() if kind < 192 else None if kind < 224 else self._value(0)

    def _headers(self):
        kind = self._byte()
        if kind < 32:
            return None
        if kind > 240:
            return self._value(0)
        lines = {}
        for _ in range(self._byte() % 8):
            kind = self._byte()
            name = self._name(kind)
            try:
                lines[name] = self._field()
            except TypeError:  # not hashable
                continue
        return Table(lines) if kind % 16 == 15 else lines

    def _name(self, kind):
        if kind < 160:
            return NAMES[kind % len(NAMES)]
        return self._text(may_be_long=kind % 2 == 0) if kind < 250 else self._value(2)

    def _field(self):
        kind = self._byte()
        if kind < 64:
            return str(kind // 4)
        if kind < 128:
            return self._text()
        if kind < 240:
            values = [self._text() for _ in range(kind % 4)] * [1, 1, 1, 1, 1, 1, 100, 1025][kind // 4 % 8]
            return values if kind % 2 else tuple(values)
        return self._value(1)

    def _text(self, *, may_be_long=False):
        kind = self._byte()
        length = kind % 16
        if kind < 128:
            text = bytes(self._byte() for _ in range(length)).decode("latin-1")
        else:
            text = "".join(chr(CODE_POINTS[self._byte() % len(CODE_POINTS)]) for _ in range(length))
        if may_be_long and kind % 64 == 63:
            text *= 8192
        return Text(text) if kind >= 240 else text

    def _bytes(self):
        kind = self._byte()
        data = bytes(self._byte() for _ in range(kind % 16)) * (8192 if kind % 64 == 63 else 1)
        view = memoryview(data)
        if kind >= 250:
            view.release()
        odd = view if kind >= 250 else view[::2]
        wide = memoryview(data * 8).cast("Q")
        return [data, bytearray(data), memoryview(data), odd, wide, Array(data)][kind // 16 % 6]

    def _value(self, depth):
        kind = self._byte()
        leaves = [None, True, 1.5, Ellipsis, int, Unnamed(), Posing(), Number(200), object()]
        if kind < 64 or depth > 3:
            return leaves[kind % len(leaves)]
        if kind < 96:
            return self._text()
        if kind < 128:
            return self._bytes()
        if kind < 160:
            return self._status() if depth == 0 else 2**kind
        items = [self._value(depth + 1) for _ in range(kind % 4)]
        return [items, tuple(items), Items(items), dict(enumerate(items)), Table(enumerate(items))][kind // 4 % 5]


def returned(method, path, params, query, headers, body: bytes):
    return Grammar(body).reply()


def judged(method, path, params, query, headers, body: bytes):
    verdict = judge(headers["X-Target"][0], headers["X-Method"][0], lambda: Grammar(body).reply())
    return 200, json.dumps(verdict), {}


routes = {}


def set_routes(method, path, params, query, headers, body):
    global routes
    routes = json.loads(body)
    return 204, None, None


def init():
    return routes
