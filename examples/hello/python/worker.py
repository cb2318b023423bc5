"""The handler of examples/hello: plain Python, which a test can call without any server."""

import itertools
import time

_count = itertools.count(1)


def go_init():
    """Names the routes; called once, before any request."""
    return {"/": ["GET"], "/ping": ["GET"], "/hello/:target": ["GET"]}


def go_request(method, path, params, query, headers, body):
    """Answers one request; `curl -H 'X-Sleep: 2'` makes it wait."""
    if "X-Sleep" in headers:
        time.sleep(float(headers["X-Sleep"][0]))
    who = params.get("target", ["world"])[0]
    times = int(query.get("n", ["1"])[0])
    greeting = ", ".join([f"hello {who}"] * min(times, 10))
    return 200, f"{greeting} (request {next(_count)})\n", {"X-Test": ["1"]}
