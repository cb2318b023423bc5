"""Sleeps for an hour."""

import time


def handle(method, path, params, query, headers, body):
    print("begun")
    time.sleep(3600)
    return 200, "awake", {}
