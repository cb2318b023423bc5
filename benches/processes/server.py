"""One server process of ours over the executor that is asked for: its address, its workers, its memory, its log."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

READY_WITHIN = 30  # seconds
SETTLES_WITHIN = 40  # seconds: as long as a worker may be waited for

THREADS = "threads"


def processes(count, **options):
    """The executor as ``Config`` reads it; the interpreter is the one that the server is linked with."""
    return {"processes": {"count": count, "python": os.environ["PYO3_PYTHON"], **options}}


class Server:
    def __init__(self, program, executor):
        self._folder = tempfile.TemporaryDirectory()
        self._output, self._log = (Path(self._folder.name, name) for name in ("stdout", "stderr"))
        with self._output.open("wb") as output, self._log.open("wb") as log:
            command = [program, "127.0.0.1:0", json.dumps(executor)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=log)
        self.pid = self._process.pid
        self.address = ("127.0.0.1", self._port())
        self.base = f"http://127.0.0.1:{self.address[1]}"

    def _port(self):
        end = time.monotonic() + READY_WITHIN
        while time.monotonic() < end and self._process.poll() is None:
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
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def log(self):
        return self._log.read_text(errors="replace")

    def workers(self):
        """The process ids of its children, the youngest last."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                found += [int(pid) for pid in (task / "children").read_text().split()]
            except OSError:
                continue  # the thread has ended
        return sorted(found)

    def resident(self):
        """Bytes of the server alone."""
        return resident(self.pid)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def settled(self, before):
        """The number of its descriptors, as soon as it is what it was before, or when that takes too long."""
        end = time.monotonic() + SETTLES_WITHIN
        while self.descriptors() > before and time.monotonic() < end:
            time.sleep(0.05)
        return self.descriptors()

    def zombies(self):
        return sum(state(pid) == "Z" for pid in self.workers())

    def end(self):
        """Exit code after SIGTERM."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(READY_WITHIN)


def resident(pid):
    """0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmRSS:\s*(\d+)", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""
