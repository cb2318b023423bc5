"""What every server's handler does beside what its interface asks for, so that interfaces are compared."""

import itertools
import json
import time

FIELDS = [f"X-Field-{number}" for number in range(30)]
HEADERS = {"X-Test": "1"}

_count = itertools.count(1)


def trivial():
    """A short text, each time another one."""
    return f"request #{next(_count)}"


def priced(order):
    """JSON with its sum added: all of it is read, and all of it is written."""
    order = json.loads(order)
    order["total"] = sum(item["price"] * item["amount"] for item in order["items"])
    return json.dumps(order)


def milliseconds(path):
    """The last part of `/sleep/50` and `/burn/20`."""
    return int(path.rsplit("/", 1)[1])


def burn(duration):
    """Computes in Python until this thread has spent `duration` milliseconds of CPU time, however long that takes."""
    end = time.thread_time() + duration / 1000
    number = 0
    while time.thread_time() < end:
        for number in range(500):
            number *= 2
    return "burnt"
