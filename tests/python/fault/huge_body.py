"""Answers with one gibibyte."""


def handle(method, path, params, query, headers, body):
    return 200, bytes(int(body or 1 << 30)), {}
