"""`Parent`: what the server is to a worker process, for tests: it starts one, sends frames and reads them."""

from __future__ import annotations

import marshal
import os
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpy_rs

PACKAGE = Path(httpy_rs.__file__).parent
# Far more than anything takes: a test that would wait for ever fails instead.
PATIENCE = 60.0

SETTINGS: dict[str, Any] = {
    "name": "httpy-process-1",
    "threads": 4,
    "in_flight": 100,
    "uvloop": False,
    "switch_interval": 0.001,
    "logging": True,
    "log_level": 30,
    "debug": False,
}


def sources() -> dict[str, str]:
    files = PACKAGE.rglob("*.py")
    return {file.relative_to(PACKAGE).as_posix(): file.read_text(encoding="utf-8") for file in files}


class Inbox:
    """The receiving end of a socket."""

    def __init__(self, receiving: socket.socket) -> None:
        self.socket = receiving
        self._messages: deque[tuple[Any, ...]] = deque()

    def get(self) -> tuple[Any, ...]:
        """The next message. Raises `EOFError`."""
        while not self._messages:
            (size,) = struct.unpack("<I", self._read(4))
            self._messages.extend(marshal.loads(self._read(size)))
        return self._messages.popleft()

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                part = self.socket.recv(size - len(data))
            except ConnectionResetError:
                part = b""
            if not part:
                raise EOFError
            data += part
        return data


def send(to: socket.socket, value: Any) -> None:
    payload = marshal.dumps(value, 2)
    to.sendall(struct.pack("<I", len(payload)) + payload)


class Parent:
    """One worker process, and our ends of its sockets."""

    def __init__(
        self,
        folder: Path,
        handlers: Sequence[tuple[str, str, str, str]],
        *,
        environ: Mapping[str, str] = {},
        inherits: Sequence[int] = (),
        **settings: Any,
    ) -> None:
        ours, theirs = socket.socketpair()
        boot = (PACKAGE / "_boot.py").read_bytes()
        ours.sendall(boot)
        command = [
            sys.executable,
            "-u",
            "-X",
            "utf8",
            "-c",
            f"import os;exec(os.read(0,{len(boot)}))",
            SETTINGS["name"],
        ]
        pipe, own = subprocess.PIPE, theirs.fileno()
        self.process = subprocess.Popen(
            command,
            stdin=own,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            env={**os.environ, **environ},
            pass_fds=inherits,
        )
        theirs.close()
        ours.settimeout(PATIENCE)
        send(ours, (sources(), {**SETTINGS, "paths": [str(folder)], "handlers": list(handlers), **settings}))
        data, descriptors, _, _ = socket.recv_fds(ours, 64 * 1024, 8)
        assert struct.unpack("<I", data[:4]) == (len(data) - 4,)
        (self.hello,) = marshal.loads(data[4:])
        sync, asynchronous, self.mark, self.lifeline = descriptors
        self.control = Inbox(ours)
        self.lanes = {"sync": self._lane(sync), "async": self._lane(asynchronous)}
        self._numbers = {"sync": 0, "async": 0}
        self._asked = 0

    def _lane(self, descriptor: int) -> Inbox:
        lane = socket.socket(fileno=descriptor)
        lane.settimeout(PATIENCE)
        return Inbox(lane)

    def __enter__(self) -> Parent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.hang_up()
        self.process.kill()
        self.process.communicate()

    def hang_up(self) -> None:
        """Closes everything, as the end of the parent does."""
        self.leave_control()
        for lane in self.lanes.values():
            lane.socket.close()
        for descriptor in (self.mark, self.lifeline):
            if descriptor >= 0:
                os.close(descriptor)
        self.mark = self.lifeline = -1

    def leave_control(self) -> None:
        self.control.socket.close()

    def wait(self) -> int:
        """How the process ended."""
        return self.process.wait(PATIENCE)

    def output(self) -> tuple[str, str]:
        """What it has printed, once it has ended."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return out.decode(), err.decode()

    # The control socket.

    def ready(self) -> Parent:
        assert self.control.get() == ("ready",)
        return self

    def tell(self, *messages: tuple[Any, ...]) -> None:
        send(self.control.socket, list(messages))

    def ask(self, name: str, *arguments: Any) -> Any:
        """What is answered."""
        self._asked += 1
        self.tell((name, self._asked, *arguments))
        word, number, *rest = self.control.get()
        assert (word, number) == ("ok", self._asked), rest
        return rest[0]

    def fail(self, name: str, *arguments: Any) -> tuple[str, str, Any]:
        """Kind, message and exception of what fails."""
        self._asked += 1
        self.tell((name, self._asked, *arguments))
        word, number, *rest = self.control.get()
        assert (word, number) == ("error", self._asked), rest
        return rest[0], rest[1], rest[2]

    def blocked(self) -> Any:
        """What keeps the loop; that it has come round for others meanwhile is passed over."""
        return self._ask_beside_rounds("blocked")

    def stacks(self) -> Any:
        """Where the calls are, and the loop; likewise."""
        return self._ask_beside_rounds("stacks")

    def _ask_beside_rounds(self, name: str) -> Any:
        self._asked += 1
        self.tell((name, self._asked))
        while True:
            answer = self.control.get()
            if answer[:2] == ("ok", self._asked):
                return answer[2]
            assert answer == ("ok", 0, None)

    def logged(self) -> str:
        """The message of the next record."""
        record = self.control.get()
        assert record[0] == "log", record
        return str(record[6])

    # The lanes.

    def job(
        self,
        handler: int = 0,
        body: Any = "",
        *,
        lane: str = "sync",
        method: str = "GET",
        path: str = "/",
        headers: Mapping[str, list[str]] = {},
        left: float = 30.0,
        trace: str | None = None,
        timed: bool = False,
        chunk_timeout: float = 30.0,
    ) -> tuple[Any, ...]:
        """A job with the next number."""
        self._numbers[lane] += 1
        details = (path, None, ("127.0.0.1", 50000), "http", "1.1", left, '{"user": 1}', trace, timed, chunk_timeout)
        given = {"Host": ["localhost"], **headers}
        return self._numbers[lane], handler, method, path, {}, {}, given, body, details

    def run(self, *jobs: tuple[Any, ...], lane: str = "sync") -> None:
        """Sends them in one frame."""
        send(self.lanes[lane].socket, list(jobs))

    def call(self, handler: int = 0, body: Any = "", *, lane: str = "sync", **rest: Any) -> int:
        """Sends one job; its number."""
        job = self.job(handler, body, lane=lane, **rest)
        self.run(job, lane=lane)
        return int(job[0])

    def get(self, lane: str = "sync") -> tuple[Any, ...]:
        return self.lanes[lane].get()

    def result(self, handler: int = 0, body: Any = "", *, lane: str = "sync", **rest: Any) -> Any:
        """What a handler returned, where that is sent as it is."""
        number = self.call(handler, body, lane=lane, **rest)
        reply = self.get(lane)
        assert reply[:2] == (number, "r"), reply
        return reply[2]

    def begun(self) -> tuple[int, int]:
        """What the mark says."""
        sync, asynchronous = struct.unpack("<QQ", os.pread(self.mark, 16, 0))
        return sync, asynchronous
