"""The handler that all measurements call: it counts and returns a short string."""

import itertools

_count = itertools.count(1)


def handle(method, path, params, query, headers, body):
    return 200, f"request #{next(_count)}", {"X-Test": ["1"]}
