"""Forks, so that two processes return from one call; the child comes to an end in several ways."""

import os
import sys


def chunks():
    child = os.fork()
    yield "from the child" if child == 0 else "before "
    _, status = os.waitpid(child, 0)
    yield f"the child gave {os.WEXITSTATUS(status)}"


def handle(method, path, params, query, headers, body):
    if path == "/chunks":
        return 200, chunks(), {}
    child = os.fork()
    if child == 0:
        os.close(0)  # its own, by now
        if path == "/exit":
            sys.exit(3)
        if path == "/raise":
            raise ValueError("in the child")
        sys.stdout.write("the child has run\n")
        return 200, "from the child", {}
    _, status = os.waitpid(child, 0)
    return 200, f"the child gave {os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1}", {}
