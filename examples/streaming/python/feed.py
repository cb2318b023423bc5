"""The live feed: what the server is doing, as server-sent events.

An `async def` handler: each listener costs some memory on the event loop, but neither a worker nor a thread.
"""

import asyncio
import os
import resource
import sys

import httpy_rs

INTERVAL = 1.0  # seconds between two readings
WAITING = 100  # events for a listener that reads too slowly; later ones are left out

_listeners = set()


async def feed(method, path, params, query, headers, body):
    """GET /feed: a reading every second, and all that is announced."""
    # A browser that connects again says which event it saw last.
    seen = headers.get("Last-Event-Id", ["0"])[0]
    return httpy_rs.sse(events(int(seen) if seen.isdecimal() else 0), headers={"Cache-Control": "no-store"})


async def events(number):
    """All events for one listener, numbered from the one after `number`."""
    listener = asyncio.get_running_loop(), asyncio.Queue(WAITING)
    _listeners.add(listener)
    try:
        while True:
            number += 1
            yield {"event": "reading", "id": number, "data": reading()}
            try:
                news = await asyncio.wait_for(listener[1].get(), INTERVAL)
            except asyncio.TimeoutError:
                continue
            number += 1
            yield {"event": "news", "id": number, "data": news}
    finally:
        # The client has left: the generator was closed where it waited.
        _listeners.discard(listener)


def announce(text):
    """Sends `text` to all listeners. May be called on any thread."""
    for loop, queue in list(_listeners):
        loop.call_soon_threadsafe(_offer, queue, text)


def _offer(queue, text):
    if not queue.full():
        queue.put_nowait(text)


def reading():
    """How much memory this process holds, and how many listen."""
    return {"memory": memory(), "listeners": len(_listeners)}


def memory():
    """Bytes of memory that this process holds; where the system does not say, the most it ever held."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
