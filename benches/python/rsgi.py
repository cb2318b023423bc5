"""The same work behind Granian's RSGI."""

import asyncio

import work


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
        fields = [(name, scope.headers[name]) for name in map(str.lower, work.FIELDS)]
        protocol.response_str(200, [*headers, *fields], "fields")
    elif path.startswith("/sleep/"):
        await asyncio.sleep(work.milliseconds(path) / 1000)
        protocol.response_str(200, headers, "slept")
    elif path.startswith("/burn/"):
        protocol.response_str(200, headers, work.burn(work.milliseconds(path)))
    else:
        protocol.response_empty(404, [])
