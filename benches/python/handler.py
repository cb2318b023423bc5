"""The handlers of the bench server, and one that does nothing at all, always at the same cost."""

import itertools
import json
import time

import work


def handle(method, path, params, query, headers, body):
    return 200, work.trivial(), {"X-Test": ["1"]}


def price(method, path, params, query, headers, body):
    return 200, work.priced(body), {"Content-Type": "application/json"}


def echo(method, path, params, query, headers, body: bytes):
    return 200, body, {}


def fields(method, path, params, query, headers, body):
    return 200, "fields", {name: headers[name] for name in work.FIELDS}


def sleep(method, path, params, query, headers, body):
    time.sleep(work.milliseconds(path) / 1000)
    return 200, "slept", {}


def burn(method, path, params, query, headers, body):
    return 200, work.burn(work.milliseconds(path)), {}


def hold(method, path, params, query, headers, body):
    """Keeps the interpreter in one call of C code, which nothing can interrupt, and tells when that was."""
    trial = 5_000_000
    begin = time.thread_time()
    sum(itertools.repeat(1, trial))
    turns = int(trial * work.milliseconds(path) / 1000 / (time.thread_time() - begin))
    begin = time.monotonic()
    sum(itertools.repeat(1, turns))
    return 200, json.dumps({"begin": begin, "end": time.monotonic()}), {}


def trivial(method, path, params, query, headers, body):
    return 200, "hello", {"X-Test": ["1"]}


def routes():
    return {"/hello/:target": ["GET"]}
