"""Starts every example on a free port, asks its routes, and stops it with Ctrl-C, which must end it with exit code 0.

Run by `scripts/check-examples`, which sets PYO3_PYTHON, and CHROMIUM where there is one: then the pages of
examples/mixed and examples/streaming are opened too; and TRACE_VENV where Python's OpenTelemetry SDK could be installed: then
Python's spans are in the trace that is followed; and APPS_VENV where FastAPI and Flask could be. Waits for the line on which an example says where it listens.
"""

import http.client
import os
import subprocess
import sys
from pathlib import Path

import status_page
import streaming_page
import trace_example
from browser import BrowserError
from example import START_LIMIT, Failed, Server, build

# Example → (method, target, expected status, text that the body must contain).
EXAMPLES = {
    "apps": [
        ("GET", "/opened", 200, "by Rust"),
        ("GET", "/items/apple", 200, '{"cents":120}'),
        ("POST", "/items/apple", 405, "Method Not Allowed"),
        ("GET", "/items/pear?count=2", 200, '{"cents":300}'),
        ("GET", "/items/pear?count=two", 422, "int_parsing"),
        ("POST", "/items/pear/sell", 200, '{"cents":150}'),
        ("GET", "/docs", 200, "swagger"),
        ("GET", "/office/", 200, '<a href="/office/letter/world">'),
        ("POST", "/office/letter/you", 200, "Dear you, "),
        ("GET", "/unknown", 404, "Not Found"),
    ],
    "hello": [
        ("GET", "/native", 200, "ok"),
        ("GET", "/hello/you", 200, "hello you"),
        ("GET", "/python", 200, "hello world"),
        ("GET", "/unknown", 404, ""),
    ],
    "mixed": [
        ("GET", "/", 200, "/report"),
        ("GET", "/items", 200, "apple"),
        ("GET", "/price/apple", 200, '"cents": 120'),
        ("PUT", "/price/apple", 204, ""),
        ("DELETE", "/price/apple", 405, ""),
        ("GET", "/delivery/apple?seconds=0", 200, "in two days"),
        ("GET", "/tracking/apple?seconds=0", 200, "on its way"),
        ("GET", "/readyz", 200, "ready"),
        ("GET", "/livez", 200, "alive"),
        ("GET", "/status", 401, ""),
        ("GET", "/unknown", 404, ""),
    ],
    "observability": [
        ("GET", "/order/tea?count=2", 200, "240 cents"),
        ("GET", "/metrics", 200, 'route="/order/{item}",outcome="ok"} 1'),
        ("GET", "/unknown", 404, ""),
    ],
    "processes": [
        ("GET", "/native", 200, "ok"),
        ("GET", "/", 200, "hello from process"),
        ("GET", "/primes/100", 200, "25 primes below 100"),
        ("GET", "/crash", 502, ""),
        ("GET", "/primes/10", 200, "4 primes below 10"),
        ("GET", "/readyz", 200, "ready"),
        ("GET", "/unknown", 404, ""),
    ],
    "streaming": [
        ("GET", "/", 200, "Live feed"),
        ("POST", "/upload", 200, '"bytes": 0'),
        ("GET", "/download?mib=2", 200, "abc"),
        ("GET", "/download?mib=many", 400, "expected mib="),
        ("DELETE", "/feed", 405, ""),
    ],
}

# Example → what a browser checks of its page, which raises what is wrong.
PAGES = {"mixed": status_page.check, "streaming": streaming_page.check}

# No check is made to pass by this: it only ends a run that hangs.
ANSWER_LIMIT = 30


def ask(address, method, target, expected_status, expected_text):
    connection = http.client.HTTPConnection(*address, timeout=ANSWER_LIMIT)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{method} {target}: {error!r}") from error
    finally:
        connection.close()
    if response.status != expected_status or expected_text not in body:
        raise Failed(f"{method} {target}: expected {expected_status} {expected_text!r}, got {response.status} {body!r}")


def look(name, address):
    """Opens the page of an example that has one, where there is a browser; says what came of it."""
    if name not in PAGES:
        return ""
    program = os.environ.get("CHROMIUM")
    if not program:
        return "page NOT opened (no browser), "
    PAGES[name](program, "http://{}:{}/".format(*address), ANSWER_LIMIT)
    return "page as expected in a browser, "


def follow(name, program):
    """Follows a trace through the example that sends one, into Python where its SDK is there; says what came of it."""
    if name != "observability":
        return ""
    venv = os.environ.get("TRACE_VENV")
    trace_example.check(program, venv)
    return f"one trace by OTLP{'' if venv else ', Python NOT in it (its SDK is not installed)'}, "


def examine(program, added):
    """`--doctor` prints its report and ends."""
    done = subprocess.run(
        [program, "--doctor"],
        capture_output=True,
        text=True,
        timeout=START_LIMIT,
        check=False,
        env={**os.environ, **added},
    )
    if done.returncode != 0 or "sys.path" not in done.stdout or "Options" not in done.stdout:
        raise Failed(f"--doctor: exit code {done.returncode}, {done.stdout!r} {done.stderr!r}")


def environment(name):
    """What an example is started with; none where it cannot run."""
    if name != "apps":
        return {}
    venv = os.environ.get("APPS_VENV")
    return {"VIRTUAL_ENV": venv} if venv else None


def check(name, program):
    added = environment(name)
    if added is None:
        print(f"example {name}: NOT started (its packages cannot be installed)")
        return True
    server = Server(program, **added)
    try:
        address = server.address()
        for request in EXAMPLES[name]:
            ask(address, *request)
        seen = look(name, address)
        server.stop()
        traced = follow(name, program)
        examine(program, added)
    except (Failed, BrowserError) as failure:
        server.kill()
        print(f"example {name}: {failure}")
        print("".join(f"  | {line}" for line in server.printed))
        return False
    answers = f"{len(EXAMPLES[name])} answers as expected"
    print(f"example {name}: {answers}, {seen}{traced}exit code 0 after Ctrl-C, a report with --doctor")
    return True


def main():
    folders = {manifest.parent.name for manifest in Path("examples").glob("*/Cargo.toml")}
    if folders != set(EXAMPLES):
        sys.exit(f"examples/ holds {sorted(folders)}, this script knows {sorted(EXAMPLES)}: make them equal")
    programs = build()
    results = [check(name, programs[name]) for name in sorted(EXAMPLES)]
    return 0 if all(results) else 1


sys.exit(main())
