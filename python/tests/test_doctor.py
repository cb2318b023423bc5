"""What `_doctor` finds out, above all where the entries of `sys.path` come from."""

from __future__ import annotations

import json
import site
import sys
from pathlib import Path
from typing import Any

import pytest

from httpy_rs._doctor import _extensions, examine


def report(*paths: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(examine(paths, lambda module: module is sys.modules.get("math")))
    return found


def origins(*paths: str) -> dict[str, Any]:
    return {entry["dir"]: (entry["origin"], entry["file"], entry["exists"]) for entry in report(*paths)["path"]}


def test_the_version_is_the_one_that_runs() -> None:
    found = report()
    assert found["version"] == ".".join(str(part) for part in sys.version_info[:3])
    assert found["executable"] == sys.executable
    assert found["gil"] is True


def test_folders_come_from_the_builder_the_environment_or_from_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given, named, added = (str(tmp_path / name) for name in ("given", "named", "added"))
    (tmp_path / "given").mkdir()
    monkeypatch.setenv("PYTHONPATH", named)
    monkeypatch.setattr(sys, "path", [given, named, added, *sys.path])
    found = origins(given)
    assert found[given] == ("builder", None, True)
    assert found[named] == ("environment", None, False)
    assert found[added] == ("runtime", None, False)


def test_a_folder_that_a_pth_file_names_is_told_with_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packages, checkout = tmp_path / "site-packages", tmp_path / "checkout"
    packages.mkdir()
    checkout.mkdir()
    file = packages / "editable.pth"
    file.write_text(f"# a comment\nimport os\n\n{checkout}\n../relative\n")
    monkeypatch.setattr(site, "getsitepackages", lambda prefixes=None: [str(packages)])
    monkeypatch.setattr(sys, "path", [str(packages), str(checkout), str(tmp_path / "relative")])
    found = origins()
    assert found[str(packages)][0] in ("site_packages", "virtual_environment")
    assert found[str(checkout)] == ("pth_file", str(file), True)
    assert found[str(tmp_path / "relative")] == ("pth_file", str(file), False)


def test_the_standard_library_is_known_also_where_it_does_not_exist() -> None:
    kinds = [entry["origin"] for entry in report()["path"] if "lib-dynload" in entry["dir"] or ".zip" in entry["dir"]]
    assert kinds == ["standard_library"] * len(kinds)
    assert kinds


def test_a_path_that_is_no_text_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [5, "/odd/\udcff", *sys.path])
    assert "/odd/\\udcff" in origins()


def test_installed_copies_are_found_with_their_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "httpy_rs"
    package.mkdir()
    (package / "_version.py").write_text('__version__ = "9.9.9"\n')
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert report()["copies"][0] == {"folder": str(package), "version": "9.9.9"}


def test_from_python_3_13_on_modules_that_need_the_gil_are_named() -> None:
    found = report()["needs_gil"]
    if sys.version_info < (3, 13):
        assert found is None
    else:
        # Which modules are shared libraries depends on how this Python was built.
        assert found == [name for name, _ in _extensions() if name != "math"]


def test_what_cannot_be_found_out_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "getswitchinterval")
    monkeypatch.setitem(sys.modules, "ssl", None)
    found = report()
    assert (found["switch_interval"], found["tls"]) == (None, None)
