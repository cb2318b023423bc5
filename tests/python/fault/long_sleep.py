"""Sleeps for an hour, or for as many seconds as the body says."""

import time


def handle(method, path, params, query, headers, body):
    if not body:
        print("begun")
    time.sleep(float(body or 3600))
    return 200, "awake", {}
