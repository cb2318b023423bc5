"""The handlers of examples/processes: one that computes, a quick one, and one that takes its process down."""

import ctypes
import os

import httpy_rs


def init():
    """Names the routes; called in one of the workers, before any request."""
    return {"/": ["GET"], "/primes/:limit": ["GET"], "/crash": ["GET"]}


def handle(method, path, params, query, headers, body):
    """Answers one request."""
    route = httpy_rs.request().route
    if route == "/crash":
        # What a bug in a C extension does.
        ctypes.string_at(0)
    if "limit" in params:
        limit = int(params["limit"][0])
        return 200, f"{primes(limit)} primes below {limit}, counted by process {os.getpid()}\n", None
    return 200, f"hello from process {os.getpid()}\n", None


def primes(limit):
    """Counts them the slow way, so that a core has something to do."""
    found = []
    for number in range(2, limit):
        for prime in found:
            if prime * prime > number:
                found.append(number)
                break
            if number % prime == 0:
                break
        else:
            found.append(number)
    return len(found)
