"""One server process of ours, which prints where it listens: started, looked at, ended."""

import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from . import process

LIMIT = 120  # seconds, for the start and for the end


class Server:
    """Runs in a folder of its own. Raises `RuntimeError` where it does not start."""

    def __init__(self, command):
        self._folder = tempfile.TemporaryDirectory()
        self._output, self._log = (Path(self._folder.name, name) for name in ("stdout", "stderr"))
        with self._output.open("wb") as output, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self._folder.name, stdin=subprocess.DEVNULL, stdout=output, stderr=log
            )
        self.pid = self.process.pid
        self.address = ("127.0.0.1", self._port())
        self.base = f"http://127.0.0.1:{self.address[1]}"

    def _port(self):
        end = time.monotonic() + LIMIT
        while time.monotonic() < end and self.process.poll() is None:
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)\n", self._output.read_text())
            if found:
                return int(found[1])
            time.sleep(0.02)
        text = self.log()[-2000:]
        self.__exit__()
        raise RuntimeError(f"the server does not start: {text}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    def log(self):
        return self._log.read_text(errors="replace")

    def status(self, name):
        return process.status(self.pid, name)

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
