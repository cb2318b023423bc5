"""Loading targets: every way to fail says which one it was."""

from __future__ import annotations

import functools
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from httpy_rs._load import LoadError, check_handler, load_attribute, load_handler, run_init

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module below `tmp_path`, which is first on `sys.path`; modules loaded by the test are forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name: str, source: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
        return file

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def failure(work: Callable[[], Any]) -> LoadError:
    with pytest.raises(LoadError) as caught:
        work()
    assert str(caught.value) == caught.value.message
    return caught.value


# Targets


def test_an_attribute_is_found(write: Write) -> None:
    write("found.py", "class App:\n    def handle(self): ...\nvalue = 5\n")
    assert load_attribute("found:value", []) == 5
    assert load_attribute("found:App.handle", []).__qualname__ == "App.handle"


def test_a_module_in_a_package_is_found(write: Write, tmp_path: Path) -> None:
    write("outer/__init__.py", "")
    write("outer/inner.py", "value = 6\n")
    assert load_attribute("outer.inner:value", [str(tmp_path)]) == 6


@pytest.mark.parametrize(
    "target", ["", "worker", "worker:", ":handler", "a b:c", "worker:a:b", ".worker:a", "a:b.", "w/x:a"]
)
def test_a_target_of_another_form_is_refused(target: str) -> None:
    found = failure(lambda: load_attribute(target, []))
    assert found.kind == "target"
    assert f'"{target}" is not a target: expected "module:attribute"' in found.message


@pytest.mark.parametrize(
    "module", ["no_such_module", "no_such_package.inner", "json.no_such_module", "json.decoder.no"]
)
def test_a_missing_module_is_named(module: str) -> None:
    found = failure(lambda: load_attribute(f"{module}:handler", []))
    assert found.kind == "module_not_found"
    assert f'no module "{module}"' in found.message


def test_a_missing_dependency_is_an_exception_of_the_import(write: Write) -> None:
    write("needs.py", "import no_such_dependency\n")
    found = failure(lambda: load_attribute("needs:handler", []))
    assert found.kind == "import"
    assert found.message == "importing \"needs\" raised ModuleNotFoundError: No module named 'no_such_dependency'"
    assert isinstance(found.__cause__, ModuleNotFoundError)


def test_a_missing_module_beside_the_named_one_is_an_exception_of_the_import(write: Write) -> None:
    write("half/__init__.py", "import half.missing\n")
    assert failure(lambda: load_attribute("half.missing:handler", [])).kind == "import"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise ValueError('bad')", "ValueError: bad"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def broken(:", "SyntaxError: "),
        ("import sys; del sys.modules[__name__]", "KeyError: "),
    ],
)
def test_what_an_import_raises_is_kept(write: Write, source: str, message: str) -> None:
    write("raising.py", source)
    found = failure(lambda: load_attribute("raising:handler", []))
    assert found.kind == "import"
    assert found.message.startswith(f'importing "raising" raised {message}')
    assert type(found.__cause__).__name__ == message.partition(":")[0]


def test_a_missing_attribute_comes_with_near_names(write: Write) -> None:
    file = write("near.py", "def go_request(): ...\ndef go_init(): ...\n")
    found = failure(lambda: load_attribute("near:go_requst", []))
    assert found.kind == "attribute_not_found"
    assert found.message == f'module "near" ({file}) has no attribute "go_requst"; near names: go_request'


def test_a_missing_attribute_of_an_attribute_is_named(write: Write) -> None:
    file = write("deep.py", "class App:\n    class Inner: ...\n")
    found = failure(lambda: load_attribute("deep:App.Inner.xyz", []))
    assert found.message == f'module "deep" ({file}), App, Inner has no attribute "xyz"'


def test_a_module_whose_getattr_raises_is_an_exception_of_the_import(write: Write) -> None:
    write("lazy.py", "def __getattr__(name):\n    raise ZeroDivisionError(name)\n")
    found = failure(lambda: load_attribute("lazy:handler", []))
    assert found.kind == "import"
    assert found.message == "reading lazy:handler raised ZeroDivisionError: handler"


# Modules of one name


def test_a_module_held_from_another_file_is_a_conflict(write: Write, tmp_path: Path) -> None:
    first = write("one/same.py", "value = 1\n")
    second = write("two/same.py", "value = 2\n")
    sys.path.insert(0, str(first.parent))
    try:
        assert load_attribute("same:value", [str(first.parent)]) == 1
        found = failure(lambda: load_attribute("same:value", [str(second.parent)]))
        assert load_attribute("same:value", [str(first.parent)]) == 1
    finally:
        sys.path.remove(str(first.parent))
    assert found.kind == "module_conflict"
    assert str(first) in found.message
    assert str(second) in found.message


def test_a_module_that_another_folder_shadows_is_a_conflict(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write("one/shadowed.py", "")
    second = write("two/shadowed.py", "handler = 5")
    monkeypatch.syspath_prepend(str(second.parent))
    monkeypatch.syspath_prepend(str(first.parent))
    found = failure(lambda: load_attribute("shadowed:handler", [str(second.parent)]))
    assert found.kind == "module_conflict"


def test_packages_of_one_name_are_a_conflict(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = write("one/shop/__init__.py", "")
    write("one/shop/cart.py", "value = 1")
    second = write("two/shop/__init__.py", "")
    write("two/shop/order.py", "value = 2")
    monkeypatch.syspath_prepend(str(tmp_path / "one"))
    assert load_attribute("shop.cart:value", [str(tmp_path / "one")]) == 1
    found = failure(lambda: load_attribute("shop.order:value", [str(tmp_path / "two")]))
    assert found.kind == "module_conflict"
    assert f'module "shop" would be {second}' in found.message
    assert str(first) in found.message


def test_a_built_in_module_of_that_name_is_a_conflict(write: Write, tmp_path: Path) -> None:
    write("time.py", "value = 1")
    found = failure(lambda: load_attribute("time:value", [str(tmp_path)]))
    assert found.kind == "module_conflict"
    assert "no file (built in)" in found.message


def test_namespace_packages_may_share_their_name(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write("one/space/cart.py", "value = 1")
    write("two/space/order.py", "value = 2")
    for folder in ("one", "two"):
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    assert load_attribute("space.cart:value", [str(tmp_path / "one")]) == 1
    assert load_attribute("space.order:value", [str(tmp_path / "two")]) == 2


def test_one_file_through_a_symbolic_link_is_no_conflict(write: Write, tmp_path: Path) -> None:
    write("linked.py", "value = 1")
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert load_attribute("linked:value", [str(tmp_path)]) == 1
    assert load_attribute("linked:value", [str(tmp_path / "link")]) == 1


def test_a_module_from_elsewhere_is_no_conflict(tmp_path: Path) -> None:
    assert load_attribute("json:dumps", [str(tmp_path)]) is not None


# Handlers


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


class Bound:
    def method(self, method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...

    @classmethod
    def of_class(cls, method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...

    @staticmethod
    def static(method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...

    def __call__(self, method: Any, path: Any, params: Any, query: Any, headers: Any, body: bytes) -> Any: ...


@pytest.mark.parametrize(
    ("handler", "wants_bytes"),
    [
        (text, False),
        (as_class, True),
        (as_name, True),
        (positional_only, True),
        (with_default, True),
        (rest_bytes, True),
        (fifth_bytes, False),
        (unknown_names, True),
        (evaluated(bytes), True),
        (evaluated("bytes"), True),
        (evaluated("'bytes'"), True),
        (evaluated(str), False),
        (evaluated(bytearray), False),
        (decorated(as_class), True),
        (decorated(decorated(as_class)), True),
        (decorated(text), False),
        (converting(as_class), False),
        (functools.partial(with_model, 1), True),
        (functools.partial(with_option, option=1), True),
        (functools.partial(decorated(with_option), option=1), True),
        (functools.partial(text), False),
        (Bound().method, True),
        (Bound.of_class, True),
        (Bound.static, True),
        (Bound(), True),
        (decorated(Bound()), True),
        (lambda *arguments: None, False),
    ],
)
def test_whether_the_sixth_parameter_is_annotated_bytes(handler: Any, wants_bytes: bool) -> None:
    assert check_handler("worker:handler", handler) is wants_bytes


def test_a_handler_is_loaded_with_what_it_wants(write: Write) -> None:
    write("plain.py", "def handler(method, path, params, query, headers, body: bytes): ...\n")
    handler, wants_bytes = load_handler("plain:handler", [])
    assert handler.__name__ == "handler"
    assert wants_bytes is True


def test_a_handler_without_a_signature_is_accepted() -> None:
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(dict.pop)
    assert check_handler("builtins:dict.pop", dict.pop) is False


def test_a_signature_that_raises_is_accepted() -> None:
    class Odd:
        @property
        def __signature__(self) -> Any:
            raise ZeroDivisionError

        def __call__(self, *arguments: Any) -> Any: ...

    assert check_handler("worker:handler", Odd()) is False


def test_an_injecting_wrapper_is_judged_by_what_is_called() -> None:
    assert check_handler("worker:handler", decorated(with_model)) is False


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
def test_a_handler_that_cannot_take_six_arguments_is_refused(handler: Any, shown: str) -> None:
    found = failure(lambda: check_handler("worker:handler", handler))
    assert found.kind == "signature"
    assert found.message == (
        f"worker:handler takes {shown}: expected six positional arguments (method, path, params, query, headers, body)"
    )


def test_a_handler_that_cannot_be_called_is_refused() -> None:
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
    ],
)
def test_an_async_handler_is_refused(handler: Any) -> None:
    found = failure(lambda: check_handler("worker:handler", handler))
    assert found.kind == "async_handler"
    assert "async def is not supported yet" in found.message


def test_a_plain_wrapper_that_runs_an_async_function_is_accepted() -> None:
    assert check_handler("worker:handler", decorated(async_handler)) is False


# Init functions


def test_routes_come_in_the_order_of_the_dict(write: Write) -> None:
    write("routes.py", "def init():\n    return {'/z': ['GET', 'get'], '/a/:b': ('POST',), '/': []}\n")
    assert run_init("routes:init", []) == [("/z", ["GET", "get"]), ("/a/:b", ["POST"]), ("/", [])]


def test_an_ordered_dict_has_the_last_word_on_its_order(write: Write) -> None:
    write(
        "moved.py",
        """
        from collections import OrderedDict
        def init():
            routes = OrderedDict({"/a": ["GET"], "/b": ["GET"]})
            routes.move_to_end("/a")
            return routes
        """,
    )
    assert run_init("moved:init", []) == [("/b", ["GET"]), ("/a", ["GET"])]


def test_none_is_no_routes(write: Write) -> None:
    write("none.py", "def init(): ...\n")
    assert run_init("none:init", []) == []


def test_an_init_with_defaults_is_accepted(write: Write) -> None:
    write("defaults.py", "def init(debug=False, *more, **named): ...\n")
    assert run_init("defaults:init", []) == []


def test_an_init_that_takes_an_argument_is_refused(write: Write) -> None:
    write("takes.py", "def init(app: int, more=1): ...\n")
    found = failure(lambda: run_init("takes:init", []))
    assert found.kind == "init_signature"
    assert found.message == "takes:init takes (app, more=1): expected a function without arguments"


@pytest.mark.parametrize("raised", ["ValueError('bad')", "SystemExit(3)", "KeyboardInterrupt()"])
def test_what_an_init_raises_is_kept(write: Write, raised: str) -> None:
    write("raises.py", f"def init():\n    raise {raised}\n")
    found = failure(lambda: run_init("raises:init", []))
    assert found.kind == "init_exception"
    assert found.message.startswith(f"raises:init raised {raised.partition('(')[0]}")
    assert repr(found.__cause__).startswith(raised.partition("(")[0])


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("[('/', ['GET'])]", "list: expected a dict of routes to lists of methods, or None"),
        ("'/'", "str: expected a dict of routes to lists of methods, or None"),
        ("{'/': ['GET'], 5: ['GET']}", "a route of type int (entry 2): expected str"),
        ("{'/a': 'GET'}", "'/a' with str: expected a list or tuple of str, such as [\"GET\"]"),
        ("{'/a': None}", "'/a' with NoneType: expected a list or tuple of str, such as [\"GET\"]"),
        ("{'/a': {'GET'}}", "'/a' with set: expected a list or tuple of str, such as [\"GET\"]"),
        ("{'/a': ['GET', b'PUT']}", "'/a' with a method of type bytes at index 1: expected str"),
        ("{'/\\udc80': ['GET']}", "'/\\udc80' (entry 1): expected text that encodes as UTF-8"),
        ("{'/': ['\\ud800']}", "'\\ud800' (entry 1): expected text that encodes as UTF-8"),
    ],
)
def test_an_init_result_of_another_form_is_refused(write: Write, result: str, message: str) -> None:
    write("result.py", f"def init():\n    return {result}\n")
    found = failure(lambda: run_init("result:init", []))
    assert found.kind == "init_result"
    assert found.message == f"result:init returned {message}"


def test_an_async_init_is_refused(write: Write) -> None:
    write("async_init.py", "async def init(): ...\n")
    assert failure(lambda: run_init("async_init:init", [])).kind == "async_handler"


def test_an_init_that_cannot_be_called_is_refused() -> None:
    assert failure(lambda: run_init("sys:maxsize", [])).kind == "not_callable"


def test_a_message_can_always_be_encoded(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("/folder-\udcff")
    found = failure(lambda: load_attribute("no_such_module:handler", []))
    assert "/folder-\\udcff" in found.message
    assert found.message.encode()
