"""Every Python code block of the pages for Python developers runs, and the tests among them pass."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from httpy_rs.testing import call

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "handlers.md"


def blocks(page: Path) -> list[str]:
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    return found


def namespace() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "shop"}
    for block in blocks(PAGE):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_the_tests_on_the_page_pass() -> None:
    names = namespace()
    tests = [test for name, test in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_the_handlers_on_the_page_answer() -> None:
    names = namespace()
    assert call(names["handle"], path="/price/cake", route="/price/:item").status == 404
    assert call(names["dispatch"], path="/price/tea", route="/price/:item").text == "a price\n"
    assert call(names["dispatch"], path="/").text == "None is not served here\n"
    assert call(names["slow"]).text == "awake\n"
    assert call(names["typed"], headers={"Host": "shop.example"}).text == "shop.example"


@pytest.mark.parametrize("page", ["docs/testing.md", "python/README.md"])
def test_the_files_on_the_page_pass_in_pytest(page: str, tmp_path: Path) -> None:
    count = 0
    for block in blocks(ROOT / page):
        name = re.match(r"# (\w+\.py)\n", block)
        assert name, block
        (tmp_path / name[1]).write_text(block, encoding="utf-8")
        count += len(re.findall(r"^def test_", block, re.MULTILINE))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert re.search(rf"^{count} passed", ended.stdout, re.MULTILINE), ended.stdout + ended.stderr
    assert ended.returncode == 0
