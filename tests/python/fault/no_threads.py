"""Leaves the process no room for threads, or waits at a gate."""

import resource
import socket
from pathlib import Path

# For five stacks of 8 MiB, and half a stack for everything else.
ROOM = 44 << 20


def handle(method, path, params, query, headers, body):
    if path == "/limit":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(pages * resource.getpagesize() + ROOM)
    elif path == "/lift":
        _limit(resource.RLIM_INFINITY)
    else:
        with socket.create_connection(("127.0.0.1", int(query["gate"][0]))) as connection:
            connection.recv(1)
    return 200, "done", {}


def _limit(size):
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
