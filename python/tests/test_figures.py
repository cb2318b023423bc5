"""What is counted of the interpreter for the host's metrics."""

from __future__ import annotations

import gc

import pytest

from httpy_rs import _figures


@pytest.fixture(autouse=True)
def _leaves_no_callback() -> object:
    yield
    if _figures._pauses in gc.callbacks:
        gc.callbacks.remove(_figures._pauses)


def test_collections_are_noted_from_the_first_question_on_and_told_once() -> None:
    _figures.take()
    gc.collect(2)
    blocks, pauses = _figures.take()
    assert blocks > 0
    assert 2 in [generation for generation, _ in pauses]
    assert all(seconds >= 0 for _, seconds in pauses)
    gc.disable()
    try:
        _figures.take()
        assert _figures.take()[1] == []
    finally:
        gc.enable()
    assert gc.callbacks.count(_figures._pauses) == 1


def test_what_nobody_comes_for_does_not_pile_up() -> None:
    pauses = _figures.Pauses()
    for _ in range(2 * _figures._MOST):
        pauses("start", {"generation": 0})
        pauses("stop", {"generation": 0})
    assert len(pauses.take()) == _figures._MOST


def test_an_end_without_a_begin_is_no_pause() -> None:
    pauses = _figures.Pauses()
    pauses("stop", {"generation": 1})
    assert pauses.take() == []
