"""What of a record or of a line is handed over; no server takes part."""

from __future__ import annotations

import io
import logging
import threading
from typing import Any

import pytest

from httpy_rs._logging import LINE_LIMIT, Bridge, Lines, Sink, install


class Taken:
    """A sink that keeps what it gets."""

    def __init__(self, listens: bool = True) -> None:
        self.records: list[tuple[Any, ...]] = []
        self.lines: list[str] = []
        self.listens = listens
        self.sink = Sink(self.record, self.line, lambda token: None)

    def record(self, *parts: Any) -> bool:
        self.records.append(parts)
        return self.listens

    def line(self, name: str, text: str, span: int | None) -> bool:
        self.lines.append(text)
        return self.listens


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """A root logger for this test alone."""
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(logging, "basicConfig", logging.basicConfig)
    return root


def test_the_root_logger_passes_on_what_is_wanted(root: logging.Logger) -> None:
    root.handlers.clear()  # pytest's
    taken = Taken()
    set_level = install(taken.sink, logging.INFO, always=False)
    logging.info("one %s", "two")
    number, level, name, message, place, extra, exception, stack, span = taken.records[0]
    assert (number, level, name, message) == (logging.INFO, None, "root", "one two")
    assert place.startswith(__file__)
    assert (extra, exception, stack, span) == (None, None, None, None)
    assert set_level is not None
    set_level(logging.DEBUG)
    assert root.level == logging.DEBUG
    set_level(logging.ERROR)
    assert (root.level, root.handlers[0].level) == (logging.WARNING, logging.ERROR)


def test_where_the_root_logger_has_a_handler_it_is_left_alone(root: logging.Logger) -> None:
    root.handlers.clear()  # pytest's
    own = logging.NullHandler()
    root.addHandler(own)
    assert install(Taken().sink, logging.DEBUG, always=False) is None
    assert (root.handlers, root.level) == ([own], logging.WARNING)


def test_asked_for_it_joins_the_handlers_and_leaves_the_level(root: logging.Logger) -> None:
    root.handlers.clear()  # pytest's
    root.addHandler(logging.NullHandler())
    assert install(Taken().sink, logging.DEBUG, always=True) is not None
    assert (len(root.handlers), root.level) == (2, logging.WARNING)


def test_a_level_that_somebody_has_set_stays(root: logging.Logger) -> None:
    root.handlers.clear()  # pytest's
    set_level = install(Taken().sink, logging.INFO, always=False)
    root.setLevel(logging.ERROR)
    assert set_level is not None
    set_level(logging.DEBUG)
    assert root.level == logging.ERROR


def test_where_nobody_listens_the_last_resort_shows_it(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    root.handlers.clear()  # pytest's
    shown = io.StringIO()
    last = logging.StreamHandler(shown)
    last.setLevel(logging.WARNING)
    monkeypatch.setattr(logging, "lastResort", last)
    install(Taken(listens=False).sink, logging.INFO, always=False)
    logging.info("not shown")
    logging.warning("shown")
    assert shown.getvalue() == "shown\n"


def test_what_cannot_be_handed_over_never_raises(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    root.handlers.clear()  # pytest's

    def fails(*parts: Any) -> bool:
        raise TypeError("not taken")

    Bridge(Sink(fails, lambda *parts: True, lambda token: None)).install(logging.INFO)
    logging.warning("lost")
    assert "TypeError: not taken" in capsys.readouterr().err


def test_basic_config_with_a_stream_takes_over(root: logging.Logger) -> None:
    root.handlers.clear()  # pytest's
    taken, own = Taken(), io.StringIO()
    install(taken.sink, logging.DEBUG, always=False)
    logging.basicConfig(stream=own, format="%(message)s")
    logging.info("below the level that is back")
    logging.warning("mine")
    assert (own.getvalue(), taken.records) == ("mine\n", [])


def test_lines_are_complete_and_belong_to_one_thread() -> None:
    taken = Taken()
    lines = Lines("stdout", io.StringIO(), taken.sink)
    print("one", end="", file=lines)
    thread = threading.Thread(target=lambda: print("another thread, ended", end="", file=lines))
    thread.start()
    thread.join()
    print(" line\n\nrest", end="", file=lines)
    lines.finish()
    assert sorted(taken.lines) == ["another thread, ended", "one line", "rest"]


def test_a_long_line_comes_in_pieces() -> None:
    taken = Taken()
    lines = Lines("stdout", io.StringIO(), taken.sink)
    lines.write("x" * (LINE_LIMIT + 1))
    lines.write("y\n")
    assert [len(line) for line in taken.lines] == [LINE_LIMIT, 2]


def test_a_destructor_that_prints_while_a_line_is_printed_loses_and_doubles_nothing() -> None:
    taken = Taken()
    lines = Lines("stdout", io.StringIO(), taken.sink)
    push = taken.line

    def line(name: str, text: str, span: int | None) -> bool:
        taken.sink.line = push
        print("from\na destructor", end="", file=lines)
        return push(name, text, span)

    taken.sink.line = line
    print("one", end="", file=lines)
    print(" line\nrest", end="", file=lines)
    lines.finish()
    assert taken.lines == ["from", "one line", "resta destructor"]


def test_bytes_are_refused_as_by_any_text_stream() -> None:
    with pytest.raises(TypeError, match="must be str, not bytes"):
        Lines("stdout", io.StringIO(), Taken().sink).write(b"bytes")  # type: ignore[arg-type]


def test_without_a_listener_lines_go_where_they_went() -> None:
    stream = io.StringIO()
    print("shown", file=Lines("stdout", stream, Taken(listens=False).sink))
    assert stream.getvalue() == "shown\n"


def test_a_stream_that_is_captured_has_all_that_a_text_stream_has() -> None:
    plain = io.TextIOWrapper(io.BytesIO(), "utf-8")
    taken = Taken()
    lines = Lines("stdout", plain, taken.sink)
    missing = {name for name in dir(plain) if not name.startswith("_")} - set(dir(lines))
    assert missing == set()
    lines.reconfigure(encoding="latin-1", errors="replace", line_buffering=False, newline="", write_through=True)
    assert (lines.encoding, lines.errors, lines.line_buffering, lines.write_through) == (
        "latin-1",
        "replace",
        False,
        True,
    )
    with pytest.raises(LookupError):
        lines.reconfigure(encoding="no such encoding")
    assert lines.detach() is plain.buffer
    lines.writelines(["one\n", "two\n"])
    assert taken.lines == ["one", "two"]
    assert (lines.name, lines.mode, lines.newlines) == ("<stdout>", "w", None)
