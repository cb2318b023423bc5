"""Python's `logging`, and its standard streams where that was asked for, on their way to the server's log.

What is logged becomes plain text here, on the thread that logs, and is handed over (`Sink`); what becomes of it, and
when, is the server's business. Nothing here waits for anybody.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from httpy_rs._exception import clean, describe
from httpy_rs._report import LOGGER
from httpy_rs._request import Request, _current

NAME_LIMIT = 256  # characters of a logger's name, of a field's name
FIELD_LIMIT = 1024  # characters of one field's text
FIELDS_LIMIT = 32
LINE_LIMIT = 8 * 1024  # characters of one line of a stream
SHORT = 16 * 1024  # ASCII text up to here needs no look at its bytes

# What every record has; the rest was given as `extra`, or by a record factory.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_LEVEL_NAMES = frozenset(("DEBUG", "INFO", "WARNING", "ERROR"))


class Sink:
    """Where texts go, and which request they belong to; both are the server's."""

    def __init__(
        self,
        record: Callable[..., bool],
        line: Callable[[str, str, Any], bool],
        span: Callable[[object], Any],
    ) -> None:
        # Both are false when nobody listens: the text is still to be shown then.
        self.record = record
        self.line = line
        self._span = span
        self.forked = False
        os.register_at_fork(after_in_child=self._note_fork)

    def _note_fork(self) -> None:
        # The server's threads are not in a forked child, and what they have locked stays locked there.
        self.forked = True

    def span(self) -> Any:
        """What the server knows the request by that is handled in this context."""
        current = _current.get(None)
        token = current._token if type(current) is Request else current
        return None if token is None else self._span(token)


class Bridge(logging.Handler):
    """The handler on the root logger."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink
        # The level that the root logger has by nobody's choice: CPython's own, or what was set here.
        self._root_level: int | None = logging.WARNING

    def install(self, level: int) -> None:
        root = logging.getLogger()
        if root.handlers:
            self._root_level = None  # whoever added them has decided what they get
        root.addHandler(self)
        self.set_level(level)
        self._wrap_basic_config()

    def set_level(self, level: int) -> None:
        """Takes no records below `level`, and lets the root logger pass on what is wanted from there on.

        A logger's level that somebody has set stays as it is. Never above CPython's own WARNING: handlers that the app
        adds are not to miss what they would have in any other program.
        """
        self.setLevel(level)
        root = logging.getLogger()
        if root.level == self._root_level and self in root.handlers:
            root.setLevel(min(level, logging.WARNING))
            self._root_level = root.level

    def handle(self, record: logging.LogRecord) -> Any:
        if record.name == LOGGER:
            return False  # the server has logged it
        # Without the handler's lock: what formats a message may wait for another thread that logs.
        kept = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        try:
            taken = not self._sink.forked and self._push(record)
        except RecursionError:  # as the standard library's handlers: there is no room to tell of it
            raise
        except Exception:
            self.handleError(record)
            return
        if not taken:
            last = logging.lastResort
            if last is not None and record.levelno >= last.level:
                last.handle(record)

    def _push(self, record: logging.LogRecord) -> bool:
        try:
            message = _short(record.getMessage())
        except Exception as error:
            message = f"<the message cannot be formatted: {_summary(error)}> {_text(record.msg)}"
        fields = record.__dict__
        extra = _extra(fields) if len(fields) > len(_STANDARD) - 2 else None
        level_name = record.levelname
        return self._sink.record(
            record.levelno,
            None if level_name in _LEVEL_NAMES else _short(str(level_name)[:NAME_LIMIT]),
            _short(str(record.name)[:NAME_LIMIT]),
            message,
            _short(f"{record.pathname}:{record.lineno}"),
            extra,
            _exception(record),
            _short(record.stack_info) if record.stack_info else None,
            self._sink.span(),
        )

    def _wrap_basic_config(self) -> None:
        """`basicConfig` does nothing where the root logger has a handler. With this one alone it sets the level, and an
        app that names a destination of its own gets it."""
        configure = logging.basicConfig

        def basic_config(**options: Any) -> None:
            root = logging.getLogger()
            if root.handlers == [self]:
                if not (options.get("force") or options.keys() & {"filename", "stream", "handlers"}):
                    if options.get("level") is not None:
                        root.setLevel(options["level"])
                    return
                root.removeHandler(self)
                if root.level == self._root_level:
                    root.setLevel(logging.WARNING)
            configure(**options)

        logging.basicConfig = basic_config


class Lines(io.TextIOBase):
    """In place of a standard stream: each complete line goes to the log. A line belongs to one thread.

    It has all that `io.TextIOWrapper` has, since that is what code expects of `sys.stdout`.
    """

    def __init__(self, name: str, stream: Any, sink: Sink) -> None:
        self.stream = stream  # what it was, for what is not text
        self._name = name
        self._sink = sink
        self._local = threading.local()
        self._open: WeakSet[_Line] = WeakSet()

        self.name = f"<{name}>"

    # Text becomes a line of the log as it is, whatever these say.
    encoding = "utf-8"
    errors = "surrogateescape"
    mode = "w"
    line_buffering = True
    write_through = False

    @property
    def buffer(self) -> Any:
        return self.stream.buffer

    def detach(self) -> Any:
        """The buffer. The stream goes on."""
        return self.stream.buffer

    def reconfigure(
        self,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        line_buffering: bool | None = None,
        write_through: bool | None = None,
    ) -> None:
        """Checks its arguments, and notes them for who asks."""
        if encoding is not None:
            codecs.lookup(encoding)
            self.encoding = encoding
            self.errors = "strict" if errors is None else errors
        elif errors is not None:
            self.errors = errors
        if line_buffering is not None:
            self.line_buffering = bool(line_buffering)
        if write_through is not None:
            self.write_through = bool(write_through)

    def fileno(self) -> int:
        number: int = self.stream.fileno()
        return number

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        line = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = _Line(self._push)
            self._open.add(line)
        line.write(text)
        return len(text)

    def flush(self) -> None:
        """Nothing: half a line is no event."""

    def finish(self) -> None:
        """Ends the lines that are still open."""
        for line in list(self._open):
            line.end()

    def _push(self, text: str) -> None:
        if self._sink.forked or not self._sink.line(self._name, _short(text), self._sink.span()):
            self.stream.write(text + "\n")


class _Line:
    """What one thread has written since its last line ended."""

    def __init__(self, push: Callable[[str], None]) -> None:
        self._push = push
        self._text = ""

    def write(self, text: str) -> None:
        # Taken out in two steps between which no other code runs: a destructor that runs below this may write, too.
        text = self._text + text
        self._text = ""
        *complete, rest = text.split("\n")
        for line in complete:
            self._pieces(line)
        while len(rest) > LINE_LIMIT:
            self._push(rest[:LINE_LIMIT])
            rest = rest[LINE_LIMIT:]
        self._text = rest + self._text

    def _pieces(self, line: str) -> None:
        for start in range(0, len(line), LINE_LIMIT):  # an empty line is none
            self._push(line[start : start + LINE_LIMIT])

    def end(self) -> None:
        text, self._text = self._text, ""
        if text:
            self._push(text)

    __del__ = end


def install(sink: Sink, level: int, always: bool) -> Callable[[int], None] | None:
    """Puts the bridge on the root logger; its `set_level`. Unless `always`, not where the root logger has a handler."""
    if logging.getLogger().handlers and not always:
        return None
    bridge = Bridge(sink)
    bridge.install(level)
    return bridge.set_level


def capture_streams(sink: Sink) -> None:
    """Puts `Lines` in place of both standard streams."""
    import atexit

    for name in ("stdout", "stderr"):
        lines = Lines(name, getattr(sys, name), sink)
        setattr(sys, name, lines)
        # Registered before any app code, and so run after all of it.
        atexit.register(lines.finish)


def _short(text: str) -> str:
    return text if len(text) <= SHORT and text.isascii() else clean(text)


def _summary(error: BaseException) -> str:
    kind, message, _, _ = describe(error)
    return f"{kind}: {message[:FIELD_LIMIT]}"


def _text(value: object) -> str:
    """A short text for any object."""
    import reprlib

    try:
        return clean((value if isinstance(value, str) else reprlib.repr(value))[:FIELD_LIMIT])
    except Exception as error:
        return f"<{type(error).__name__} in repr()>"


def _exception(record: logging.LogRecord) -> str | None:
    if record.exc_info and record.exc_info[1] is not None:
        return describe(record.exc_info[1])[2]
    return _short(record.exc_text) if record.exc_text else None


def _extra(fields: dict[str, Any]) -> str | None:
    """What was given as `extra`, as a JSON object."""
    given: dict[str, Any] = {}
    left_out = 0
    for name, value in list(fields.items()):
        if name in _STANDARD:
            continue
        if len(given) == FIELDS_LIMIT:
            left_out += 1
        else:
            given[_short(str(name)[:NAME_LIMIT])] = _field(value)
    if not given:
        return None
    if left_out:
        given["..."] = f"{left_out} fields left out"
    import json

    return json.dumps(given, ensure_ascii=False)


def _field(value: Any) -> Any:
    kind = type(value)
    if value is None or kind is bool or (kind is int and -(2**63) <= value < 2**63):
        return value
    if kind is float and value - value == 0:  # JSON has no infinity
        return value
    return _text(value)
