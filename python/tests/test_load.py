"""Loading targets: every way to fail says which one it was."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from httpy_rs._load import LoadError, load_attribute

Failure = Callable[[Callable[[], Any]], LoadError]
Write = Callable[..., Path]


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
def test_a_target_of_another_form_is_refused(failure: Failure, target: str) -> None:
    found = failure(lambda: load_attribute(target, []))
    assert found.kind == "target"
    assert f'"{target}" is not a target: expected "module:attribute"' in found.message


@pytest.mark.parametrize(
    "module", ["no_such_module", "no_such_package.inner", "json.no_such_module", "json.decoder.no"]
)
def test_a_missing_module_is_named(failure: Failure, module: str) -> None:
    found = failure(lambda: load_attribute(f"{module}:handler", []))
    assert found.kind == "module_not_found"
    assert f'no module "{module}"' in found.message


def test_a_missing_dependency_is_an_exception_of_the_import(failure: Failure, write: Write) -> None:
    write("needs.py", "import no_such_dependency\n")
    found = failure(lambda: load_attribute("needs:handler", []))
    assert found.kind == "import"
    raised = "importing \"needs\" raised ModuleNotFoundError: No module named 'no_such_dependency' ("
    assert found.message.startswith(raised)
    assert isinstance(found.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("prefix", "place"),
    [
        ("/srv/venv", "virtual environment /srv/venv"),
        (None, "no virtual environment: set VIRTUAL_ENV or the option venv if the app has one"),
    ],
)
@pytest.mark.parametrize(
    ("module", "install"),
    [
        # The app's own: a package of that name would be a stranger's.
        ("no_such_module", ""),
        (
            "needs",
            "; to install its package: /srv/python -m pip install no_such_dependency; some packages have another name "
            "than their module",
        ),
    ],
)
def test_a_missing_module_is_told_with_the_python_and_the_way_to_install_it(
    failure: Failure,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    prefix: str | None,
    place: str,
    module: str,
    install: str,
) -> None:
    write("needs.py", "import no_such_dependency.part\n")
    monkeypatch.setattr(sys, "prefix", prefix or sys.base_prefix)
    monkeypatch.setattr(sys, "executable", "/srv/python")
    found = failure(lambda: load_attribute(f"{module}:handler", []))
    version = ".".join(map(str, sys.version_info[:3]))
    assert found.message.endswith(f" (Python {version}, {place}{install})")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # A package that is there lacks a part of it.
        ("import json.no_such_module", "No module named 'json.no_such_module'"),
        # One that raises it itself.
        ("raise ModuleNotFoundError('mine')", "ModuleNotFoundError: mine"),
    ],
)
def test_what_no_installation_would_mend_is_told_without_one(
    failure: Failure, write: Write, source: str, expected: str
) -> None:
    write("needs.py", source)
    found = failure(lambda: load_attribute("needs:handler", []))
    assert expected in found.message
    assert "pip" not in found.message


def test_a_module_that_python_was_built_without_is_told_so(failure: Failure, write: Write) -> None:
    write("needs.py", "raise ModuleNotFoundError(\"No module named 'winreg'\", name='winreg')")
    assert failure(lambda: load_attribute("needs:handler", [])).message.endswith("was built without it)")


def test_a_missing_module_beside_the_named_one_is_an_exception_of_the_import(failure: Failure, write: Write) -> None:
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
def test_what_an_import_raises_is_kept(failure: Failure, write: Write, source: str, message: str) -> None:
    write("raising.py", source)
    found = failure(lambda: load_attribute("raising:handler", []))
    assert found.kind == "import"
    assert found.message.startswith(f'importing "raising" raised {message}')
    assert type(found.__cause__).__name__ == message.partition(":")[0]


def test_a_missing_attribute_comes_with_near_names(failure: Failure, write: Write) -> None:
    file = write("near.py", "def go_request(): ...\ndef go_init(): ...\n")
    found = failure(lambda: load_attribute("near:go_requst", []))
    assert found.kind == "attribute_not_found"
    assert found.message == f'module "near" ({file}) has no attribute "go_requst"; near names: go_request'


def test_a_missing_attribute_of_an_attribute_is_named(failure: Failure, write: Write) -> None:
    file = write("deep.py", "class App:\n    class Inner: ...\n")
    found = failure(lambda: load_attribute("deep:App.Inner.xyz", []))
    assert found.message == f'module "deep" ({file}), App, Inner has no attribute "xyz"'


def test_a_module_whose_getattr_raises_is_an_exception_of_the_import(failure: Failure, write: Write) -> None:
    write("lazy.py", "def __getattr__(name):\n    raise ZeroDivisionError(name)\n")
    found = failure(lambda: load_attribute("lazy:handler", []))
    assert found.kind == "import"
    assert found.message == "reading lazy:handler raised ZeroDivisionError: handler"


# Modules of one name


def test_a_module_held_from_another_file_is_a_conflict(failure: Failure, write: Write, tmp_path: Path) -> None:
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


def test_a_module_that_another_folder_shadows_is_a_conflict(
    failure: Failure, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write("one/shadowed.py", "")
    second = write("two/shadowed.py", "handler = 5")
    monkeypatch.syspath_prepend(str(second.parent))
    monkeypatch.syspath_prepend(str(first.parent))
    found = failure(lambda: load_attribute("shadowed:handler", [str(second.parent)]))
    assert found.kind == "module_conflict"


def test_packages_of_one_name_are_a_conflict(
    failure: Failure, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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


def test_a_built_in_module_of_that_name_is_a_conflict(failure: Failure, write: Write, tmp_path: Path) -> None:
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


def test_a_message_can_always_be_encoded(failure: Failure, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("/folder-\udcff")
    found = failure(lambda: load_attribute("no_such_module:handler", []))
    assert "/folder-\\udcff" in found.message
    assert found.message.encode()
