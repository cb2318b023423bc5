"""Fits an interpreter that is embedded in a server for the code of an app, before any of it runs.

The server runs this file first and calls ``install``, then the functions at the end whenever their moment comes.
Nothing else imports it: in plain Python the package works without. Loading handlers is left to ``_load``.
"""

from __future__ import annotations

import builtins
import os
import sys

# What CPython and `site` have imported.
_BEFORE = frozenset(sys.modules)


class _LibraryFirst:
    """A context in which the standard library's folders come before all others on `sys.path`."""

    def __enter__(self) -> None:
        self._path = sys.path[:]
        sys.path.sort(key=lambda folder: not str(folder).startswith(_LIBRARY))

    def __exit__(self, *raised: object) -> None:
        sys.path[:] = self._path


_LIBRARY = os.path.dirname(os.__file__)

with _LibraryFirst():
    import threading
    from importlib import import_module
    from importlib.machinery import ModuleSpec, PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

# Not a path that could exist. Not in angle brackets as a whole either: linecache would not ask for the source then.
_FOLDER = "<httpy_rs>"
_PACKAGE = ".__init__"

# The modules of the standard library that this package imports, at the start or later; and uvloop.
_USED = (
    "annotationlib asyncio atexit codecs collections concurrent.futures.thread contextlib contextvars ctypes difflib "
    "faulthandler fcntl functools gc importlib.util inspect io json linecache logging mmap opcode re reprlib "
    "resource selectors signal site ssl stat struct sysconfig tempfile threading tokenize traceback types typing "
    "urllib.parse uvloop warnings weakref wsgiref.util"
)


def pause() -> None:
    """Does nothing; but before it runs, CPython looks for threads that wait for the interpreter, and gives way."""


class Importer:
    """Serves the package from memory, and prepares the modules of the standard library that need it."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources
        self._files = {_module_name(file): file for file in sources}
        # Each module is made once, whatever the app does to `sys.modules`.
        self._modules: dict[str, ModuleType] = {}
        # The built-in functions of this package's modules. What the app replaces are its own.
        self._builtins = {**vars(builtins), "__import__": self._import}
        self._plain_import = builtins.__import__
        # Modules of the standard library that the app hides, for this package.
        self._aside: dict[str, ModuleType] = {}
        self._is_alone = True
        self._preparations: dict[str, Callable[[ModuleType], None]] = {
            "multiprocessing.context": _prefer_spawn,
            "multiprocessing.spawn": self._carry_along,
            "bdb": _prepare_debugger,
        }

    def stand_first(self) -> None:
        """Wins over installed copies, and prepares what was imported already."""
        sys.meta_path.insert(0, self)
        for name, prepare in self._preparations.items():
            module = sys.modules.get(name)
            if module is not None:
                prepare(module)

    def make_way(self) -> None:
        """Lets the app import its own modules even where they have names of the standard library's.

        Called when the app's folders are on `sys.path`, before anything is imported from them. Modules of the library
        that only this package has imported, and that the app hides, are taken out of `sys.modules` and kept for this
        package, which imports all that it will ever need of the library before.
        """
        first, self._is_alone = self._is_alone, False
        hidden = _hidden()
        if not hidden:
            return
        # What another app has imported is its own.
        ours = set(sys.modules) - _BEFORE if first else set()
        others = set(sys.modules) - ours
        with _LibraryFirst():
            for name in _USED.split():
                try:
                    import_module(name)
                except Exception:  # of newer Pythons, of other builds, not installed
                    continue
        for name in set(sys.modules) - others:
            if name.partition(".")[0] in hidden:
                self._aside[name] = sys.modules.pop(name)

    def _import(
        self,
        name: str,
        globals: dict[str, Any] | None = None,  # noqa: A002
        locals: dict[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if top in self._aside:
            return self._aside[name if fromlist else top]
        return self._plain_import(name, globals, locals, fromlist, level)

    # The interface of a finder and loader.

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(name)
        if file is not None:
            spec = ModuleSpec(name, self, origin=f"{_FOLDER}/{file}", is_package=self.is_package(name))  # type: ignore[arg-type]
            spec.has_location = True
            return spec
        prepare = self._preparations.get(name)
        return None if prepare is None else _prepared_spec(name, path, prepare)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._modules.get(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        if self._modules.get(name) is module:
            return
        module.__dict__["__builtins__"] = self._builtins
        code = self.get_code(name)
        if self._is_alone:
            with _LibraryFirst():
                exec(code, module.__dict__)
        else:
            exec(code, module.__dict__)
        self._modules[name] = module

    def get_code(self, name: str) -> Any:
        file = self._files[name]
        return compile(self.sources[file], f"{_FOLDER}/{file}", "exec", dont_inherit=True)

    def get_source(self, name: str) -> str:
        try:
            return self.sources[self._files[name]]
        except KeyError:
            raise ImportError(f"no module {name} here", name=name) from None

    def is_package(self, name: str) -> bool:
        return self._files[name].endswith("__init__.py")

    def _carry_along(self, spawn: Any) -> None:
        """Processes that are spawned are plain Pythons: they get the package with their first message."""
        prepare = spawn.get_preparation_data

        def get_preparation_data(name: str) -> Any:
            data = prepare(name)
            data["httpy_rs"] = _Carried(self.sources)
            return data

        spawn.get_preparation_data = get_preparation_data


class _Carried:
    """Unpickles by making the package importable where it arrives."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def __reduce__(self) -> tuple[object, ...]:
        code = self._sources["_embed.py"] + "\nImporter(sources).stand_first()\n"
        return exec, (code, {"__name__": __name__, "sources": self._sources})


def _hidden() -> set[str]:
    """The names of the standard library's modules that other folders on `sys.path` have, too."""
    hidden: set[str] = set()
    for folder in map(str, sys.path):
        if folder.startswith(_LIBRARY):
            break
        try:
            names = {entry.partition(".")[0] for entry in os.listdir(folder)} & sys.stdlib_module_names
        except NotADirectoryError:  # an archive
            names = set(sys.stdlib_module_names)
        except OSError:
            continue
        for name in names:
            spec = PathFinder.find_spec(name, [folder])
            # A folder without code hides nothing.
            if spec is not None and spec.has_location:
                hidden.add(name)
    return hidden


def _module_name(file: str) -> str:
    """Of a file below the package's folder."""
    return ".".join(["httpy_rs", *file[: -len(".py")].split("/")]).removesuffix(_PACKAGE)


def _prepared_spec(name: str, path: Sequence[str] | None, prepare: Callable[[ModuleType], None]) -> ModuleSpec | None:
    spec = PathFinder.find_spec(name, path)
    if spec is not None and spec.loader is not None:
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            prepare(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
    return spec


def _prefer_spawn(context: Any) -> None:
    """Changes only the default: an app may still choose a start method, once, as everywhere."""
    context._default_context._default_context = context._concrete_contexts["spawn"]


def _prepare_debugger(bdb: ModuleType) -> None:
    from httpy_rs._debugger import prepare

    prepare(bdb)


def install(
    sources: dict[str, str],
    mark_forked: Callable[[], None],
    release_signals: Callable[[list[int]], bool],
    change_variable: Callable[[bytes, bytes | None], None],
    executables: tuple[str, str] | None,
) -> None:
    """Called once, on Python's main thread. Without ``executables`` the interpreter belongs to somebody else, who also
    decided about its signals."""
    importer = Importer(sources)
    importer.stand_first()
    globals().update(
        __loader__=importer, __spec__=importer.find_spec(__name__), __package__="httpy_rs", make_way=importer.make_way
    )
    # Before any code of the app.
    import_module("httpy_rs._own")
    from httpy_rs import _host

    _host.guard_environment(change_variable)
    os.register_at_fork(after_in_child=mark_forked)
    # After the hook of `threading`, which is imported by now.
    os.register_at_fork(after_in_child=_mend_main_thread)
    if executables is not None:
        sys.executable, sys._base_executable = executables  # type: ignore[attr-defined]
        _host.keep_signals()
        _host.release_signals(release_signals)
        _host.keep_streams()
        _host.keep_switch_interval()


def _mend_main_thread() -> None:
    """Makes a real main thread of a worker that is the only thread of a forked child.

    CPython does so itself from 3.12 on (gh-102512); before, `threading._shutdown` fails in such a child, and with it
    every process that `multiprocessing` forks.
    """
    thread = threading.current_thread()
    if isinstance(thread, threading._DummyThread) and getattr(thread, "_tstate_lock", 0) is None:
        thread.__class__ = threading._MainThread  # type: ignore[attr-defined]
        thread._name = "MainThread"  # type: ignore[attr-defined]
        thread._daemonic = False  # type: ignore[attr-defined]
        thread._set_tstate_lock()  # type: ignore[attr-defined]


def other_copy() -> str | None:
    """What is wrong with the installed copy that ``sys.path`` leads to, if there is one and it differs."""
    spec = PathFinder.find_spec("httpy_rs")
    if spec is None or spec.origin is None:
        return None
    folder = os.path.dirname(spec.origin)
    try:
        with open(os.path.join(folder, "_version.py"), encoding="utf-8") as file:
            installed = _version(file.read())
    except (OSError, ValueError):
        installed = ""
    from httpy_rs._version import __version__

    if installed == __version__:
        return None
    found = f"version {installed}" if installed else "no version"
    return f"httpy_rs in {folder} has {found}; the one that is used is the server's own, version {__version__}"


def _version(text: str) -> str:
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "__version__":
            return value.strip().strip("'\"")
    return ""


def is_gil_enabled() -> bool:
    """False only in a free-threaded build, as long as no import has switched the GIL on."""
    asks: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    return asks is None or asks()


def register_dump(signum: int, descriptor: int) -> None:
    """Has each thread that gets the signal write its frames there, for when the interpreter cannot be had."""
    import faulthandler

    faulthandler.register(signum, file=descriptor, all_threads=False, chain=False)
