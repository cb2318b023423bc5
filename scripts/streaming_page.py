"""`check`: the page of examples/streaming in a headless browser. Events arrive, an upload and a download come through, and
a client that leaves closes the generator. Used by check-examples.py.

By itself it takes pictures of a running example: `streaming_page.py CHROMIUM ADDRESS PREFIX` writes PREFIX-*.png.
"""

import hashlib
import json
import os
import sys
import tempfile

from browser import Browser, BrowserError

UPLOAD = os.urandom(3_000_000)


def check(program, address, limit):
    """Raises `BrowserError` for what is not as it should be; no single wait is longer than `limit` seconds."""
    with Browser(program, limit) as page:
        page.open(address)
        walk(page)
        if page.errors:
            raise BrowserError(f"the page logged errors: {page.errors}")


def walk(page):
    """Does on the page what a person would."""
    # Several, so that it is a stream and not one answer.
    wait_for_text(page, "state", "connected")
    page.wait_until("Number(document.getElementById('count').textContent) >= 3")

    with tempfile.NamedTemporaryFile() as file:
        file.write(UPLOAD)
        file.flush()
        page.choose_file("#file", file.name)
        click(page, "#upload .main")
        wait_for_text(page, "uploaded", hashlib.sha256(UPLOAD).hexdigest())
    wait_for_text(page, "uploaded", f"{len(UPLOAD):,}")
    # The upload was handled on a worker, the feed on the event loop.
    wait_for_text(page, "news", f"An upload of {len(UPLOAD):,} bytes")

    download(page, 16)
    wait_for_text(page, "downloaded", "16 MiB, complete")
    wait_for_text(page, "news", "A download of 16 MiB is complete.")

    download(page, 8192)
    page.wait_until("document.getElementById('received').value > 0")
    click(page, "#leave")
    wait_for_text(page, "downloaded", "then you left")
    wait_for_text(page, "news", "A client left after")


def download(page, mib):
    page.run(f"document.getElementById('mib').value = '{mib}'")
    click(page, "#start")


def click(page, selector):
    page.run(f"document.querySelector({json.dumps(selector)}).click()")


def wait_for_text(page, element, text):
    page.wait_until(f"document.getElementById({json.dumps(element)}).textContent.includes({json.dumps(text)})")


def main(program, address, prefix):
    for name, options in {
        "light": {},
        "dark": {"dark": True},
        "narrow": {"width": 500},
    }.items():
        with Browser(program, 60, **options) as page:
            page.open(address)
            walk(page)
            page.screenshot(f"{prefix}-{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
