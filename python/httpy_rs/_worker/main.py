"""`main`: puts the parts of a worker together, says hello, and serves until the parent has had enough or is gone."""

from __future__ import annotations

import _socket
import os
import signal
import sys
from collections.abc import Callable
from struct import Struct
from typing import Any

from httpy_rs import _debugger, _embed
from httpy_rs._version import __version__
from httpy_rs._worker import call, interruption, wire
from httpy_rs._worker.bytecode import keep_fresh
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.control import Control
from httpy_rs._worker.descriptor import keep
from httpy_rs._worker.event_loop import EventLoop
from httpy_rs._worker.fork import leave_to_the_parent
from httpy_rs._worker.frame import frame
from httpy_rs._worker.life import end_with
from httpy_rs._worker.sync_lane import SyncLane
from httpy_rs._worker.worker import Worker

PROTOCOL = 3


def main(control: _socket.socket, settings: dict[str, Any], make_way: Callable[[], object]) -> None:
    """Serves on `control`. Does not return. `make_way` is for the app's modules, once their folders are known."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave_to_the_parent)
    sys.setswitchinterval(settings["switch_interval"])
    paths: list[str] = settings["paths"]
    sys.path[:] = [*paths, *(folder for folder in sys.path if folder not in paths)]
    make_way()
    keep_fresh()
    connection = Connection(control, settings["debug"])
    call.connect()
    interruption.connect()
    _debugger.refusal = _debugger.IN_WORKER
    sync, asynchronous, lifeline = _say_hello(control, connection)
    end_with(lifeline)
    ends = (control, sync, asynchronous, lifeline)
    connection.fork.watch([end.close for end in ends])
    keep(frozenset(end.fileno() for end in ends), lambda: connection.fork.is_child)
    # Half a switch interval: who runs on the loop lets others run as often as threads do.
    turn = settings["switch_interval"] / 2
    event_loop = EventLoop(connection, asynchronous, settings["in_flight"], settings["uvloop"], turn)
    lane = SyncLane(connection, sync, settings["threads"])
    set_level = _connect_log(connection, settings["log_level"]) if settings["logging"] else _ignore
    worker = Worker(connection, lane, event_loop, paths, set_level)
    serving = Control(connection, control, worker)
    try:
        if serving.answered(0, worker.load_all, settings["handlers"]):
            connection.control.send(wire.READY)
        lane.start()
        serving.serve()
    except BaseException as error:
        connection.fail(error)
    worker.end()


def _say_hello(control: _socket.socket, connection: Connection) -> list[_socket.socket]:
    """Makes the other sockets, and gives the parent its ends of them: ours."""
    pairs = [_socket.socketpair() for _ in range(3)]
    for ours, _ in pairs:
        ours.settimeout(None)  # whatever the default is
    sync, asynchronous, lifeline = (theirs.fileno() for _, theirs in pairs)
    descriptors = Struct("4i").pack(sync, asynchronous, connection.mark.descriptor, lifeline)
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)
    control.sendmsg([frame([wire.hello(PROTOCOL, _facts())])], [rights])
    for _, theirs in pairs:
        theirs.close()
    connection.mark.close_file()
    return [ours for ours, _ in pairs]


def _facts() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "version": ".".join(str(part) for part in sys.version_info[:3]),
        "gil": _embed.is_gil_enabled(),
        "executable": sys.executable or "",
        "prefix": sys.prefix,
        "httpy_rs": __version__,
        "warning": _embed.other_copy(),
    }


def _connect_log(connection: Connection, level: int) -> Any:
    from httpy_rs._worker.log import connect

    return connect(connection, level)


def _ignore(level: int) -> None:
    """Nothing is taken of the log."""
