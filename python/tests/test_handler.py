"""Handlers at load: which are accepted, which get `bytes`, and what is said of the others."""

from __future__ import annotations

import asyncio
import functools
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import httpy_rs
from httpy_rs import _load
from httpy_rs._load import LoadError, check_handler, load_handler
from httpy_rs._signature import Signature, is_async, is_generator

Failure = Callable[[Callable[[], Any]], LoadError]
Write = Callable[..., Path]


def text(method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any: ...


def as_class(method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...


def as_name(method: Any, path: Any, params: Any, query: Any, headers: Any, body: "builtins.bytes") -> Any: ...  # type: ignore[name-defined]  # noqa: F821, UP037


def positional_only(method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes, /) -> Any: ...


def with_default(method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes, more: int = 1) -> Any: ...


def rest_bytes(method: Any, path: Any, params: Any, query: Any, headers: Any, *body: bytes) -> Any: ...


def fifth_bytes(method: Any, path: Any, params: Any, query: Any, headers: bytes, body: str) -> Any: ...


def unknown_names(method: Unknown, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...  # type: ignore[name-defined]  # noqa: F821


def with_model(model: Any, method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...


def with_option(method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes, option: Any) -> Any: ...


def evaluated(kind: Any) -> Any:
    """A handler whose annotation is an object, not a string as everywhere in this file."""

    def handler(method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any: ...

    handler.__annotations__ = {"body": kind}
    return handler


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return wrapper


def converting(function: Any) -> Any:
    """A wrapper that takes text itself, whatever the wrapped function takes."""

    def wrapper(method: Any, path: Any, params: Any, query: Any, headers: Any, body: str) -> Any: ...

    wrapper.__wrapped__ = function  # type: ignore[attr-defined]
    return wrapper


def own_body() -> Any:
    """A handler in a module that has a `Body` of its own."""
    names: dict[str, Any] = {"Body": str}
    exec("def handler(method, path, params, query, headers, body: 'Body'): ...", names)
    return names["handler"]


class Bound:
    def method(self, method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...

    @classmethod
    def of_class(cls, method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...

    @staticmethod
    def static(method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...

    def __call__(self, method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...


@pytest.mark.parametrize(
    ("handler", "body"),
    [
        (text, "text"),
        (as_class, "bytes"),
        (as_name, "bytes"),
        (positional_only, "bytes"),
        (with_default, "bytes"),
        (rest_bytes, "bytes"),
        (fifth_bytes, "text"),
        (unknown_names, "bytes"),
        (evaluated(bytes), "bytes"),
        (evaluated("bytes"), "bytes"),
        (evaluated("'bytes'"), "bytes"),
        (evaluated(str), "text"),
        (evaluated(bytearray), "text"),
        (decorated(as_class), "bytes"),
        (decorated(decorated(as_class)), "bytes"),
        (decorated(text), "text"),
        (converting(as_class), "text"),
        (functools.partial(with_model, 1), "bytes"),
        (functools.partial(with_option, option=1), "bytes"),
        (functools.partial(decorated(with_option), option=1), "bytes"),
        (functools.partial(text), "text"),
        (Bound().method, "bytes"),
        (Bound.of_class, "bytes"),
        (Bound.static, "bytes"),
        (Bound(), "bytes"),
        (decorated(Bound()), "bytes"),
        (lambda *arguments: None, "text"),
        (evaluated(httpy_rs.Body), "stream"),
        (evaluated(httpy_rs.AsyncBody), "stream"),
        (evaluated("httpy_rs.Body"), "stream"),
        (evaluated("'httpy_rs.AsyncBody'"), "stream"),
        (evaluated("Body"), "stream"),
        (evaluated("httpy_rs.typing.Body"), "text"),
        (evaluated("Model.Body"), "text"),
        (decorated(evaluated(httpy_rs.Body)), "stream"),
        (own_body(), "text"),
        (functools.partial(own_body()), "text"),
    ],
)
def test_the_body_mode_is_what_the_sixth_parameter_is_annotated(handler: Any, body: str) -> None:
    assert check_handler("worker:handler", handler) == ("handler", "sync", body)


def test_a_handler_is_loaded_with_its_interface(write: Write) -> None:
    write("plain.py", "def handler(method, path, params, query, headers, body: bytes): ...\n")
    handler, interface = load_handler("plain:handler", [])
    assert handler.__name__ == "handler"
    assert interface == ("handler", "sync", "bytes")


@pytest.mark.skipif(sys.version_info < (3, 15), reason="no import is lazy before Python 3.15")
def test_a_lazy_import_counts_as_what_it_imports(write: Write) -> None:
    lazy = "lazy import httpy_rs\nlazy from httpy_rs import Body\nlazy from no_such_module import AsyncBody\n"
    handlers = "".join(
        f"def {name}(method, path, params, query, headers, body: {annotation!r}): ...\n"
        for name, annotation in (("short", "Body"), ("long", "httpy_rs.Body"), ("lost", "AsyncBody"))
    )
    write("lazily.py", lazy + handlers)
    write("from_there.py", "lazy from lazily import short\n")
    for target, body in (
        ("lazily:short", "stream"),
        ("lazily:long", "stream"),
        ("lazily:lost", "text"),
        ("from_there:short", "stream"),
    ):
        assert load_handler(target, [])[1].body == body, target


def test_a_handler_without_a_signature_is_accepted() -> None:
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(type)
    assert check_handler("builtins:type", type).body == "text"


def test_a_signature_that_raises_is_accepted() -> None:
    class Odd:
        @property
        def __signature__(self) -> Any:
            raise ZeroDivisionError

        def __call__(self, *arguments: Any) -> Any: ...

    assert check_handler("worker:handler", Odd()).body == "text"


def test_an_injecting_wrapper_is_judged_by_what_is_called() -> None:
    assert check_handler("worker:handler", decorated(with_model)).body == "text"


@pytest.mark.parametrize(
    ("handler", "shown"),
    [
        (lambda: None, "()"),
        (lambda method, path: None, "(method, path)"),
        (lambda a, b, c, d, e, f, g: None, "(a, b, c, d, e, f, g)"),
        (lambda a, b, c, d, e, *, body: None, "(a, b, c, d, e, *, body)"),
        (lambda a, b, c, d, e, f, *, more: None, "(a, b, c, d, e, f, *, more)"),
        (functools.partial(text, "GET"), "(path, params, query, headers, body)"),
        (Bound.method, "(self, method, path, params, query, headers, body)"),
    ],
)
def test_a_handler_that_cannot_take_six_arguments_is_refused(failure: Failure, handler: Any, shown: str) -> None:
    found = failure(lambda: check_handler("worker:handler", handler))
    assert found.kind == "signature"
    assert found.message == (
        f"worker:handler takes {shown}: expected six positional arguments (method, path, params, query, headers, body)"
    )


def test_a_handler_that_cannot_be_called_is_refused(failure: Failure) -> None:
    found = failure(lambda: load_handler("sys:maxsize", []))
    assert found.kind == "not_callable"
    assert found.message == "sys:maxsize is of type int: expected a function"


async def async_handler(method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any: ...


class AsyncCall:
    async def __call__(self, method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any: ...

    async def method(self, method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any: ...


def async_wrapper(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapper(*arguments: Any) -> Any: ...

    return wrapper


def marked(function: Any) -> Any:
    """A plain function that is marked as one that gives a coroutine."""

    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    if hasattr(inspect, "markcoroutinefunction"):
        return inspect.markcoroutinefunction(wrapper)
    wrapper._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return wrapper


class Wrapper:
    """A decorator that is a class."""

    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any: ...


@pytest.mark.parametrize(
    "handler",
    [
        async_handler,
        functools.partial(async_handler),
        functools.partial(functools.partial(AsyncCall())),
        AsyncCall(),
        AsyncCall().method,
        async_wrapper(text),
        async_wrapper(async_handler),
        decorated(async_handler),
        functools.partial(decorated(decorated(async_handler))),
        Wrapper(async_handler),
        marked(async_handler),
        functools.partial(marked(async_handler)),
    ],
)
def test_what_gives_a_coroutine_is_async(handler: Any) -> None:
    assert check_handler("worker:handler", handler) == ("handler", "async", "text")


def wraps_itself(*arguments: Any) -> Any: ...


wraps_itself.__wrapped__ = wraps_itself  # type: ignore[attr-defined]


class Evil:
    def __call__(self, *arguments: Any) -> Any: ...

    def __getattr__(self, name: str) -> Any:
        raise SystemExit(name)


def test_what_gives_none_is_not() -> None:
    # Not as parameters, which pytest would ask for their names.
    for handler in (text, decorated(text), functools.partial(text), wraps_itself, Evil(), len):
        assert not is_async(handler), type(handler)


def generator(method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any:
    yield 5


async def async_generator(method: Any, path: Any, params: Any, query: Any, headers: Any, body: Any) -> Any:
    yield 5


@pytest.mark.parametrize("handler", [generator, async_generator, functools.partial(generator)])
def test_a_generator_function_is_refused_with_what_it_should_be(failure: Failure, handler: Any) -> None:
    found = failure(lambda: check_handler("worker:handler", handler))
    assert found.kind == "generator_handler"
    assert found.message == (
        "worker:handler is a generator function: expected one that returns; a handler that streams returns (status, "
        "generator(), headers), with the generator as its body"
    )


@pytest.mark.parametrize(
    "parameters",
    ["", "*a", "a, b, c, d, e, f", "a, b, c, d, e, f, g", "a, b=1, c=1, d=1, e=1, f=1, g=1", "a, b, *c", "a, b, /, c"],
)
def test_what_a_simple_function_takes_is_found_as_inspect_finds_it(parameters: str) -> None:
    function = eval(f"lambda {parameters}: None")
    assert _load._is_simple(function)
    for count in range(9):
        assert _load._accepts(function, count) == Signature(function).accepts(count)
    assert not _load._is_async(function)


@pytest.mark.parametrize("kind", ["async def f(): pass", "def f(): yield", "async def f(): yield", "def f(): pass"])
def test_whether_a_simple_function_is_async_is_found_as_inspect_finds_it(kind: str) -> None:
    names: dict[str, Any] = {}
    exec(kind, names)
    assert _load._is_async(names["f"]) == is_async(names["f"])
    assert _load._is_simple(names["f"]) != is_generator(names["f"])


def test_loading_a_simple_handler_does_not_import_inspect(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def handler(method, path, params, query, headers, body): ...\n")
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; from httpy_rs._load import load_handler; "
        "print(*load_handler('app:handler', [])[1], 'inspect' in sys.modules)"
    )
    # Isolated and without `site`, whose own imports would hide it.
    command = [sys.executable, "-I", "-S", "-c", program, str(tmp_path), str(Path(_load.__file__).parents[1])]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "handler sync text False\n"
