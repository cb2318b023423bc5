"""Asks for more memory than there is, at once and bit by bit."""


def handle(method, path, params, query, headers, body):
    if path == "/list":
        return 200, [0] * (1 << 60), {}
    return 200, bytearray(1 << 60), {}
