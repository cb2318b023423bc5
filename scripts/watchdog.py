"""The limit of a test, for the runner of Rust's tests (run_tests.py) and for pytest.

For pytest it is a program: `python/tests/conftest.py` starts it and writes the name of each test on a line to its
stdin. When no line comes within the limit, it prints the name, and the stacks of that process and all that it has
started, and ends them.
"""

import contextlib
import os
import selectors
import signal
import sys
import time

import stacks

# Seconds of `Clock`; what is known to need longer says so where the limit is looked at.
LIMIT = float(os.environ.get("HTTPY_TEST_LIMIT", 180))


class Clock:
    """Counts seconds; fewer while more threads want to run than there are cores, so that no slow machine is overdue.

    At least a tenth of each second counts. The time in which this process itself did not run does not.
    """

    def __init__(self):
        self.now, self._before = 0.0, time.monotonic()
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def tick(self):
        """Brings `now` up to date; to be called once a second or more often."""
        now = time.monotonic()
        passed, self._before = min(now - self._before, 1.5), now
        self.now += passed * min(1.0, max(0.1, self._cores / max(1, runnable())))


def runnable():
    """How many threads of the machine want to run now, besides this one."""
    try:
        with open("/proc/loadavg") as file:
            return int(file.read().split()[3].split("/")[0]) - 1
    except OSError:
        return os.getloadavg()[0]


def kill(ancestor, reap=lambda: None):
    """Ends all that `ancestor` has started; again and again, since a process may start another one meanwhile."""
    for _ in range(100):
        left = stacks.descendants(ancestor)
        if not left:
            break
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        reap()


def main():
    watched, name = os.getppid(), "pytest, before its tests,"
    clock, since = Clock(), 0.0
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    while clock.now - since < LIMIT:
        if selector.select(1.0):
            data = os.read(sys.stdin.fileno(), 1 << 16)
            if not data:
                return
            name, since = data.decode().split("\n")[-2], clock.now
        clock.tick()
    print(f"\n==== {name} has not ended within its limit of {LIMIT:.0f} s", file=sys.stderr)
    pids = [watched, *(pid for pid in stacks.descendants(watched) if pid != os.getpid())]
    stacks.show(pids, sys.stderr.write)
    print(
        f"\nFAILED {name}: not ended within its limit of {LIMIT:.0f} s; the stacks are above",
        file=sys.stderr,
        flush=True,
    )
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
