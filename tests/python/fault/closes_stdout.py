"""Closes the standard streams, whose numbers the next connections would get."""

import os


def handle(method, path, params, query, headers, body):
    if path == "/range":
        os.closerange(0, 256)
        return 200, "passed over", {}
    try:
        os.close(1)
    except PermissionError as error:
        print("still printed")
        return 200, error.strerror, {}
    return 500, "closed", {}
