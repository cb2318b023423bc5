"""Computes in C for seconds, and holds the interpreter all the while."""


def handle(method, path, params, query, headers, body):
    print("begun")
    power = 7 ** int(body or 5_000_000)
    return 200, f"{power.bit_length()} bits", {}
