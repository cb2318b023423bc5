"""`App`: a WSGI app (PEP 3333) as the server calls it, once for each request, on a worker thread.

What HTTP allows in a reply, how it is sent, and time limits are up to the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

from httpy_rs._body import Body
from httpy_rs._contract import WITHOUT_BODY
from httpy_rs._interface.message import Headers, ProtocolError, check_size, quote

_JOINED = 64 * 1024  # bytes of a list of chunks that is sent as one
# Names of headers that stand in the environ without `HTTP_`, and those that most requests have.
_KEYS = {
    b"content-type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
    **{
        name: "HTTP_" + name.decode().upper().replace("-", "_")
        for name in (b"host", b"user-agent", b"accept", b"cookie")
    },
}

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Write = Callable[[bytes], object]


class App:
    """One WSGI app."""

    def __init__(self, app: Callable[..., Iterable[bytes]], *, multiprocess: bool = False) -> None:
        self._app = app
        # What is the same in each environ.
        self._fixed = {
            "wsgi.version": (1, 0),
            "wsgi.errors": _Errors(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
        }

    def __call__(self, scope: dict[str, Any], body: Body) -> tuple[int, Headers, bytes | Iterator[bytes]]:
        """Status, headers, and the body: whole, or an iterator of its chunks that has to be closed.

        `scope` is that of an ASGI app. Raises what the app raises, and `ProtocolError` if it breaks a rule.
        """
        reply = _Reply(scope["method"] == "HEAD")
        return reply.begin(self._app(self._environ(scope, body), reply.start_response))

    def _environ(self, scope: dict[str, Any], body: Body) -> dict[str, Any]:
        raw_path: bytes = scope["raw_path"]
        path, prefix = unquote_to_bytes(raw_path), scope["root_path"].encode()
        query = scope["query_string"].decode("latin-1")
        uri = raw_path.decode("latin-1")
        if query:
            uri = f"{uri}?{query}"
        client, server = scope["client"] or ("", ""), scope["server"] or ("localhost", 80)
        environ = {
            **self._fixed,
            "REQUEST_METHOD": scope["method"],
            "SCRIPT_NAME": prefix.decode("latin-1"),
            "PATH_INFO": path.removeprefix(prefix).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": uri,
            "REQUEST_URI": uri,
            "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]),
            "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
            "REMOTE_ADDR": client[0],
            "REMOTE_PORT": str(client[1]),
            "wsgi.url_scheme": scope["scheme"],
            "wsgi.input": _Input(body),
        }
        for name, value in scope["headers"]:
            key = _KEYS.get(name)
            if key is None:
                # It would stand for the one with a hyphen.
                if b"_" in name:
                    continue
                key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
            text = value.decode("latin-1")
            before = environ.get(key)
            environ[key] = text if before is None else f"{before},{text}"
        return environ


class _Reply:
    """What an app gives for one request; the iterator of its chunks, where it is streamed."""

    def __init__(self, is_head: bool) -> None:
        self._is_head = is_head
        self._status = 0
        self._headers: Headers = []
        self._length: int | None = None
        # The head was taken: it can no longer be replaced.
        self._is_taken = False
        # What `write` was given and was not sent.
        self._written: list[bytes] = []
        self._first: bytes | None = None
        self._sent = 0
        self._iterable: Any = None
        self._chunks: Iterator[bytes] = iter(())

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Write:
        """The app's `start_response`."""
        if exc_info is not None:
            try:
                if self._is_taken:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # which refers to this frame
        elif self._status:
            raise ProtocolError("start_response() was called again without exc_info")
        self._status = _status(status)
        self._headers, self._length = _headers(headers)
        return self._write

    def begin(self, result: Any) -> tuple[int, Headers, bytes | Iterator[bytes]]:
        """The reply that begins with what the app has returned."""
        self._iterable = result
        try:
            body = self._joined(result)
            if body is None:
                self._chunks = iter(result)
                first = self._next_chunk()
                body = b"" if first is None else first
                is_whole = first is None or (self._length is not None and len(first) >= self._length)
            else:
                is_whole = True
            if not self._status:
                raise ProtocolError("the app returned its first chunk without a call of start_response()")
            self._is_taken = True
            if self._is_head or self._status in WITHOUT_BODY:
                body, is_whole = b"", True
        except BaseException:
            self._close_quietly()
            raise
        if is_whole:
            self.close()
            return self._status, self._headers, body
        self._first = body
        return self._status, self._headers, self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk, self._first = self._first, None
        if chunk is None and (self._length is None or self._sent < self._length):
            chunk = self._next_chunk()
        if chunk is None:
            raise StopIteration
        self._sent += len(chunk)
        return chunk

    def close(self) -> None:
        """Closes what the app has returned, once."""
        iterable, self._iterable = self._iterable, None
        close = getattr(iterable, "close", None)
        if close is not None:
            close()

    def _close_quietly(self) -> None:
        """After a failure, which is the one to be reported."""
        try:
            self.close()
        except BaseException as error:
            from httpy_rs._exception import unraisable

            unraisable(error)

    def _joined(self, result: Any) -> bytes | None:
        """All of a body that is a short list."""
        if type(result) is not list and type(result) is not tuple:
            return None
        if len(result) != 1 and sum(len(_bytes(chunk)) for chunk in result) > _JOINED:
            return None
        written, self._written = self._written, []
        return b"".join([*written, *map(_bytes, result)])

    def _next_chunk(self) -> bytes | None:
        """The next chunk that is not empty, with what was written before it; `None` at the end."""
        while True:
            chunk = next(self._chunks, None)
            data = b"" if chunk is None else _bytes(chunk)
            if self._written:
                written, self._written = self._written, []
                data = b"".join([*written, data])
            if data or chunk is None:
                return data or None

    def _write(self, data: bytes) -> None:
        self._written.append(_bytes(data))


class _Input:
    """`wsgi.input`: the body by lines, as a file."""

    def __init__(self, body: Body) -> None:
        self.read = body.read
        self.readline = body.readline
        self.readlines = body.readlines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


class _Errors:
    """`wsgi.errors`: lines for the log."""

    def write(self, text: str) -> int:
        """Logs it, but for the end of its line."""
        import logging

        if line := text.rstrip():
            logging.getLogger("wsgi.errors").error("%s", line)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Logs each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing is kept back."""


def _status(status: Any) -> int:
    if not isinstance(status, str):
        raise ProtocolError(f"the status is of type {type(status).__name__}: expected str")
    digits = status[:3]
    if not (digits.isascii() and digits.isdigit() and status[3:4] in ("", " ") and 200 <= int(digits) <= 999):
        raise ProtocolError(f"the status is {quote(status)}: expected 200 to 999, a space and a reason")
    return int(digits)


def _headers(given: Any) -> tuple[Headers, int | None]:
    """The headers, and what their `Content-Length` says."""
    if not isinstance(given, list):
        raise ProtocolError(f"the headers are of type {type(given).__name__}: expected list")
    headers: Headers = []
    length = None
    for item in given:
        try:
            name, value = item
            line = name.encode("latin-1").lower(), value.encode("latin-1")
        except (AttributeError, TypeError, ValueError) as error:
            raise ProtocolError(
                f"a header is {quote(repr(item))}: expected a name and a value of latin-1 text"
            ) from error
        if line[0] == b"content-length" and line[1].isdigit():
            length = int(line[1][:18])
        headers.append(line)
    check_size(len(headers), sum(len(name) + len(value) for name, value in headers))
    return headers, length


def _bytes(chunk: Any) -> bytes:
    if type(chunk) is bytes:
        return chunk
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise ProtocolError(f"a chunk of the body is of type {type(chunk).__name__}: expected bytes")
