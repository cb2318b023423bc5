"""Ends the process as a crash in C does: nothing can be held against it."""

import os


def handle(method, path, params, query, headers, body):
    os.abort()
