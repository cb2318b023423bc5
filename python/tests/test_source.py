"""`chain` gives every exception of a chain its frames and lines."""

from __future__ import annotations

import textwrap
from typing import Any

from httpy_rs._source import AROUND, FRAMES, LINE_LIMIT, LINKS, chain
from tests.conftest import caught


def fail() -> None:
    raise ValueError("here")  # the line that runs


def test_a_frame_has_the_lines_around_the_one_that_runs() -> None:
    ((relation, title, frames),) = chain(caught(fail))
    file, line, function, own, first, lines = frames[-1]
    assert (relation, title, file, function, own) == ("", "ValueError: here", __file__, "fail", True)
    assert (line - first, lines[line - first]) == (AROUND, '    raise ValueError("here")  # the line that runs')
    assert len(lines) == 2 * AROUND + 1


def test_of_a_librarys_frame_only_the_line_itself_is_there() -> None:
    frames = chain(caught(lambda: textwrap.fill("x", width=0)))[0][2]
    assert [own for _, _, _, own, _, _ in frames] == [True, True, False, False, False, False]
    assert all(len(lines) == 1 for _, _, _, own, _, lines in frames if not own)


def test_what_it_came_from_follows() -> None:
    def cause() -> None:
        try:
            fail()
        except ValueError as error:
            raise KeyError("second") from error

    def context() -> None:
        try:
            cause()
        except KeyError:
            raise TypeError("third")  # noqa: B904

    def alone() -> None:
        try:
            cause()
        except KeyError:
            raise TypeError("alone") from None

    links = [(relation, title) for relation, title, _ in chain(caught(context))]
    assert links == [("", "TypeError: third"), ("context", "KeyError: 'second'"), ("cause", "ValueError: here")]
    assert [title for _, title, _ in chain(caught(alone))] == ["TypeError: alone"]


def test_a_circle_and_a_long_chain_come_to_an_end() -> None:
    circle = ValueError("circle")
    circle.__cause__ = circle
    assert len(chain(circle)) == 1
    first = last = ValueError("first")
    for number in range(100):
        last.__cause__ = last = ValueError(number)
    assert len(chain(first)) == LINKS


def test_a_runaway_recursion_keeps_its_innermost_frames() -> None:
    def deeper(depth: int) -> None:
        if depth == 0:
            fail()
        deeper(depth - 1)

    frames = chain(caught(lambda: deeper(200)))[0][2]
    assert len(frames) == FRAMES
    assert frames[-1][2] == "fail"


def test_hostile_exceptions_and_sources_do_no_harm() -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        @property
        def __cause__(self) -> Any:  # type: ignore[override]
            raise RuntimeError

    def gone() -> None:
        exec(compile("\n\nraise Hostile", "/no/such/file.py", "exec"), {"Hostile": Hostile})

    ((_, title, frames),) = chain(caught(gone))
    assert title.endswith("Hostile: <exception str() failed>")
    assert frames[-1][:2] == ("/no/such/file.py", 3)
    assert frames[-1][5] == []


def test_long_lines_are_cut() -> None:
    import linecache

    source = "raise ValueError  # " + "x" * 10_000
    linecache.cache["/long/line.py"] = (len(source), None, [source], "/long/line.py")
    frames = chain(caught(lambda: exec(compile(source, "/long/line.py", "exec"), {})))[0][2]
    assert len(frames[-1][5][0]) == LINE_LIMIT
