"""The same work behind ASGI."""

import asyncio

import work

CHUNK = bytes(64 * 1024)
FIELDS = [name.lower().encode() for name in work.FIELDS]


async def app(scope, receive, send):
    path = scope["path"]
    if path.startswith("/chunks/"):
        return await chunks(send, int(path.rsplit("/", 1)[1]) * 16)
    status, kind, more = 200, b"text/plain; charset=utf-8", []
    if path == "/":
        body, more = work.trivial().encode(), [(b"x-test", b"1")]
    elif path == "/json":
        kind, body = b"application/json", work.priced(await whole(receive)).encode()
    elif path == "/echo":
        kind, body = b"application/octet-stream", await whole(receive)
    elif path == "/fields":
        headers = dict(scope["headers"])
        body, more = b"fields", [(name, headers[name]) for name in FIELDS]
    elif path.startswith("/sleep/"):
        await asyncio.sleep(work.milliseconds(path) / 1000)
        body = b"slept"
    elif path.startswith("/burn/"):
        body = work.burn(work.milliseconds(path)).encode()
    else:
        status, body = 404, b""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return None


async def whole(receive):
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def chunks(send, count):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(count):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
