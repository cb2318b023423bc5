"""One server process with a faulty app and a healthy one: started, looked at, ended. Requests are ``client``'s."""

import json
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "python" / "fault"
GRACE = 10
LIMIT = 120


class Server:
    """``module`` has every path but ``/native``, ``/livez``, ``/readyz`` and ``/app2``, where the healthy app is."""

    def __init__(self, program, module, workers=None, **options):
        self._folder = tempfile.TemporaryDirectory()
        common = {"path": [str(FOLDER)], **({"workers": {"max": workers}} if workers else {})}
        apps = [{"target": f"{module}:handle", **common, **options}, {"target": "healthy:handle", **common}]
        setup = {"apps": apps, "grace": {"secs": GRACE, "nanos": 0}, "port": 0}
        self._output, self._log = (Path(self._folder.name, name) for name in ("stdout", "stderr"))
        with self._output.open("wb") as output, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [program, json.dumps(setup)], cwd=self._folder.name, stdin=subprocess.DEVNULL, stdout=output, stderr=log
            )
        self.address = ("127.0.0.1", self._port())

    def _port(self):
        start = time.monotonic()
        while time.monotonic() - start < LIMIT:
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)\n", self._output.read_text())
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise SystemExit(f"the server does not start:\n{self._log.read_text()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    def status(self, name):
        """A number of ``/proc/PID/status``: ``VmRSS``, ``VmHWM`` (both in KiB), ``Threads``."""
        found = re.search(rf"^{name}:\s*(\d+)", Path(f"/proc/{self.process.pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self, number=signal.SIGTERM):
        """Exit code (negative for a signal) and seconds until the end; ``None`` and the limit when it does not end."""
        start = time.monotonic()
        self.process.send_signal(number)
        return self.wait(start)

    def wait(self, start):
        try:
            code = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            code = None
        return code, time.monotonic() - start

    def complaints(self):
        """The warnings and errors of its log, tracebacks without their further lines."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line.split(" ", 1)[1].strip() for line in lines if re.match(r"\S+Z +(WARN|ERROR) httpy: ", line)]

    def accepted(self):
        """How many requests it has read, as it says at its end."""
        found = re.search(r" (\d+) requests were accepted", self._log.read_text(errors="replace"))
        return int(found[1]) if found else None


class Busy:
    """A process that keeps one core busy and is not Python."""

    def __init__(self):
        self.process = subprocess.Popen(["sh", "-c", "while :; do :; done"])

    def __enter__(self):
        self.pause()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    pause, go_on = Server.pause, Server.go_on
