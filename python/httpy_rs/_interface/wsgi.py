"""`App`: a WSGI app (PEP 3333) as the server calls it, once for each request, on a worker thread.

What HTTP allows in a reply, how it is sent, and time limits are up to the server.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

from httpy_rs._body import Body
from httpy_rs._contract import FORBIDDEN_IN_VALUE, WITHOUT_BODY
from httpy_rs._interface.message import Headers, ProtocolError, _length, check_size, quote

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Write = Callable[[bytes], None]

_JOINED = 64 * 1024  # maximum bytes of a list of several chunks that is sent as one
_ERRORS = "wsgi.errors"  # the key, and the name of the logger
_COMMON = (
    "accept accept-encoding accept-language authorization cache-control connection cookie host if-modified-since "
    "if-none-match origin pragma range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest "
    "sec-fetch-mode sec-fetch-site sec-fetch-user traceparent upgrade-insecure-requests user-agent x-forwarded-for "
    "x-forwarded-host x-forwarded-proto x-real-ip x-request-id x-requested-with"
)
# The keys of the environ for the two headers without `HTTP_`, and for those that are often sent.
_KEYS = {name.encode(): "HTTP_" + name.upper().replace("-", "_") for name in _COMMON.split()}
_KEYS |= {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


class App:
    """One WSGI app."""

    def __init__(self, target: str, app: Callable[..., Iterable[bytes]], *, multiprocess: bool = False) -> None:
        self._target = target
        self._app = app
        # What each environ has.
        self._fixed: dict[str, Any] = {
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
        }

    def __call__(self, scope: dict[str, Any], body: Body) -> tuple[int, Headers, bytes | Iterator[bytes]]:
        """Runs one request. Returns status, headers and the body: all of it, or an iterator that has `close()`.

        `scope` is that of an ASGI app. Raises what the app raises, and `ProtocolError` if the app breaks a rule.
        """
        errors = _Errors()
        reply = _Reply(self._target, errors, scope["method"] == "HEAD")
        return reply.begin(self._app, self._environ(scope, body, errors))

    def _environ(self, scope: dict[str, Any], body: Body, errors: _Errors) -> dict[str, Any]:
        raw_path: bytes = scope["raw_path"]
        path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
        prefix = ""
        if root := scope["root_path"].encode():
            # A prefix that is not UTF-8 is not found: the app gets the whole path.
            rest = path.removeprefix(root)
            if len(rest) < len(path):
                prefix, path = root.decode("latin-1"), rest
        uri, query = raw_path.decode("latin-1"), scope["query_string"].decode("latin-1")
        if query:
            uri = f"{uri}?{query}"
        client, scheme = scope["client"] or ("", ""), scope["scheme"]
        host, port = scope["server"] or ("", None)
        environ = {
            **self._fixed,
            "REQUEST_METHOD": scope["method"],
            "SCRIPT_NAME": prefix,
            "PATH_INFO": path.decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": uri,
            "REQUEST_URI": uri,
            # Neither of these two may be empty.
            "SERVER_NAME": host or "localhost",
            "SERVER_PORT": str(port or (443 if scheme == "https" else 80)),
            "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
            "REMOTE_ADDR": client[0],
            "REMOTE_PORT": str(client[1]),
            "wsgi.url_scheme": scheme,
            "wsgi.input": _Input(body),
            _ERRORS: errors,
        }
        for name, value in scope["headers"]:
            key = _KEYS.get(name)
            if key is None:
                # `x_a` would have the key of `x-a`, which a proxy may have checked or removed.
                if b"_" in name:
                    continue
                key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
        return environ


class _Reply:
    """What an app gives for one request; the iterator of its chunks if they are streamed."""

    _status = 0
    _headers: Headers
    _length: int | None = None  # what `Content-Length` says
    _is_taken = False  # the head can no longer be replaced
    _iterable: Any = None  # what the app has returned, until it is closed
    _chunks: Iterator[Any]
    _is_ended = False  # no more chunks
    _written: list[bytes] | None = None  # by `write`, and not sent
    _first: bytes | None = None  # the chunk that was taken with the head
    _size = 0  # of the body, up to the last chunk that was taken

    def __init__(self, target: str, errors: _Errors, is_head: bool) -> None:
        self._target = target
        self._errors = errors
        self._is_head = is_head

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Write:
        """The app's `start_response`."""
        if exc_info:
            try:
                if self._is_taken:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # its traceback has this frame
        elif self._status:
            raise ProtocolError("start_response() was called again: expected exc_info with the second call")
        number = _status(status)
        self._headers, self._length = _head(headers)
        self._status = number
        return self._write

    def begin(self, app: Callable[..., Any], environ: dict[str, Any]) -> tuple[int, Headers, bytes | Iterator[bytes]]:
        """Calls the app, and takes the head and the first chunk of the body."""
        try:
            first = self._begun(app(environ, self.start_response))
            if not self._status:
                raise ProtocolError("the app returned a body without a call of start_response()")
            self._is_taken = True
            if self._is_head or self._status in WITHOUT_BODY:
                first, self._is_ended = b"", True
            else:
                self._count(first)
        except BaseException:
            self._close_after("the app failed")
            raise
        if self._is_ended:
            self._close_after("the reply was complete")
            return self._status, self._headers, first
        self._first = first
        return self._status, self._headers, self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk, self._first = self._first, None
        if chunk is None and not self._is_ended:
            chunk = self._next_chunk()
            self._count(chunk)
        if not chunk:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Closes what the app has returned, if that was not done."""
        iterable, self._iterable = self._iterable, None
        # What is left of the body is not for the client.
        self._first, self._is_ended = None, True
        try:
            if iterable is not None and (close := getattr(iterable, "close", None)) is not None:
                close()
        finally:
            self._errors.flush()

    def _close_after(self, what: str) -> None:
        """Closes where an error of that must not replace the reply, or the failure that is raised."""
        try:
            self.close()
        except Exception:
            logging.getLogger(_ERRORS).exception("%s: close() raised after %s", self._target, what)

    def _begun(self, result: Any) -> bytes:
        """The first chunk of what the app has returned; all of a short list."""
        kind = type(result)
        if kind is list or kind is tuple:
            if len(result) == 1:
                self._is_ended = True
                return self._after_written(_bytes(result[0]))
            if sum([len(_bytes(chunk)) for chunk in result]) <= _JOINED:
                self._is_ended = True
                return self._after_written(b"".join(result))
        self._iterable = result
        if getattr(kind, "__iter__", None) is None and getattr(kind, "__getitem__", None) is None:
            raise ProtocolError(f"the app returned {kind.__name__}: expected an iterable of bytes")
        self._chunks = iter(result)
        return self._next_chunk()

    def _next_chunk(self) -> bytes:
        """The next chunk that is not empty, with what was written before it; empty at the end."""
        while True:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                self._is_ended = True
                return self._after_written(b"")
            if data := self._after_written(_bytes(chunk)):
                return data

    def _count(self, chunk: bytes) -> None:
        """Compares the size of the body with its `Content-Length`. The body ends where that is reached."""
        length = self._length
        if length is None:
            return
        self._size += len(chunk)
        if self._size > length or (self._is_ended and self._size < length):
            found = f"{self._size} bytes" if self._is_ended else f"{self._size} bytes or more"
            raise ProtocolError(f"the body has {found}: expected {length}, as its Content-Length says")
        self._is_ended = self._size == length

    def _write(self, data: bytes) -> None:
        if data := _bytes(data):
            self._is_taken = True
            if self._written is None:
                self._written = []
            self._written.append(data)

    def _after_written(self, chunk: bytes) -> bytes:
        if self._written is None:
            return chunk
        written, self._written = self._written, None
        return b"".join([*written, chunk])


class _Input:
    """`wsgi.input`: a `Body` that iterates over lines."""

    __slots__ = ("_body",)

    def __init__(self, body: Body) -> None:
        self._body = body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if line := self._body.readline():
            return line
        raise StopIteration


class _Errors:
    """`wsgi.errors`: logs each line; an unfinished line with `flush()`, or at the end of the request."""

    _line = ""  # the unfinished one
    _is_logging = False

    def write(self, text: str) -> int:
        """Logs the lines that `text` completes."""
        *lines, self._line = f"{self._line}{text}".split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Logs the unfinished line."""
        if self._line:
            line, self._line = self._line, ""
            self._log(line)

    def _log(self, line: str) -> None:
        if self._is_logging:
            # A handler of the app's log writes here, as in the documentation of Flask.
            print(line, file=sys.stderr)
        elif line := line.rstrip():
            self._is_logging = True
            try:
                logging.getLogger(_ERRORS).error("%s", line)
            finally:
                self._is_logging = False


def _status(status: Any) -> int:
    if not isinstance(status, str):
        raise ProtocolError(f"the status is of type {type(status).__name__}: expected str")
    digits = status[:3]
    if not (digits.isascii() and digits.isdigit() and status[3:4] in ("", " ") and 200 <= int(digits) <= 999):
        raise ProtocolError(f"the status is {quote(status)}: expected 200 to 999, a space and a reason")
    return int(digits)


def _head(given: Any) -> tuple[Headers, int | None]:
    """The headers, and what their `Content-Length` says."""
    if not isinstance(given, list):
        raise ProtocolError(f"the headers are of type {type(given).__name__}: expected list")
    headers: Headers = []
    length = None
    size = 0
    for item in given:
        if not isinstance(item, tuple) or len(item) != 2:
            raise ProtocolError(f"a header is {quote(repr(item))}: expected a tuple of name and value")
        name = _latin_1(item[0], b"").lower()
        value = _latin_1(item[1], name)
        if FORBIDDEN_IN_VALUE.search(item[1]):
            raise ProtocolError(f"the value of {quote(name)} is {quote(value)}: expected no control characters")
        if name == b"content-length":
            length = _length(value, length)
        size += len(name) + len(value)
        headers.append((name, value))
    check_size(len(headers), size)
    return headers, length


def _latin_1(text: Any, name: bytes) -> bytes:
    """The bytes of the value of the header `name`; of a header's name, if that is empty."""
    try:
        return str.encode(text, "latin-1")
    except (TypeError, UnicodeEncodeError) as error:
        is_text = isinstance(text, str)
        what = f"the value of {quote(name)}" if name else "the name of a header"
        found = quote(text) if is_text else f"of type {type(text).__name__}"
        expected = "characters up to U+00FF" if is_text else "str"
        raise ProtocolError(f"{what} is {found}: expected {expected}") from error


def _bytes(chunk: Any) -> bytes:
    if type(chunk) is bytes:
        return chunk
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise ProtocolError(f"a chunk of the body is of type {type(chunk).__name__}: expected bytes")
