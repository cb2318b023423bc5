"""One server process with a faulty app and a healthy one, which can be paused. Requests are ``client``'s."""

import json
import re
import signal
import subprocess
from pathlib import Path

from run import server

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "python" / "fault"
GRACE = 10


class Server(server.Server):
    """``module`` has every path but ``/native``, ``/livez``, ``/readyz`` and ``/app2``, where the healthy app is."""

    def __init__(self, program, module, workers=None, **options):
        common = {"path": [str(FOLDER)], **({"workers": {"max": workers}} if workers else {})}
        apps = [{"target": f"{module}:handle", **common, **options}, {"target": "healthy:handle", **common}]
        setup = {"apps": apps, "grace": {"secs": GRACE, "nanos": 0}, "port": 0}
        super().__init__([program, json.dumps(setup)])

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def complaints(self):
        """The warnings and errors of its log, tracebacks without their further lines."""
        lines = self.log().splitlines()
        return [line.split(" ", 1)[1].strip() for line in lines if re.match(r"\S+Z +(WARN|ERROR) httpy: ", line)]

    def accepted(self):
        """How many requests it has read, as it says at its end."""
        found = re.search(r" (\d+) requests were accepted", self.log())
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
