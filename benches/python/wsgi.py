"""The same work behind WSGI."""

import time

import work

FIELDS = [(name, "HTTP_" + name.upper().replace("-", "_")) for name in work.FIELDS]


def app(environ, start_response):
    path = environ["PATH_INFO"]
    status, kind, more = "200 OK", "text/plain; charset=utf-8", []
    if path == "/":
        body, more = work.trivial().encode(), [("X-Test", "1")]
    elif path == "/json":
        kind, body = "application/json", work.priced(whole(environ)).encode()
    elif path == "/echo":
        kind, body = "application/octet-stream", whole(environ)
    elif path == "/fields":
        body, more = b"fields", [(name, environ[key]) for name, key in FIELDS]
    elif path.startswith("/sleep/"):
        time.sleep(work.milliseconds(path) / 1000)
        body = b"slept"
    elif path.startswith("/burn/"):
        body = work.burn(work.milliseconds(path)).encode()
    else:
        status, body = "404 Not Found", b""
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *more])
    return [body]


def whole(environ):
    return environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
