"""Takes the pictures of the status page that the documents show: examples/mixed under one load after the other.

Run by `scripts/picture-status`, which sets CHROMIUM. Each load stands beside the same quick calls, which go on before it for
a while: their waits are what is to be seen. Names of loads as arguments take only theirs.
"""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path

from browser import Browser
from example import Server, build
from status_page import OPERATOR

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "images"
# Seconds of quick calls alone, and with the load beside them.
BEFORE, LOAD = 45, 60
WIDTH, HEIGHT = 1165, 1042
NUMBERS = json.dumps([number * 0.37 for number in range(20_000)]).encode()

QUICK = [("GET", "/price/apple", b"", 0.02)] * 6
# Load → (method, target, body, pause before the next one) of each client.
LOADS = {
    # Two at a time compute: as many as the example allows.
    "burner": [("POST", "/report", NUMBERS, 0.0)] * 2,
    # Twice as many ask the supplier as there are workers.
    "sleeper": [("GET", "/delivery/pear?seconds=0.5", b"", 0.0)] * 1024,
    # More than workers and queue have places for.
    "overload": [("GET", "/delivery/pear?seconds=0.5", b"", 0.0)] * 1700,
    # Some of everything, and what is wrong now and then.
    "status": [
        ("POST", "/report", NUMBERS, 1.0),
        ("POST", "/report", b"[" * 100_000, 7.0),
        *[("GET", "/delivery/pear?seconds=9", b"", 0.0)] * 2,
        *[("GET", "/delivery/apple?seconds=0.2", b"", 0.1)] * 6,
        *[("GET", "/tracking/pear?seconds=3", b"", 0.1)] * 12,
    ],
}


class Clients:
    """Clients on connections of their own, on a thread of their own, until they are stopped."""

    def __init__(self, address):
        self._address = address
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self, requests):
        for request in requests:
            asyncio.run_coroutine_threadsafe(self._repeat(*request), self._loop)

    def stop(self):
        """Ends them all; returns when they have ended."""
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _cancel(self):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others)

    async def _repeat(self, method, target, body, pause):
        head = f"{method} {target} HTTP/1.1\r\nHost: mixed\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        while True:
            try:
                reader, writer = await asyncio.open_connection(*self._address)
                while True:
                    writer.write(head + body)
                    status = await read_answer(reader)
                    # Who is refused asks again after a moment.
                    await asyncio.sleep(0.5 if status == 503 else pause)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                await asyncio.sleep(0.5)


async def read_answer(reader):
    """Reads an answer of a known length; its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    if "content-length" in lines:
        await reader.readexactly(int(lines["content-length"]))
    return int(head.split(" ", 2)[1])


def take(name, program, chromium):
    server = Server(program, RUST_LOG="error")
    try:
        address = server.address()
        clients = Clients(address)
        with Browser(chromium, 60, width=WIDTH, height=HEIGHT) as page:
            page.open(f"http://{OPERATOR}@{address[0]}:{address[1]}/status")
            page.wait_until("!document.getElementById('main').hidden")
            clients.start(QUICK)
            up_for(page, BEFORE)
            clients.start(LOADS[name])
            up_for(page, BEFORE + LOAD)
            if name == "status":
                # Where the checkout lies is nobody's business.
                page.run(f"""const whole = window.fetch; window.fetch = async (...it) => {{
                    const answer = await whole(...it), text = await answer.text();
                    return new Response(text.replaceAll({json.dumps(str(ROOT))}, "/srv"), answer);
                }}""")
                page.run("document.querySelector('#worker-rows button').click()")
                page.wait_until("document.querySelector('#worker-rows pre')?.textContent.includes('File')")
            page.screenshot(FOLDER / f"{name}.png", HEIGHT)
        clients.stop()
    finally:
        server.kill()
    print(f"{name}.png: {(FOLDER / f'{name}.png').stat().st_size >> 10} KiB")


def up_for(page, seconds):
    """Waits until the page says that the server is up for so long."""
    page.limit = seconds + 60
    page.wait_until(f"last.uptime >= {seconds}")


def main(names):
    program = build()["mixed"]
    for name in names or LOADS:
        take(name, program, os.environ["CHROMIUM"])


main(sys.argv[1:])
