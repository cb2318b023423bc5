"""The handlers of the soak: one for each kind of request, and one that tells what the process holds."""

import gc
import itertools
import json
import os
import socket
import sys
import threading
import time

import httpy_rs

_number = itertools.count()
_wrong = [
    None,
    (200, "two"),
    (True, "", {}),
    (99, "", {}),
    (200, 5, {}),
    (200, "", {"X": "\n"}),
    (200, "a", {"Content-Length": "2"}),
]


def small(method, path, params, query, headers, body):
    return 200, "small", {}


def full(method, path, params, query, headers, body):
    request = httpy_rs.request()
    return 200, body, {"X-Route": request.route or "", "X-Name": params["name"], "X-Tags": str(len(query["tag"]))}


def exception(method, path, params, query, headers, body):
    try:
        return 200, {}["missing"], {}
    except KeyError as error:
        raise ValueError("on purpose") from error


def contract(method, path, params, query, headers, body):
    return _wrong[next(_number) % len(_wrong)]


def hold(method, path, params, query, headers, body):
    with socket.create_connection(("127.0.0.1", int(query["gate"][0]))) as connection:
        connection.recv(1)
    return 200, "held", {}


def slow(method, path, params, query, headers, body):
    # Long after the deadline, so that a busy machine does not take it for an answer in time.
    time.sleep(0.3)
    return 200, "too late", {}


def python_holds(method, path, params, query, headers, body):
    # CPython's own caches keep names alive, more and more until they are full.
    (getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache)()
    gc.collect()
    counts = {
        "python": sys.version.split()[0],
        "blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
        "threads": len(os.listdir("/proc/self/task")),
        "python_threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }
    return 200, json.dumps(counts), {}
