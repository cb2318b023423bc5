"""The same work behind Granian's RSGI."""

import asyncio

import work

FIELDS = [name.lower() for name in work.FIELDS]


async def app(scope, protocol):
    path = scope.path
    headers = [("content-type", "text/plain; charset=utf-8")]
    if path == "/":
        protocol.response_str(200, [*headers, ("x-test", "1")], work.trivial())
    elif path == "/json":
        protocol.response_str(200, [("content-type", "application/json")], work.priced(await protocol()))
    elif path == "/echo":
        protocol.response_bytes(200, [("content-type", "application/octet-stream")], await protocol())
    elif path == "/fields":
        field = scope.headers.get  # looked up once: each look at `headers` makes an object
        protocol.response_str(200, [*headers, *((name, field(name)) for name in FIELDS)], "fields")
    elif path.startswith("/sleep/"):
        await asyncio.sleep(work.milliseconds(path) / 1000)
        protocol.response_str(200, headers, "slept")
    elif path.startswith("/burn/"):
        protocol.response_str(200, headers, work.burn(work.milliseconds(path)))
    else:
        protocol.response_empty(404, [])
