"""How a worker process tells what a plain handler returned or raised."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import PART, PLAIN, Start


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("None", ("other", "NoneType")),
        ("(200, 'x')", ("tuple", 2, ["int", "str"])),
        ("[200, 'x', {}]", ("other", "list")),
        ("Three(200, 'x', {})", [("int", 200), ("str", "x"), ("dict", [])]),
        ("(http.HTTPStatus.OK, 'x', {})", [("int", 200), ("str", "x"), ("dict", [])]),
        ("(True, 'x', {})", [("other", "bool"), ("str", "x"), ("dict", [])]),
        ("(200.0, 'x', {})", [("other", "float"), ("str", "x"), ("dict", [])]),
        ("(2 ** 64, 'x', {})", [("bigint",), ("str", "x"), ("dict", [])]),
        ("(-1, 'x', {})", [("int", -1), ("str", "x"), ("dict", [])]),
        ("(200, Text('x'), None)", [("int", 200), ("str", "x"), ("none",)]),
        ("(200, bytearray(b'x'), {})", [("int", 200), ("bytes", b"x"), ("dict", [])]),
        ("(200, memoryview(b'xyz')[::2], {})", [("int", 200), ("bytes", b"xz"), ("dict", [])]),
        ("(200, array.array('b', b'x'), {})", [("int", 200), ("other", "array"), ("dict", [])]),
        ("(200, 5, {})", [("int", 200), ("other", "int"), ("dict", [])]),
        ("(200, Text('\\ud800'), {})", [("int", 200), ("badstr", 0xD800, 0), ("dict", [])]),
        ("(200, 'x' * 70000 + '\\ud800', {})", [("int", 200), ("badstr", 0xD800, 70000), ("dict", [])]),
        ("(200, None, [])", [("int", 200), ("none",), ("other", "list")]),
        ("(200, None, {5: '1'})", [("int", 200), ("none",), ("dict", [(("other", "int"), ("str", "1"))])]),
        ("(200, None, {'a': b'1'})", [("int", 200), ("none",), ("dict", [(("str", "a"), ("other", "bytes"))])]),
        (
            "(200, None, {'a': [Text('1'), 2]})",
            [("int", 200), ("none",), ("dict", [(("str", "a"), ("list", [("str", "1"), ("other", "int")]))])],
        ),
        (
            "(200, None, {'a': (1,)})",
            [("int", 200), ("none",), ("dict", [(("str", "a"), ("list", [("other", "int")], "tuple"))])],
        ),
        ("(99, iter([]), {})", [("int", 99), ("iterator",), ("dict", [])]),
        ("(200, iter([]), [])", [("int", 200), ("iterator",), ("other", "list")]),
        ("(200, Async(), {})", [("int", 200), ("async_iterator", "Async"), ("dict", [])]),
        ("coroutine()", ("coroutine",)),
    ],
)
def test_what_marshal_cannot_write_or_the_contract_forbids_is_described(
    start: Start, returned: str, expected: Any
) -> None:
    source = f"""
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
            return {returned}
    """
    worker = start(source, "handler").ready()
    worker.call()
    number, kind, tree = worker.get()
    assert (number, kind) == (1, "d")
    assert (tree[1] if isinstance(expected, list) else tree) == expected


def test_a_large_body_that_has_to_be_described_goes_ahead(start: Start) -> None:
    worker = start("def handler(*six): return 200, bytearray(70000), {}", "handler").ready()
    worker.call()
    assert [len(worker.get()[1]) for _ in range(2)] == [PART, 70000 - PART]
    assert worker.get() == (
        1,
        "d",
        ("tuple", [("int", 200), ("ahead", "b"), ("dict", [])], ["int", "bytearray", "dict"]),
    )


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
