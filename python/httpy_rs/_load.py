"""Loading: from `"module:attribute"` to a checked handler, or to what an init function returned.

Runs on the server's main Python thread and in `httpy_rs.testing`. Every way to fail is a `LoadError` whose `kind`
tells programs, and whose message tells people, which one it was. How functions are inspected stands in `_signature`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from typing import Any

from httpy_rs._exception import attempt, clean, summary, user_frames
from httpy_rs._interface import ASGI, ASYNC, HANDLER, STREAM, SYNC, WSGI, Interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from httpy_rs._interface.asgi import App
    from httpy_rs._interface.wsgi import App as WsgiApp
    from httpy_rs._signature import Signature

__tracebackhide__ = True  # pytest leaves the frames of this file out

ARGUMENTS = "(method, path, params, query, headers, body)"
_ASGI_APP = "an ASGI app, which takes (scope, receive, send)"
_WSGI_APP = "a WSGI app, which takes (environ, start_response)"
_ANY_NUMBER = 100  # of arguments: more than any function has parameters


class LoadError(Exception):
    """Why a target cannot be used; the user's own exception, if there was one, is the `__cause__`."""

    def __init__(self, kind: str, message: str) -> None:
        # The server reads the message as UTF-8; a folder's name need not be that.
        self.kind = kind
        self.message = clean(message)
        super().__init__(self.message)


def load_attribute(target: str, paths: Sequence[str]) -> Any:
    """What `target` names. Its module may be anywhere on `sys.path`, but where one of `paths` has it, it must be that.

    Raises `LoadError` of the kinds `target`, `module_not_found`, `import`, `module_conflict`, `attribute_not_found`.
    """
    module_name, attribute = _parse(target)
    # Before: a module of this name that is held already would be taken without a look at `paths`.
    _refuse_other_file(module_name, paths)
    module = _import(module_name)
    # After: another folder of `sys.path` may have come first.
    _refuse_other_file(module_name, paths)
    found: Any = module
    place = f'module "{module_name}"{_in_file(module)}'
    for part in attribute.split("."):
        found = _attribute(found, part, place, target)
        place = f"{place}, {part}"
    return found


def load_handler(target: str, paths: Sequence[str]) -> tuple[Callable[..., Any], Interface]:
    """The handler that `target` names, and its interface.

    Raises `LoadError`: the kinds of `load_attribute`, and those of `check_handler`.
    """
    handler = load_attribute(target, paths)
    return handler, check_handler(target, handler)


def check_handler(target: str, handler: object) -> Interface:
    """The interface of `handler`.

    Raises `LoadError` of the kinds `not_callable`, `generator_handler`, `signature`.
    """
    body = "text"
    if not (_is_simple(handler) and _accepts(handler, 6)):
        signature = _signature(target, handler)
        if not signature.accepts(6):
            raise LoadError("signature", f"{target} takes {signature}: expected six positional arguments {ARGUMENTS}")
        body = signature.body_mode(6)
    return Interface(HANDLER, ASYNC if _is_async(handler) else SYNC, body)


def load(kind: str, target: str, paths: Sequence[str]) -> tuple[Callable[..., Any], Interface]:
    """What `target` names, to be called as `kind` says, and its interface.

    Raises `LoadError`: the kinds of `load_handler`, or those of `load_asgi`.
    """
    if kind == ASGI:
        return load_asgi(target, paths), Interface(kind, ASYNC, STREAM)
    if kind == WSGI:
        return load_wsgi(target, paths), Interface(kind, SYNC, STREAM)
    return load_handler(target, paths)


def check_again(target: str, paths: Sequence[str]) -> bool:
    """Raises `LoadError` if an app that is loaded is another one by these `paths`: the kinds of `load_attribute`."""
    load_attribute(target.removesuffix("()"), paths)
    return True


def run_startup(target: str, startup: Callable[[], Any]) -> bool:
    """Runs the startup of an app. Raises `LoadError` of the kind `startup`."""
    from httpy_rs._interface.lifespan import LifespanError

    try:
        startup()
    except LifespanError as exception:
        raise LoadError("startup", str(exception)) from exception
    except BaseException as exception:
        raise LoadError("startup", f"the startup of {target} raised {summary(exception)}") from exception
    return True


def load_asgi(target: str, paths: Sequence[str]) -> App:
    """The ASGI app that `target` names, or that the factory which it names returns (`"module:attribute()"`).

    Raises `LoadError`: the kinds of `load_attribute`, and `not_callable`, `generator_handler`, `signature`; `import`
    if the factory raises.
    """
    from httpy_rs._interface.asgi import App  # imports asyncio
    from httpy_rs._signature import Signature

    app = _load_app(target, paths)
    if not callable(app):
        raise LoadError("not_callable", f"{target} is of type {_type_name(app)}: expected {_ASGI_APP}")
    signature = Signature(app)
    # All of a factory's parameters may be optional; those of a wrapper take any number.
    if signature.accepts(3) and (not signature.accepts(0) or signature.accepts(_ANY_NUMBER)):
        return App(target, app)
    if signature.accepts(1) and not signature.accepts(0):  # as in ASGI 2
        return App(target, lambda scope, receive, send: app(scope)(receive, send))
    hint = ""
    if signature.accepts(0) and not target.endswith("()"):
        hint = f'; if it is a factory, the target is "{target}()"'
    elif signature.accepts(2):
        hint = ": is it a WSGI app?"
    elif signature.accepts(6):
        hint = ": is it a handler?"
    raise LoadError("signature", f"{target} takes {signature}: expected {_ASGI_APP}{hint}")


def load_wsgi(target: str, paths: Sequence[str]) -> WsgiApp:
    """The WSGI app that `target` names, or that the factory which it names returns (`"module:attribute()"`).

    Raises `LoadError`: the kinds of `load_asgi`.
    """
    from httpy_rs._interface.wsgi import App
    from httpy_rs._signature import Signature

    app = _load_app(target, paths)
    if not callable(app):
        raise LoadError("not_callable", f"{target} is of type {_type_name(app)}: expected {_WSGI_APP}")
    signature = Signature(app)
    if signature.accepts(2) and (not signature.accepts(0) or signature.accepts(_ANY_NUMBER)) and not _is_async(app):
        return App(target, app, multiprocess="httpy_rs._worker.main" in sys.modules)
    hint = ""
    if signature.accepts(0) and not target.endswith("()"):
        hint = f'; if it is a factory, the target is "{target}()"'
    elif signature.accepts(3) or _is_async(app):
        hint = ": is it an ASGI app?"
    elif signature.accepts(6):
        hint = ": is it a handler?"
    raise LoadError("signature", f"{target} takes {signature}: expected {_WSGI_APP}{hint}")


def check_plain(target: str, function: object, kind: str) -> bool:
    """Whether an init or shutdown function is async.

    Raises `LoadError` of the kinds `not_callable`, `generator_handler`, and `kind` where it cannot be called without
    arguments.
    """
    if not (_is_simple(function) and _accepts(function, 0)):
        signature = _signature(target, function)
        if not signature.accepts(0):
            raise LoadError(kind, f"{target} takes {signature}: expected a function without arguments")
    return _is_async(function)


def load_init(target: str, paths: Sequence[str]) -> tuple[Callable[[], Any], bool]:
    """The init function that `target` names, and whether it is async.

    Raises `LoadError`: the kinds of `load_attribute`, and `not_callable`, `generator_handler`, `init_signature`.
    """
    return _load_plain(target, paths, "init_signature")


def load_shutdown(target: str, paths: Sequence[str]) -> tuple[Callable[[], Any], bool]:
    """The shutdown function that `target` names, and whether it is async.

    Raises `LoadError`: the kinds of `load_attribute`, and `not_callable`, `generator_handler`, `shutdown_signature`.
    """
    return _load_plain(target, paths, "shutdown_signature")


def run_init(target: str, init: Callable[[], Any]) -> list[tuple[str, list[str]]]:
    """Calls the init function that `target` names; its routes with their methods, in its order.

    Raises `LoadError` of the kinds `init_exception`, `init_result`.
    """
    try:
        result = init()
    except BaseException as exception:
        raise LoadError("init_exception", f"{target} raised {summary(exception)}") from exception
    return _routes(target, result)


def _load_plain(target: str, paths: Sequence[str], kind: str) -> tuple[Callable[[], Any], bool]:
    function = load_attribute(target, paths)
    return function, check_plain(target, function, kind)


def _load_app(target: str, paths: Sequence[str]) -> Any:
    """What `target` names; if it ends with `()`, what that returns."""
    if not target.endswith("()"):
        return load_attribute(target, paths)
    name = target[:-2]
    factory = load_attribute(name, paths)
    if check_plain(name, factory, "signature"):
        raise LoadError("signature", f"{name} is async: expected a plain function that returns the app")
    try:
        return factory()
    except BaseException as exception:
        raise LoadError("import", f"{target} raised {summary(exception)}") from exception


def _parse(target: str) -> tuple[str, str]:
    module_name, colon, attribute = target.partition(":")
    names = [*module_name.split("."), *attribute.split(".")]
    if not colon or not all(name.isidentifier() for name in names):
        raise LoadError(
            "target", f'"{target}" is not a target: expected "module:attribute", for example "worker:go_request"'
        )
    return module_name, attribute


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exception:
        # Only without a frame of the user's is it the module itself that is missing, not something it needs.
        if f"{name}.".startswith(f"{exception.name}.") and user_frames(exception) is None:
            raise LoadError(
                "module_not_found",
                f'no module "{name}" on sys.path ({", ".join(map(str, sys.path))}): {exception}'
                # The app's own module: a package of that name would be a stranger's.
                f"{_remedy(exception, install=False)}",
            ) from exception
        raise LoadError(
            "import", f'importing "{name}" raised {summary(exception)}{_remedy(exception, install=True)}'
        ) from exception
    except BaseException as exception:
        raise LoadError("import", f'importing "{name}" raised {summary(exception)}') from exception


def _remedy(exception: ModuleNotFoundError, *, install: bool) -> str:
    """Which Python has no such module, and how it gets it; empty where a package that it has lacks a module."""
    name = exception.name
    if not isinstance(name, str) or name.partition(".")[0] in sys.modules:
        return ""
    python = f"Python {sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"
    if name in sys.stdlib_module_names:
        return f" ({python}, {sys.base_prefix}, was built without it)"
    if sys.prefix != sys.base_prefix:
        place = f"{python}, virtual environment {sys.prefix}"
    else:
        place = f"{python}, no virtual environment: set VIRTUAL_ENV or the option venv if the app has one"
    if not (install and sys.executable):
        return f" ({place})"
    package = name.partition(".")[0]
    return (
        f" ({place}; to install its package: {sys.executable} -m pip install {package}; some packages have another "
        "name than their module)"
    )


def _refuse_other_file(name: str, paths: Sequence[str]) -> None:
    """Refuses a module, or a package around it, that is held from another file than the one in `paths`."""
    folders = list(paths)
    prefix = ""
    for part in name.split("."):
        prefix = f"{prefix}.{part}" if prefix else part
        spec = PathFinder.find_spec(prefix, folders) if folders else None
        held = sys.modules.get(prefix)
        if spec is None or held is None:
            return
        wanted_file = spec.origin if spec.has_location else None
        held_file = _file(held)
        # A namespace package has no file of its own: what is inside decides.
        if wanted_file is not None and (held_file is None or not _same_file(wanted_file, held_file)):
            raise LoadError(
                "module_conflict",
                f'module "{prefix}" would be {wanted_file}, but Python already holds a module of that name from '
                f"{held_file or 'no file (built in)'}: give one of them another name, or put it into a package",
            )
        folders = list(spec.submodule_search_locations or ())


def _same_file(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _file(module: object) -> str | None:
    file = attempt(lambda: getattr(module, "__file__", None), None)
    return file if isinstance(file, str) else None


def _in_file(module: object) -> str:
    file = _file(module)
    return "" if file is None else f" ({file})"


def _attribute(owner: object, name: str, place: str, target: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as exception:
        import difflib  # only the message needs it

        names: list[str] = attempt(lambda: dir(owner), [])
        near = difflib.get_close_matches(name, names, n=3)
        hint = f"; near names: {', '.join(near)}" if near else ""
        raise LoadError("attribute_not_found", f'{place} has no attribute "{name}"{hint}') from exception
    except BaseException as exception:  # a `__getattr__` of the module, a property
        raise LoadError("import", f"reading {target} raised {summary(exception)}") from exception


# Flags of code, as `inspect` has them.
_VARARGS, _GENERATORS, _COROUTINE = 0x04, 0x20 | 0x100 | 0x200, 0x80


def _is_simple(function: Any) -> bool:
    """Whether all about a function is in its code: it is not decorated, nor annotated, and no generator.

    Most are, and what reads the others, `inspect` above all, takes a tenth of a start to import.
    """
    return (
        type(function) is type(_is_simple)
        and not function.__dict__
        # From Python 3.14 on annotations are evaluated when they are read.
        and getattr(function, "__annotate__", None) is None
        and not function.__annotations__
        and not function.__code__.co_flags & _GENERATORS
    )


def _accepts(function: Any, count: int) -> bool:
    """Whether a simple function can be called with `count` positional arguments, as far as that is simple to tell."""
    code = function.__code__
    if code.co_kwonlyargcount:
        return False
    needed = code.co_argcount - len(function.__defaults__ or ())
    return needed <= count and bool(count <= code.co_argcount or code.co_flags & _VARARGS)


def _is_async(function: Any) -> bool:
    if _is_simple(function):
        return bool(function.__code__.co_flags & _COROUTINE)
    from httpy_rs._signature import is_async

    return is_async(function)


def _signature(target: str, function: object) -> Signature:
    from httpy_rs._signature import Signature, is_generator

    if not callable(function):
        raise LoadError("not_callable", f"{target} is of type {_type_name(function)}: expected a function")
    if is_generator(function):
        raise LoadError(
            "generator_handler",
            f"{target} is a generator function: expected one that returns; a handler that streams returns "
            "(status, generator(), headers), with the generator as its body",
        )
    return Signature(function)


def _routes(target: str, result: Any) -> list[tuple[str, list[str]]]:
    def wrong(what: str) -> LoadError:
        return LoadError("init_result", f"{target} returned {what}")

    if result is None:
        return []
    if not isinstance(result, dict):
        raise wrong(f"{_type_name(result)}: expected a dict of routes to lists of methods, or None")
    routes = []
    for number, (route, methods) in enumerate(list(result.items()), start=1):
        if not isinstance(route, str):
            raise wrong(f"a route of type {_type_name(route)} (entry {number}): expected str")
        if not isinstance(methods, (list, tuple)):
            raise wrong(f'{route!r} with {_type_name(methods)}: expected a list or tuple of str, such as ["GET"]')
        for index, method in enumerate(methods):
            if not isinstance(method, str):
                raise wrong(f"{route!r} with a method of type {_type_name(method)} at index {index}: expected str")
        for text in (route, *methods):
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise wrong(f"{text!r} (entry {number}): expected text that encodes as UTF-8")
        routes.append((route, list(methods)))
    return routes


def _type_name(value: object) -> str:
    return type(value).__name__
