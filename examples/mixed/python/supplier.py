"""Questions to a supplier, whose system is far away: here they take as long as the query says."""

import asyncio
import time


def delivery(method, path, params, query, headers, body):
    """GET /delivery/{item}?seconds=0.1: a worker waits for the answer."""
    time.sleep(_seconds(query))
    return 200, f"{params['item'][0]}: in two days\n", None


async def tracking(method, path, params, query, headers, body):
    """GET /tracking/{item}?seconds=0.1: an event loop waits, for any number of answers at once."""
    await asyncio.sleep(_seconds(query))
    return 200, f"{params['item'][0]}: on its way\n", None


def _seconds(query):
    return min(max(float(query.get("seconds", ["0.1"])[0]), 0), 10)
