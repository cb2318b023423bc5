"""`main`: puts the parts of a worker together, says hello, and serves until the parent has had enough or is gone."""

from __future__ import annotations

import os
import platform
import signal
import socket
import sys
from typing import Any, Dict, Tuple

from httpy_rs import _embed
from httpy_rs._version import __version__
from httpy_rs._worker import call, interruption
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.control import Control
from httpy_rs._worker.fork import leave_to_the_parent
from httpy_rs._worker.frame import frame
from httpy_rs._worker.sync_lane import SyncLane

PROTOCOL = 1

Settings = Dict[str, Any]


def main(control: socket.socket, settings: Settings) -> None:
    """Serves on `control`. Does not return."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave_to_the_parent)
    sys.setswitchinterval(settings["switch_interval"])
    paths = settings["paths"]
    sys.path[:] = [*paths, *(folder for folder in sys.path if folder not in paths)]
    connection = Connection(control, settings["debug"])
    call.connect()
    interruption.connect()
    sync, sync_parent = socket.socketpair()
    asynchronous, asynchronous_parent = socket.socketpair()
    lifeline, lifeline_parent = socket.socketpair()
    descriptors = [end.fileno() for end in (sync_parent, asynchronous_parent)]
    descriptors += [connection.mark.descriptor, lifeline_parent.fileno()]
    socket.send_fds(control, [frame([("hello", PROTOCOL, _facts())])], descriptors)
    for end in (sync_parent, asynchronous_parent, lifeline_parent):
        end.close()
    connection.mark.close_file()
    lane = SyncLane(connection, sync, settings["threads"])
    lane.start()
    serving = Control(connection, control)
    serving.asks["load"] = lambda name: _load(connection, name, paths)
    lanes = {call.SYNC: lane}
    serving.asks["recall"] = lane.recall
    serving.tells["relieve"] = lane.relieve
    for name in ("cancel", "interrupt", "credit", "upload"):
        serving.tells[name] = lambda of, *rest, name=name: getattr(lanes[of], name)(*rest)
    for name in settings["handlers"]:
        connection.targets.load(name, paths)
    connection.control.send(("ready",))
    serving.serve()
    connection.end()


def _load(connection: Connection, name: str, paths: Any) -> Tuple[int, str, bool]:
    index = connection.targets.load(name, paths)
    target = connection.targets[index]
    return index, target.wants, target.is_async


def _facts() -> Dict[str, Any]:
    return {
        "pid": os.getpid(),
        "version": ".".join(str(part) for part in sys.version_info[:3]),
        "implementation": sys.implementation.name,
        "gil": _embed.is_gil_enabled(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "httpy_rs": __version__,
    }
