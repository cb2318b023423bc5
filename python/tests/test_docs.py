"""Every Python code block of `docs/handlers.md` runs, and the tests among them pass."""

import re
from pathlib import Path
from typing import Any

from httpy_rs.testing import call

PAGE = Path(__file__).parents[2] / "docs" / "handlers.md"


def namespace() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "shop"}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
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
