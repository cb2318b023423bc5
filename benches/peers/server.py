"""The servers that are compared: how each is started, when it is ready, and how it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

BENCHES = Path(__file__).resolve().parents[1]
APPS = BENCHES / "python"
ENVIRONMENT = BENCHES.parent / ".venv-bench"
READY_WITHIN = 30  # seconds


@dataclass(frozen=True)
class Server:
    """`command` has `{port}`, and `{bench_server}` or `{bin}`, the folder with the peers' commands."""

    name: str
    label: str
    command: str
    package: str = ""  # the peer's, on PyPI; its command is called the same
    prefix: str = ""  # before each path


def granian(interface, name, label, more=""):
    options = f"--interface {interface} --workers 1 --http 1 --no-ws --log-level warning {more}"
    return Server(
        name, label, f"{{bin}}/granian --host 127.0.0.1 --port {{port}} {options} {interface}:app", package="granian"
    )


OURS = "{bench_server} 127.0.0.1:{port}"
THREADS = (64, 200, 400)

SERVERS = {
    server.name: server
    for server in (
        Server("native", "native axum route", OURS, prefix="/native"),
        Server("ours", "httpy, defaults", OURS, prefix="/python"),
        granian("rsgi", "granian-rsgi", "Granian RSGI"),
        granian("asgi", "granian-asgi", "Granian ASGI"),
        granian("wsgi", "granian-wsgi", "Granian WSGI, default threads"),
        Server(
            "uvicorn",
            "uvicorn, uvloop, httptools",
            "{bin}/uvicorn --host 127.0.0.1 --port {port} --workers 1 --loop uvloop --http httptools --ws none "
            "--no-access-log --log-level warning asgi:app",
            "uvicorn",
        ),
        Server("fastwsgi", "fastwsgi", "{bin}/fastwsgi --host 127.0.0.1 --port {port} wsgi:app", "fastwsgi"),
        Server(
            "robyn",
            "Robyn",
            "{bin}/python robyn_app.py {port} --processes 1 --workers 1 --log-level ERROR --disable-openapi",
            "robyn",
        ),
        # In the scenarios that ask for them only.
        Server("ours-64", "httpy, workers(64..=64)", OURS + " 64..=64", prefix="/python"),
        Server("two-apps", "httpy, two apps in one process", OURS),
        *(
            granian("wsgi", f"granian-wsgi-{n}", f"Granian WSGI, {n} threads", f"--blocking-threads {n}")
            for n in THREADS
        ),
    )
}


class NotInstalledError(Exception):
    """The server's package could not be installed; its text says where the reason stands."""


@dataclass(frozen=True)
class Running:
    """A server that takes connections."""

    pid: int
    base: str


@contextlib.contextmanager
def started(server, bench_server):
    """The server as a process group of its own, which is killed at the end, whatever happened.

    Raises `RuntimeError` where it is not ready in time, `NotInstalledError` where it is not there.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = server.command.format(bench_server=bench_server, bin=ENVIRONMENT / "bin", port=port).split()
    if server.package and not (ENVIRONMENT / "bin" / server.package).exists():
        raise NotInstalledError(f"{server.package}: see {ENVIRONMENT.name}/{server.package}.log")
    environment = {**os.environ, "PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=APPS, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            if not is_ready(process, port):
                log.seek(0)
                said = log.read().decode(errors="replace")[-2000:]
                raise RuntimeError(f"not ready in {READY_WITHIN} s, exit code {process.poll()}: {said}")
            yield Running(process.pid, f"http://127.0.0.1:{port}{server.prefix}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_ready(process, port):
    limit = time.monotonic() + READY_WITHIN
    while time.monotonic() < limit and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False
