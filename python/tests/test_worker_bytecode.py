"""A worker that is started after a change loads what is there then."""

from __future__ import annotations

import os
import time
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from tests.parent import Parent

TEXT = "def handler(method, path, params, query, headers, body):\n    return 200, {!r}, {{}}\n"
HANDLERS = [("app:handler", "handler", "sync", "text")]


def said(folder: Path) -> object:
    with Parent(folder, HANDLERS) as worker:
        return worker.ready().result()[1]


def test_a_second_change_within_a_second_and_of_the_same_size_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    module = tmp_path / "app.py"
    for text in ("one", "two"):
        module.write_text(TEXT.format(text), encoding="utf-8")
        # As if both were of one moment.
        os.utime(module, (now := int(time.time()) + 1, now))
        assert said(tmp_path) == text


@pytest.mark.parametrize(("age", "cached"), [(0, False), (60, True)])
def test_bytecode_is_kept_of_what_has_not_just_changed(
    age: int, cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    module = tmp_path / "app.py"
    module.write_text(TEXT.format("one"), encoding="utf-8")
    os.utime(module, (then := time.time() - age, then))
    assert said(tmp_path) == "one"
    assert os.path.exists(cache_from_source(str(module))) is cached
