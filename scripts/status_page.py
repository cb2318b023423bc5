"""`check`: the status page of examples/mixed in a headless browser: what it shows of real calls, by keyboard, on a phone, of
hostile texts, and when nobody answers. Used by check-examples.py.

By itself it takes pictures of any status page: `status_page.py CHROMIUM ADDRESS PREFIX` writes PREFIX-*.png.
"""

import http.client
import json
import sys
from urllib.parse import urlsplit

from browser import Browser, BrowserError

OPERATOR = "operator:secret"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>"
# Deeper than Python recurses, which the handler does not catch.
RAISES = b"[" * 100_000
TAB, ENTER = ("Tab", 9), ("Enter", 13)

# What is on the page, as markup that does not belong there would show it.
STRANGE = "document.querySelectorAll('main img, main script, header img, header script, footer img, footer script').length"


def check(program, address, limit):
    """Raises `BrowserError` for what is not as it should be; no single wait is longer than `limit` seconds."""
    with Browser(program, limit) as page:
        page.open(address.replace("://", f"://{OPERATOR}@", 1) + "status")
        page.wait_until("!document.getElementById('main').hidden")
        wait_for_text(page, "headline", "Serving")
        calls(page, address)
        hostile(page)
        stacks_by_keyboard(page)
        loops(page)
        waits(page)
        phone(page)
        silence(page)
        if page.errors:
            raise BrowserError(f"the page logged errors: {page.errors}")


def calls(page, address):
    """Real calls come into the figures."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    for method, target, body in [("GET", "/price/apple", None)] * 3 + [("POST", "/report", RAISES)]:
        connection.request(method, target, body)
        connection.getresponse().read()
    connection.close()
    wait_for_text(page, "failed-rows", "report:report raised RecursionError")
    wait_for_text(page, "failed-rows", "POST /report")
    wait_for_text(page, "counts", "1 raised")
    page.wait_until("document.querySelectorAll('#chart-total path').length > 0")


def answer_with(page, change):
    """From now on the page gets what `change`, a script, makes of `data`, which is what it got last."""
    page.run(f"window.fetch = async () => {{ const data = structuredClone(last); {change}; return Response.json(data); }}")


def hostile(page):
    """Every text is markup; none of it becomes any."""
    call = '{target: "", method: "", route: null, path: "", elapsed: 12.5, limit: 10, streaming: false, gone: true}'
    answer_with(
        page,
        f"""
        data.workers.each = [{{number: 1, name: "", state: "working", call: {call}, stack: null}}];
        data.workers.loops = [{{name: "", calls: 1, waiting: 0, lag: 0.001, blocked_for: 3, blocked_by: {call}, stack: null, oldest: []}}];
        data.slow = data.failed;
        data.calls["{HOSTILE}"] = 1;
        const spoil = (value) => {{
            for (const [name, item] of Object.entries(value)) {{
                if (typeof item === "string") value[name] = {json.dumps(HOSTILE)};
                else if (item) spoil(item);
            }}
        }};
        spoil(data);
        data.not_ready = [{{reason: {json.dumps(HOSTILE)}}}]
        """,
    )
    for place in ("problems", "engine", "worker-rows", "loop-rows", "failed-rows", "slow-rows", "counts", "versions"):
        wait_for_text(page, place, HOSTILE)
    expect(page, STRANGE, 0)


def stacks_by_keyboard(page):
    """A stack is shown and hidden without a mouse, and the focus stays."""
    call = '{target: "w:h", method: "GET", route: "/slow", path: "/slow", elapsed: 15, limit: 30, streaming: false, gone: false}'
    other = '{target: "w:h", method: "GET", route: "/other", path: "/other", elapsed: 1, limit: 30, streaming: false, gone: false}'
    stack = f'  File "w.py", line 3, in handle\n    {HOSTILE}\n'
    answer_with(
        page,
        f"""
        data.stacks = "read";
        data.workers.each = [
            {{number: 1, name: "httpy-worker-1", state: "working", call: {other}, stack: ""}},
            {{number: 2, name: "httpy-worker-2", state: "computing", call: {call}, stack: {json.dumps(stack)}}},
        ]
        """,
    )
    # The one that has been at it for longer stands first.
    wait_for_text(page, "worker-rows", "httpy-worker-2computesGET /sloww:h15 s of 30 s")
    page.run("document.getElementById('pause').focus()")
    page.press(*TAB)
    expect(page, "document.activeElement.getAttribute('aria-label')", "Stack of worker 2")
    page.press(*ENTER)
    wait_for_text(page, "worker-rows", HOSTILE)
    expect(page, STRANGE, 0)
    expect(page, "document.activeElement.getAttribute('aria-expanded')", "true")
    answer_with(page, 'data.stacks = "held"')
    wait_for_text(page, "worker-rows", "the interpreter was held")
    page.press(*ENTER)
    page.wait_until("document.querySelectorAll('#worker-rows pre').length === 0")
    expect(page, "document.activeElement.getAttribute('aria-label')", "Stack of worker 2")


def loops(page):
    """A blocked event loop is a problem, with who blocks it; one that serves shows what its calls await."""
    call = '{target: "w:h", method: "GET", route: "/feed", path: "/feed", elapsed: 15, limit: 30, streaming: false, gone: false'
    answer_with(
        page,
        f"""
        data.stacks = "read";
        const oldest = [{call}, stack: "in feed, line 3"}}];
        data.workers.loops = [
            {{name: "httpy-process-1", calls: 4, waiting: 3, lag: 2, blocked_for: 12, blocked_by: {call}}}, stack: "in block", oldest}},
            {{name: "httpy-process-2", calls: 2, waiting: 0, lag: 0.002, blocked_for: null, blocked_by: null, stack: null, oldest}},
            {{name: "httpy-process-3", calls: 0, waiting: 0, lag: null, blocked_for: null, blocked_by: null, stack: null, oldest: []}},
        ]
        """,
    )
    wait_for_text(page, "problems", "httpy-process-1 has been blocked for 12 s by GET /feed; 3 calls wait for it.")
    wait_for_text(page, "loop-rows", "httpy-process-1blockedGET /feed4 calls · 3 wait for it12 s so far")
    wait_for_text(page, "loop-rows", "httpy-process-2serves2 callsthe oldest GET /feed, for 15 s2 ms")
    wait_for_text(page, "loop-rows", "httpy-process-3idle0 calls")
    page.run("document.querySelectorAll('#loop-rows button').forEach((button) => button.click())")
    for text in ("Its thread:\nin block", "GET /feed, for 15 s:\nin feed, line 3", "It has no calls."):
        wait_for_text(page, "loop-rows", text)
    page.run("document.querySelectorAll('#loop-rows button').forEach((button) => button.click())")
    answer_with(page, "data.workers.loops = []")
    page.wait_until("document.getElementById('loops').hidden")


def waits(page):
    """What most of the time goes to stands in one line, with its reason."""
    half = "data.recent.count = 9; for (const part of ['queue', 'attach', 'run', 'total']) data.recent[part] = [10, 20, 30];"
    worker = '{number: 1, name: "", state: "computing", call: {target: "w:h", method: "GET", route: "/b", path: "/b", elapsed: 1, limit: 30}}'
    for change, headline, why in [
        ("", "Quick: hardly any wait", ""),
        ("data.recent.attach[0] = 1100; data.workers.each = [WORKER]", "Mostly waiting for the interpreter", "GET /b computes in 1 worker"),
        ("data.recent.queue[0] = 9e5; data.workers.max = 1; data.workers.each = [WORKER]", "Mostly waiting for a worker", "The only worker is in calls, most of them in GET /b"),
        ("data.recent.run[2] = 9e5", "The slowest are mostly in their handlers", ""),
        ("data.calls.overloaded = (data.calls.overloaded || 0) + 1e6", "Quick", "find no room and are refused at once"),
    ]:
        answer_with(page, half + change.replace("WORKER", worker))
        wait_for_text(page, "where", headline)
        wait_for_text(page, "why", why)


def phone(page):
    """Nothing is wider than a phone."""
    page.resize(360, 700, phone=True)
    expect(page, "document.documentElement.scrollWidth", 360)


def silence(page):
    """The page says so when nobody answers, and goes on when somebody does."""
    page.run("window.fetch = async () => { throw new TypeError('nobody is there') }")
    wait_for_text(page, "headline", "The server does not answer")
    expect(page, "document.title.includes('does not answer')", True)
    page.run("window.fetch = async () => new Response('', {status: 401})")
    wait_for_text(page, "problems", "load this page again")
    answer_with(page, "data.not_ready = []; data.recent.failed = 0")
    wait_for_text(page, "headline", "Serving")
    page.run("document.getElementById('pause').click(); window.fetch = async () => { throw new TypeError('asked') }")
    expect(page, "document.getElementById('pause').textContent", "Paused: go on")


def expect(page, script, expected):
    found = page.run(script)
    if found != expected:
        raise BrowserError(f"{script}: expected {expected!r}, found {found!r}")


def wait_for_text(page, element, text):
    page.wait_until(f"document.getElementById({json.dumps(element)}).textContent.includes({json.dumps(text)})")


def main(program, address, prefix):
    for name, options in {"light": {}, "dark": {"dark": True}, "phone": {}}.items():
        with Browser(program, 60, width=1280, **options) as page:
            if name == "phone":
                page.resize(390, 844, phone=True)
            page.open(address)
            page.wait_until("!document.getElementById('main').hidden")
            page.screenshot(f"{prefix}-{name}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
