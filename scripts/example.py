"""`Server`: an example as it is started and stopped by scripts, and `build`, which makes the programs."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from queue import Empty, Queue

# No check is made to pass by these: they only end a run that hangs.
START_LIMIT, STOP_LIMIT = 60, 30

# Examples that are built by themselves as well: beside others they would get features that they are there to do without.
ALONE = ["processes"]


class Failed(Exception):
    """A check failed; the text says which."""


def build():
    """Builds all examples and returns example → path of its program."""
    # What `scripts/test-rust` selects, so that dependencies keep their features and nothing is built a second time.
    programs = built("--workspace", "--exclude=httpy-benches", "--bins", "--tests")
    for name in ALONE:
        programs |= built("--package", name)
    return programs


def built(*selected):
    command = ["cargo", "build", *selected]
    done = subprocess.run([*command, "--message-format=json-render-diagnostics"], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    programs = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message.get("executable") and not message["profile"]["test"]:
            programs[message["target"]["name"]] = message["executable"]
    return programs


class Server:
    """A started example with the lines that it printed so far. `environment` is added to this process's."""

    def __init__(self, program, **environment):
        self.process = subprocess.Popen(
            [program],
            env={**os.environ, "HOST": "127.0.0.1", "PORT": "0", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = []
        self._lines = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.printed.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def address(self):
        """Waits for the line that names the address."""
        while True:
            try:
                line = self._lines.get(timeout=START_LIMIT)
            except Empty:
                raise Failed(f"said nothing more for {START_LIMIT} s and not where it listens") from None
            if line is None:
                raise Failed(f"ended with exit code {self.process.wait()} and never said where it listens")
            found = re.search(r"http://([\d.]+):(\d+)", line)
            if found:
                return found[1], int(found[2])

    def stop(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            raise Failed(f"still runs {STOP_LIMIT} s after Ctrl-C") from None
        if code != 0:
            raise Failed(f"ended with exit code {code} after Ctrl-C, expected 0")

    def kill(self):
        """Ends it however it is."""
        self.process.kill()
        self.process.wait()
