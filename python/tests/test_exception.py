"""`describe` gives text for every exception, also for those that fight it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from httpy_rs._exception import NO_MESSAGE, TEXT_LIMIT, describe
from httpy_rs._load import LoadError, load_attribute
from tests.conftest import caught


def raised(exception: BaseException) -> BaseException:
    def work() -> None:
        raise exception

    return caught(work)


def test_a_built_in_exception_has_its_bare_name() -> None:
    type_name, message, text, place = describe(raised(ValueError("bad value")))
    assert (type_name, message) == ("ValueError", "bad value")
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("\nValueError: bad value\n")
    line = raised.__code__.co_firstlineno + 2
    assert place == f"{__file__}:{line}"


def test_other_exceptions_have_their_module_and_qualified_name() -> None:
    assert describe(json.JSONDecodeError("bad", "", 0))[0] == "json.decoder.JSONDecodeError"

    class Local(Exception):
        pass

    assert describe(Local())[0] == f"{__name__}.{Local.__qualname__}"


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    assert describe(KeyError("a")) == ("KeyError", "'a'", "KeyError: 'a'\n", "")


def test_chained_exceptions_are_in_the_text() -> None:
    def work() -> None:
        try:
            raise KeyError("first")
        except KeyError as cause:
            raise ValueError("second") from cause

    text = describe(caught(work))[2]
    assert text.index("KeyError: 'first'") < text.index("direct cause") < text.index("ValueError: second")


@pytest.mark.parametrize("what", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_when_str_raises_the_message_says_so(what: BaseException) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise what

    type_name, message, text, place = describe(raised(Odd()))
    assert message == NO_MESSAGE
    assert type_name.endswith("Odd")
    assert "Odd" in text
    assert place.startswith(__file__)


def test_str_may_return_a_subclass_that_misbehaves() -> None:
    class Text(str):
        def encode(self, *_: Any) -> bytes:
            raise ZeroDivisionError

    class Odd(Exception):
        def __str__(self) -> str:
            return Text("fine")

    message = describe(Odd())[1]
    assert message == "fine"
    assert type(message) is str


def test_class_tricks_do_not_hide_the_type() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise ZeroDivisionError(name)

    class Odd(Exception, metaclass=Meta):
        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise ZeroDivisionError

    assert describe(Odd("message"))[0].endswith("Odd")


def test_a_module_name_that_is_no_str_is_left_out() -> None:
    odd = type("Odd", (Exception,), {"__module__": 5})
    assert describe(odd())[0] == "Odd"


def test_a_recursion_error_is_described() -> None:
    def recurse() -> None:
        recurse()

    type_name, message, text, place = describe(caught(recurse))
    assert type_name == "RecursionError"
    assert "recursion" in message
    assert "Previous line repeated" in text
    assert place.startswith(__file__)


def test_a_runaway_recursion_costs_no_more_than_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpy_rs._exception.FRAME_LIMIT", 50)

    def recurse(depth: int) -> None:
        if depth == 0:
            raise ValueError("end")
        recurse(depth - 1)

    text = describe(caught(lambda: recurse(200)))[2]
    # The traceback folds repeated frames and says how many: 200 without the limit.
    assert 0 < int(text.partition("repeated ")[2].partition(" more")[0]) < 50
    assert text.endswith("ValueError: end\n")


def test_long_text_is_cut_in_its_middle() -> None:
    _, message, text, _ = describe(ValueError("begin" + "é" * TEXT_LIMIT + "end"))
    for cut in (message, text):
        assert len(cut.encode()) <= TEXT_LIMIT
        assert "bytes left out" in cut
    assert message.startswith("beginé")
    assert message.endswith("éend")


def test_lone_surrogates_are_escaped() -> None:
    _, message, text, _ = describe(ValueError("a\udcffb"))
    assert message == "a\\udcffb"
    assert "a\\udcffb" in text


def test_frames_before_the_users_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_at_import.py").write_text("import json\nraise ValueError('top')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    failure = caught(lambda: load_attribute("raises_at_import:x", []))
    assert isinstance(failure, LoadError)
    assert failure.__cause__ is not None
    type_name, _, text, place = describe(failure.__cause__)
    assert type_name == "ValueError"
    assert "importlib" not in text
    assert "_load.py" not in text
    assert place == f"{tmp_path / 'raises_at_import.py'}:2"


def test_httpy_frames_inside_the_users_stay() -> None:
    from httpy_rs import request

    text = describe(caught(lambda: request()))[2]
    assert "_request.py" in text
