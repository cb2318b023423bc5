"""Calls itself without an end; below /raised with a limit that is ten times CPython's own."""

import sys


def endless(depth):
    return endless(depth + 1)


def handle(method, path, params, query, headers, body):
    if path == "/raised":
        sys.setrecursionlimit(10_000)
    return 200, str(endless(0)), {}
