"""How a worker process tells what a plain handler returned or raised."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import PART, PLAIN, Start

SOURCE = """
    import array, collections, http, warnings
    warnings.simplefilter("error")
    Three = collections.namedtuple("Three", "a b c")
    class Text(str):
        def encode(self, *args): raise RuntimeError
        __str__ = encode
    class Async:
        def __aiter__(self): raise RuntimeError
    async def coroutine(): ...
    def handler(*six):
        return %s
"""


@pytest.mark.parametrize(
    ("returned", "rule"),
    [
        ("None", "tuple"),
        ("(200, 'x')", "tuple"),
        ("[200, 'x', {}]", "tuple"),
        ("coroutine()", "tuple"),
        ("(True, 'x', {})", "status"),
        ("(200.0, 'x', {})", "status"),
        ("(2 ** 64, 'x', {})", "status"),
        ("(-1, 'x', {})", "status"),
        ("(99, iter([]), {})", "status"),
        ("(200, array.array('b', b'x'), {})", "body"),
        ("(200, 5, {})", "body"),
        ("(200, Text('\\ud800'), {})", "body"),
        ("(200, 'x' * 70000 + '\\udc80\\ud800', {})", "body"),
        ("(200, Async(), {})", "body"),
        ("(200, None, [])", "headers"),
        ("(200, iter([]), [])", "headers"),
        ("(200, None, {5: '1'})", "header_name"),
        ("(200, None, {'a': b'1'})", "header_value"),
        ("(200, None, {'a': [Text('1'), 2]})", "header_value"),
        ("(200, None, {'a': (1,)})", "header_value"),
        ("(200, None, {'a': Text('\u20ac')})", "header_value"),
    ],
)
def test_what_the_contract_forbids_is_judged_here(start: Start, returned: str, rule: str) -> None:
    worker = start(SOURCE % returned, "handler").ready()
    worker.call()
    number, kind, (found, text) = worker.get()
    assert (number, kind, found) == (1, "f", rule)
    assert ": expected " in text


@pytest.mark.parametrize(
    ("returned", "head", "body"),
    [
        ("Three(200, 'x', {})", (200, "t", {}), b"x"),
        ("(http.HTTPStatus.CREATED, 'x', {})", (201, "t", {}), b"x"),
        ("(200, Text('x'), None)", (200, "t", {}), b"x"),
        ("(200, bytearray(b'x'), {})", (200, "b", {}), b"x"),
        ("(200, memoryview(b'xyz')[::2], {})", (200, "b", {}), b"xz"),
        ("(200, 'x', {Text('a'): (Text('1'), '2')})", (200, "t", {"a": ["1", "2"]}), b"x"),
    ],
)
def test_what_marshal_cannot_write_goes_as_plain_values(start: Start, returned: str, head: Any, body: bytes) -> None:
    worker = start(SOURCE % returned, "handler").ready()
    worker.call()
    assert worker.get() == (1, body)
    assert worker.get() == (1, "p", head)


def test_a_large_body_of_another_type_goes_in_parts(start: Start) -> None:
    worker = start("def handler(*six): return 200, bytearray(70000), {}", "handler").ready()
    worker.call()
    assert [len(worker.get()[1]) for _ in range(2)] == [PART, 70000 - PART]
    assert worker.get() == (1, "p", (200, "b", {}))


def test_a_reply_that_fits_into_no_frame_is_a_failure_of_its_own(start: Start) -> None:
    source = PLAIN + "    def huge(*six): return 200, '', {'a': 'b' * 17_000_000}\n"
    worker = start(source, "handler", "huge").ready()
    worker.run(worker.job(0, "before"), worker.job(1), worker.job(0, "after"))
    assert worker.get() == (1, "r", (200, "before", {}))
    number, kind, exception = worker.get()
    assert (number, kind, exception[0]) == (2, "e", "httpy_rs.ContractFailure")
    assert worker.get() == (3, "r", (200, "after", {}))


@pytest.mark.parametrize("debug", [False, True])
def test_exceptions_come_with_what_led_to_them(start: Start, debug: bool) -> None:
    source = """
        def handler(*six):
            try:
                {}["key"]
            except KeyError:
                raise SystemExit("no \\ud800")
    """
    worker = start(source, "handler", debug=debug).ready()
    worker.call()
    number, kind, (name, message, traceback, place, chain) = worker.get()
    assert (number, kind, name, message) == (1, "e", "SystemExit", "no \\ud800")
    assert "httpy_rs" not in traceback
    assert "KeyError: 'key'" in traceback
    assert place.endswith("app.py:6")
    assert [link[:2] for link in chain] == (
        [("", "SystemExit: no \\ud800"), ("context", "KeyError: 'key'")] if debug else []
    )


def test_a_reply_says_when_it_came_how_far_where_that_is_wanted(start: Start) -> None:
    more = """
    def none(*six): ...
    def fails(*six): raise ValueError
    async def fails_later(*six): raise ValueError
    """
    worker = start(PLAIN + more, "handler", "none", "fails", "fails_later").ready()
    for handler in (0, 1, 2):
        worker.call(handler, timed=True)
        _, _, _, called, returned, converted = worker.get()
        assert 0 <= called <= returned <= converted
    worker.call(3, lane="async", timed=True)
    _, word, _, called, returned, converted = worker.get("async")
    assert word == "e"
    assert 0 <= called <= returned <= converted
