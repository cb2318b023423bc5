"""The handlers of `make bench-streams`: coroutines, bodies that are streamed, and one that notes when its client left."""

import asyncio
import time

import httpy_rs
import work

CHUNK = bytes(64 * 1024)
left = []


def sync(method, path, params, query, headers, body):
    return 200, work.trivial(), {"X-Test": ["1"]}


async def trivial(method, path, params, query, headers, body):
    return 200, work.trivial(), {"X-Test": ["1"]}


async def sleep(method, path, params, query, headers, body):
    await asyncio.sleep(work.milliseconds(path) / 1000)
    return 200, "slept", {}


def chunks(method, path, params, query, headers, body):
    """As many MiB as the path's last part says, 64 KiB at a time."""
    return 200, (CHUNK for _ in range(int(path.rsplit("/", 1)[1]) * 16)), {}


async def async_chunks(method, path, params, query, headers, body):
    async def generate():
        for _ in range(int(path.rsplit("/", 1)[1]) * 16):
            yield CHUNK

    return 200, generate(), {}


def count(method, path, params, query, headers, body: httpy_rs.Body):
    return 200, str(sum(map(len, body))), {}


async def async_count(method, path, params, query, headers, body: httpy_rs.AsyncBody):
    total = 0
    async for chunk in body:
        total += len(chunk)
    return 200, str(total), {}


async def feed(method, path, params, query, headers, body):
    async def events():
        for number in range(int(path.rsplit("/", 1)[1])):
            yield {"data": str(number)}
            await asyncio.sleep(1)

    return httpy_rs.sse(events())


async def leave(method, path, params, query, headers, body):
    """Waits until its client has left, and notes when it heard of it."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        left.append(time.monotonic())
        raise
    return 200, "nobody left", {}


def sync_leave(method, path, params, query, headers, body):
    while not httpy_rs.client_gone():
        time.sleep(0.0005)
    left.append(time.monotonic())
    return 200, "", {}


def when(method, path, params, query, headers, body):
    """When clients left, on this machine's monotonic clock; forgotten afterwards."""
    times, left[:] = left[:], []
    return 200, " ".join(map(str, times)), {}
