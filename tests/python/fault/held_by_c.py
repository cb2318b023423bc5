"""Waits in C for a byte of a socket and holds the interpreter until it comes: a C extension that forgot to detach."""

import ctypes
import socket


def handle(method, path, params, query, headers, body):
    with socket.create_connection(("127.0.0.1", int(query["gate"][0]))) as connection:
        ctypes.PyDLL(None).recv(connection.fileno(), ctypes.create_string_buffer(1), 1, 0)
    return 200, "let go", {}
