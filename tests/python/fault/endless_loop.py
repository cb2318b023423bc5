"""Computes for ever, in Python alone."""


def handle(method, path, params, query, headers, body):
    print("begun")
    while True:
        pass
