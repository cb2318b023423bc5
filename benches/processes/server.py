"""One server process of ours over the executor that is asked for: its workers, and what it holds."""

import json
import os
import time
from pathlib import Path

from run import server
from run.process import state

SETTLES_WITHIN = 40  # seconds: as long as a worker may be waited for

THREADS = {"threads": {}}


def processes(count, **options):
    """The executor as ``Config`` reads it; the interpreter is the one that the server is linked with."""
    return {"processes": {"count": count, "python": os.environ["PYO3_PYTHON"], **options}}


class Server(server.Server):
    def __init__(self, program, executor):
        super().__init__([program, "127.0.0.1:0", json.dumps(executor)])

    def workers(self):
        """The process ids of its children, the youngest last."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                found += [int(pid) for pid in (task / "children").read_text().split()]
            except OSError:
                continue  # the thread has ended
        return sorted(found)

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
