"""The handlers that the measurements call: one that counts, and one that does nothing at all, always at the same cost."""

import itertools

_count = itertools.count(1)


def handle(method, path, params, query, headers, body):
    return 200, f"request #{next(_count)}", {"X-Test": ["1"]}


def trivial(method, path, params, query, headers, body):
    return 200, "hello", {"X-Test": ["1"]}


def routes():
    return {"/hello/:target": ["GET"]}
