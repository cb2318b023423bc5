"""Loading WSGI apps, and their factories."""

from __future__ import annotations

from typing import Any

import pytest

from httpy_rs._body import Body
from httpy_rs._interface import STREAM, SYNC, WSGI, Interface
from httpy_rs._load import load, load_wsgi
from tests.conftest import Failure, Write

APPS = """
    import functools
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"app"]
    def generator(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        yield b"app"
    class Site:
        def __call__(self, environ, start_response):
            return self.wsgi_app(environ, start_response)
        def wsgi_app(self, environ, start_response):
            return app(environ, start_response)
    site = Site()
    class Reply:
        def __init__(self, environ, start_response):
            self.start_response = start_response
        def __iter__(self):
            self.start_response("200 OK", [("Content-Length", "3")])
            yield b"app"
    def wrapper(*arguments, **named):
        return app(*arguments, **named)
    @functools.wraps(app)
    def wrapped(*arguments):
        return app(*arguments)
    def with_more(more, environ, start_response):
        return app(environ, start_response)
    partial = functools.partial(with_more, 5)
    def create_app(config=None):
        return app
    class Factory:
        create = staticmethod(lambda: app)
    def needs(config):
        return app
    async def late():
        return app
    def fails():
        raise ValueError("no settings")
    def nothing():
        return None
    def optional(one=1, two=2):
        return app
    async def asgi(scope, receive, send): ...
    def plain_asgi(scope, receive, send): ...
    async def two(environ, start_response): ...
    class AsyncSite:
        async def __call__(self, environ, start_response): ...
    async_site = AsyncSite()
    def one(environ): ...
    def handler(method, path, params, query, headers, body): ...
    value = 5
"""
FACTORY = 'if it is a factory, the target is "wsgi_shop:'


def scope() -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": None,
        "server": None,
    }


@pytest.mark.parametrize(
    "name",
    [
        "app",
        "generator",
        "site",
        "site.wsgi_app",
        "Reply",
        "wrapper",
        "wrapped",
        "partial",
        "create_app()",
        "Factory.create()",
        "Site()",
    ],
)
def test_apps_of_every_form_are_loaded(write: Write, name: str) -> None:
    write("wsgi_shop.py", APPS)
    app, interface = load(WSGI, f"wsgi_shop:{name}", [])
    assert interface == Interface(WSGI, SYNC, STREAM)
    assert app(scope(), Body(lambda: None))[2] == b"app"


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("value", "not_callable", "wsgi_shop:value is of type int: expected a WSGI app, which takes (environ, start"),
        ("nothing()", "not_callable", "wsgi_shop:nothing() is of type NoneType: expected a WSGI app"),
        ("asgi", "signature", "wsgi_shop:asgi takes (scope, receive, send): expected a WSGI app, which takes "),
        ("asgi", "signature", "(environ, start_response): is it an ASGI app?"),
        ("plain_asgi", "signature", ": is it an ASGI app?"),
        ("two", "signature", ": is it an ASGI app?"),
        ("async_site", "signature", ": is it an ASGI app?"),
        ("handler", "signature", ": is it a handler?"),
        ("one", "signature", "wsgi_shop:one takes (environ): expected a WSGI app, which takes (environ, start_resp"),
        ("create_app", "signature", f'{FACTORY}create_app()"'),
        ("optional", "signature", f'{FACTORY}optional()"'),
        ("Site", "signature", f'{FACTORY}Site()"'),
        ("needs()", "signature", "wsgi_shop:needs takes (config): expected a function without arguments"),
        ("late()", "signature", "wsgi_shop:late is async: expected a plain function that returns the app"),
        ("fails()", "import", "wsgi_shop:fails() raised ValueError: no settings"),
        ("missing()", "attribute_not_found", 'has no attribute "missing"'),
        ("create_app(5)", "target", '"wsgi_shop:create_app(5)" is not a target'),
    ],
)
def test_what_is_no_app_is_refused_with_what_was_found(
    write: Write, failure: Failure, name: str, kind: str, text: str
) -> None:
    write("wsgi_shop.py", APPS)
    found = failure(lambda: load_wsgi(f"wsgi_shop:{name}", []))
    assert found.kind == kind
    assert text in found.message
