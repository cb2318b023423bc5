"""`Worker`: what the parent can ask of a worker beyond jobs. All of it runs on the main thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from httpy_rs import _end
from httpy_rs._exception import attempt, describe
from httpy_rs._interface import ASGI, ASYNC, SYNC, Interface
from httpy_rs._load import LoadError, load_attribute, load_init, load_shutdown, run_init, run_startup
from httpy_rs._own import monotonic, say, sleep
from httpy_rs._worker import wire
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.event_loop import EventLoop
from httpy_rs._worker.frame import Broken, Message
from httpy_rs._worker.sync_lane import SyncLane
from httpy_rs._worker.target import Target, load_target

# What was asked to stop waits so many seconds for threads of the app's.
STOP_LIMIT = 10.0
# Tasks, threads and replies get so many seconds to end, however long the shutdown functions took.
LEAST = 1.0
# Seconds between two looks whether shields are left.
LOOK = 0.005


class Worker:
    """The parts that do it."""

    def __init__(
        self,
        connection: Connection,
        sync: SyncLane,
        event_loop: EventLoop,
        paths: list[str],
        set_level: Callable[[int], None],
    ) -> None:
        self._connection = connection
        self._sync = sync
        self._event_loop = event_loop
        self._paths = paths
        self.is_done = False
        """It has shut down."""
        self._shutdowns: list[tuple[Callable[[], Any], bool]] = []
        self._shutdowns_of_apps: list[Callable[[], Any]] = []
        connection.is_idle = lambda: sync.is_idle() and event_loop.is_idle()
        self.asks: dict[str, Callable[..., Any]] = {
            "load": self._load,
            "init": self._init,
            "load_shutdown": self._load_shutdown,
            "shut_down": self._shut_down,
            "examine": self._examine,
            "stacks": lambda: sync.stacks() + event_loop.stacks(),
            "figures": self._figures,
            "blocked": event_loop.blocked,
        }
        """What is answered."""
        self.tells: dict[str, Callable[..., Any]] = {
            "left": lambda lane, number: self._tell(lane, "left", number),
            "cancel": lambda lane, number: self._tell(lane, "cancel", number),
            "interrupt": lambda lane, number: self._tell(lane, "interrupt", number),
            "credit": lambda lane, number, size: self._tell(lane, "credit", number, size),
            "upload": lambda lane, number, item: self._tell(lane, "upload", number, item),
            "prepare": self._prepare,
            "relieve": self._relieve,
            "stop": self._stop,
            "log_level": set_level,
            "round": event_loop.come_round,
        }
        """What is not, or later."""

    def load_all(self, loaded: list[tuple[str, str, str, str]]) -> None:
        """Loads what every worker has, each at its place, and with the same interface as in all others.

        Raises `LoadError`, of the kind `reload` where a handler has another interface now.
        """
        for name, *words in loaded:
            was = Interface(*words)
            target = load_target(was.kind, name, self._paths)
            now = target.interface
            if was != now:
                raise LoadError(
                    "reload",
                    f"{name} is {_described(now)}, and was {_described(was)} when the server started: restart the "
                    "server for this change",
                )
            self._start(target)
            self._connection.targets.append(target)
        self._connection.note_start()

    def end(self) -> NoReturn:
        """The control socket is at its end: the parent has gone, or what it has told to stop has come to rest."""
        if self._connection.stopping and self._connection.is_idle():
            for failure in self._end_apps(monotonic() + STOP_LIMIT):
                say(failure[2])
            tasks, _ = self._event_loop.close(LEAST)
            if tasks:
                say(f"httpy: tasks were left behind at the end of their event loop: {', '.join(tasks)}\n")
            self._flush()
            try:
                _, errors = _end.shut_down(STOP_LIMIT, self._idle_threads())
                say("".join(errors))
            except BaseException as error:  # the app has broken what that needs
                _, _, traceback, _ = describe(error)
                say(traceback)
            self._connection.control.settle(LEAST)
        self._connection.end()

    def _load(self, kind: str, name: str) -> Message:
        targets = self._connection.targets
        index = targets.app(kind, name)
        if index is None:
            target = load_target(kind, name, self._paths)
            self._start(target)
            index = targets.add(target)
        self._connection.note_start()
        return wire.loaded(index, targets[index].interface)

    def _prepare(self, name: str) -> None:
        """Imports the module of a handler that is about to be loaded. What is wrong with it is told by who loads it."""
        attempt(lambda: load_attribute(name.removesuffix("()"), self._paths), None)

    def _start(self, target: Target) -> None:
        """What calls of `target` run on, and its own startup. Raises `LoadError`."""
        if target.interface.lane == ASYNC:
            self._event_loop.start()
        if target.interface.kind == ASGI:
            app: Any = target.function
            run_startup(target.name, lambda: self._event_loop.call(app.startup, None))
            self._shutdowns_of_apps.append(app.shutdown)

    def _end_apps(self, ends: float) -> list[wire.Described]:
        """Ends the applications, the last one first: what that has raised."""
        failures = []
        while self._shutdowns_of_apps:
            shutdown = self._shutdowns_of_apps.pop()
            try:
                self._event_loop.call(shutdown, max(LEAST, ends - monotonic()))
            except BaseException as error:
                failures.append(self._connection.exception(error))
        return failures

    def _init(self, name: str) -> list[tuple[str, list[str]]]:
        init, is_async = load_init(name, self._paths)
        try:
            return run_init(name, (lambda: self._event_loop.call(init, None)) if is_async else init)
        finally:
            self._connection.note_start()

    def _load_shutdown(self, name: str) -> None:
        self._shutdowns.append(load_shutdown(name, self._paths))

    def _shut_down(self, limit: float, shielded: float = 0.0) -> Message:
        """What shutdown functions raised, the names of tasks and of threads that went on, and tracebacks of all else.

        First, what handlers have shielded has `shielded` seconds. The process ends when that is told.
        """
        ends = monotonic() + shielded
        while monotonic() < ends and (self._sync.is_shielded() or self._event_loop.is_shielded()):
            sleep(LOOK)
        ends = monotonic() + limit
        failures = []
        for function, is_async in self._shutdowns:
            try:
                if is_async:
                    self._event_loop.call(function, max(0.0, ends - monotonic()))
                else:
                    function()
            except BaseException as error:
                failures.append(self._connection.exception(error))
        failures += self._end_apps(ends)
        tasks, of_loop = self._event_loop.close(max(LEAST, ends - monotonic()))
        threads, errors = _end.shut_down(limit, self._idle_threads())
        self._flush()
        self.is_done = True
        return wire.ended(failures, tasks, of_loop + threads, errors)

    def _idle_threads(self) -> set[int]:
        return {*self._sync.idle_threads(), *self._event_loop.ended_threads()}

    def _examine(self) -> str:
        from httpy_rs._doctor import examine

        # Whether an extension module needs no GIL is written where only C code can read it.
        return examine(self._paths, lambda module: None)

    def _figures(self) -> Message:
        from httpy_rs._figures import take

        return wire.figures(*take(), *self._event_loop.figures())

    def _relieve(self) -> None:
        self._event_loop.flush()
        self._sync.relieve()

    def _stop(self) -> None:
        self._connection.stopping = True
        self._sync.stop()
        self._event_loop.tell("stop")
        self._connection.note_end()

    def _tell(self, lane: str, name: str, *arguments: Any) -> None:
        if lane == SYNC:
            getattr(self._sync, name)(*arguments)
        elif lane == ASYNC:
            self._event_loop.tell(name, *arguments)
        else:
            raise Broken(f"the name of a lane {str(lane)[:32]!r}")

    def _flush(self) -> None:
        self._sync.outlet.settle(LEAST)
        self._event_loop.settle(LEAST)


def _described(interface: Interface) -> str:
    is_async = interface.lane == ASYNC
    body = {"text": "str", "bytes": "bytes"}.get(interface.body, "AsyncBody" if is_async else "Body")
    return f"{'an async' if is_async else 'a plain'} function with a body: {body}"
