"""`examine`: what there is to know about the interpreter that a server embeds, as one JSON object.

Only looks, and only when asked: on the server's main Python thread, for `PyEngine::doctor()`. Rust judges what it
finds. Whatever cannot be found out is `null`; nothing that app code has broken makes it fail.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec
from typing import Any

from httpy_rs._exception import attempt, clean

# What builds of CPython lack when a library was missing, and the module that shows it.
OPTIONAL = (
    ("bz2", "_bz2"),
    ("ctypes", "_ctypes"),
    ("lzma", "_lzma"),
    ("sqlite3", "_sqlite3"),
    ("zlib", "zlib"),
)
LIST_LIMIT = 1000
PTH_LIMIT = 64 * 1024  # characters of one file


def examine(paths: Sequence[str], declares: Callable[[object], bool | None]) -> str:
    """The report. `paths` are the folders that the server was told to put on `sys.path`; `declares` tells of an
    extension module whether it says that it needs no GIL."""
    import json

    report = {
        **_version(),
        **_place(),
        "path": _path(paths),
        "environment": _find(_environment) or {},
        "tls": _find(_tls),
        "missing": _find(lambda: [name for name, module in OPTIONAL if find_spec(module) is None]) or [],
        "uvloop": _find(lambda: find_spec("uvloop") is not None) or False,
        "extension_modules": _find(lambda: sum(1 for _ in _extensions())) or 0,
        "needs_gil": _find(lambda: _needs_gil(declares)),
        "copies": _find(_copies) or [],
        "switch_interval": _find(lambda: sys.getswitchinterval()),
        "recursion_limit": _find(lambda: sys.getrecursionlimit()),
        "open_files": _find(lambda: _limit("RLIMIT_NOFILE")),
        "threads": _find(lambda: _limit("RLIMIT_NPROC")),
    }
    return json.dumps(_plain(report))


def _find(work: Callable[[], Any]) -> Any:
    """What `work` finds out, or `None`."""
    return attempt(work, None)


def _plain(value: Any) -> Any:
    """`value` with text that can be encoded: a folder's name need not be UTF-8."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value[:LIST_LIMIT]]
    return value


def _version() -> dict[str, Any]:
    import sysconfig

    def variable(name: str) -> str:
        return str(_find(lambda: sysconfig.get_config_var(name)) or "")

    # Debian's build keeps its flags where others have none, so both are looked at.
    flags = f"{variable('PY_CFLAGS')} {variable('OPT')}".split()
    configured = variable("CONFIG_ARGS")
    levels = [flag for flag in flags if flag.startswith("-O")]
    gil = getattr(sys, "_is_gil_enabled", None)
    return {
        "version": ".".join(str(part) for part in sys.version_info[:3]),
        "build": " ".join(sys.version.split()),
        "configured": configured,
        "debug": hasattr(sys, "gettotalrefcount"),
        "optimisation": levels[-1] if levels else None,
        "profile_guided": "--enable-optimizations" in configured if configured else None,
        "free_threaded": variable("Py_GIL_DISABLED") == "1",
        "gil": gil is None or bool(gil()),
    }


def _place() -> dict[str, Any]:
    return {
        "executable": str(_find(lambda: sys.executable) or ""),
        "prefix": str(_find(lambda: sys.prefix) or ""),
        "base_prefix": str(_find(lambda: sys.base_prefix) or ""),
    }


def _environment() -> dict[str, str]:
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("PYTHON")}


def _tls() -> str | None:
    import ssl

    return ssl.OPENSSL_VERSION


def _limit(name: str) -> int | None:
    import resource

    soft, _ = resource.getrlimit(getattr(resource, name))
    return None if soft == resource.RLIM_INFINITY else soft


def _extensions() -> Iterator[tuple[str, object]]:
    """The loaded modules that are shared libraries; what is built into libpython is not."""
    for name, module in sorted(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if isinstance(getattr(spec, "loader", None), ExtensionFileLoader):
            yield name, module


def _needs_gil(declares: Callable[[object], bool | None]) -> list[str] | None:
    if sys.version_info < (3, 13):  # before, no module could say that it needs none
        return None
    return [name for name, module in _extensions() if declares(module) is False]


def _copies() -> list[dict[str, str]]:
    """Each `httpy_rs` on `sys.path`: installed ones, which the server does not use."""
    from httpy_rs._embed import _version as version_in

    found = []
    for folder in sys.path:
        file = os.path.join(folder, "httpy_rs", "_version.py")
        if os.path.isfile(file):
            with open(file, encoding="utf-8", errors="replace") as text:
                found.append({"folder": os.path.dirname(file), "version": version_in(text.read(PTH_LIMIT))})
    return found


def _path(paths: Sequence[str]) -> list[dict[str, Any]]:
    origins = _find(lambda: _origins(paths)) or {}
    entries = []
    for entry in _find(lambda: [folder for folder in sys.path if isinstance(folder, str)]) or []:
        origin, file = origins.get(_real(entry), ("runtime", None))
        if origin == "runtime" and os.path.basename(entry) == "lib-dynload":
            origin = "standard_library"
        entries.append({"dir": entry, "origin": origin, "file": file, "exists": os.path.exists(entry or ".")})
    return entries


def _origins(paths: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """From a folder to where it comes from; of several reasons the first one counts."""
    import site
    import sysconfig

    known: dict[str, tuple[str, str | None]] = {}

    def add(folder: str | None, origin: str, file: str | None = None) -> None:
        if folder:
            known.setdefault(_real(folder), (origin, file))

    for folder in paths:
        add(folder, "builder")
    for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        add(folder, "environment")
    for name in ("stdlib", "platstdlib"):
        library = sysconfig.get_path(name, vars={"base": sys.base_prefix, "installed_base": sys.base_prefix})
        add(library, "standard_library")
        if library:
            add(os.path.join(library, "lib-dynload"), "standard_library")
            zipped = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
            add(os.path.join(os.path.dirname(library), zipped), "standard_library")
    in_venv = sys.prefix != sys.base_prefix
    folders = [(folder, "site_packages") for folder in site.getsitepackages([sys.base_prefix])]
    if in_venv:
        folders = [(folder, "virtual_environment") for folder in site.getsitepackages([sys.prefix])] + folders
    folders.append((_find(lambda: site.getusersitepackages()) or "", "user_site"))
    for folder, origin in folders:
        add(folder, origin)
    for folder, _ in folders:
        for file, target in _pth_entries(folder):
            add(target, "pth_file", file)
    return known


def _pth_entries(folder: str) -> Iterator[tuple[str, str]]:
    """The folders that the `.pth` files of `folder` name, each with its file."""
    names = sorted(name for name in _find(lambda: os.listdir(folder)) or [] if name.endswith(".pth"))
    for name in names[:LIST_LIMIT]:
        file = os.path.join(folder, name)
        for line in map(str.strip, _read(file).splitlines()):
            if line and not line.startswith(("#", "import ", "import\t")):
                yield file, os.path.join(folder, line)


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as text:
            return text.read(PTH_LIMIT)
    except OSError:
        return ""


def _real(folder: str) -> str:
    return os.path.realpath(folder)
