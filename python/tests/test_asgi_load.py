"""Loading ASGI apps, and their factories."""

from __future__ import annotations

import pytest

from httpy_rs._load import check_again, load_asgi
from tests.conftest import Failure, Write
from tests.exchange import Client, run

APPS = """
    import functools
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["method"].encode()})
    def plain(scope, receive, send):
        return app(scope, receive, send)
    def wrapper(*arguments, **named):
        return app(*arguments, **named)
    def with_more(more, scope, receive, send):
        return app(scope, receive, send)
    partial = functools.partial(with_more, 5)
    class Instance:
        def __call__(self, scope, receive, send):
            return app(scope, receive, send)
    instance = Instance()
    class Awaitable:
        def __init__(self, scope, receive, send):
            self.given = scope, receive, send
        def __await__(self):
            return app(*self.given).__await__()
    def double(scope):
        return functools.partial(app, scope)
    class Double:
        def __init__(self, scope):
            self.scope = scope
        async def __call__(self, receive, send):
            await app(self.scope, receive, send)
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
    def optional(one=1, two=2, three=3, four=4):
        return app
    def wsgi(environ, start_response): ...
    def create_wsgi():
        return wsgi
    def handler(method, path, params, query, headers, body): ...
    def four(one, two, three, four): ...
    value = 5
"""


@pytest.mark.parametrize(
    "name",
    [
        "app",
        "plain",
        "wrapper",
        "partial",
        "instance",
        "instance.__call__",
        "Awaitable",
        "double",
        "Double",
        "create_app()",
        "Factory.create()",
    ],
)
def test_apps_of_every_form_are_loaded(write: Write, name: str) -> None:
    write("shop.py", APPS)
    client = Client()
    run(load_asgi(f"shop:{name}", [])(client))
    assert client.sent == [(200, [], b"GET")]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("value", "not_callable", "shop:value is of type int: expected an ASGI app, which takes "),
        ("nothing()", "not_callable", "shop:nothing() is of type NoneType: expected an ASGI app, which takes "),
        ("wsgi", "signature", "shop:wsgi takes (environ, start_response): expected an ASGI app, which takes (scope, "),
        ("wsgi", "signature", "receive, send): is it a WSGI app?"),
        ("create_wsgi()", "signature", "shop:create_wsgi() takes (environ, start_response): expected an ASGI app, "),
        ("handler", "signature", "send): is it a handler?"),
        ("four", "signature", "shop:four takes (one, two, three, four): expected an ASGI app, which takes (scope, "),
        ("create_app", "signature", "shop:create_app takes (config=None): expected an ASGI app, which takes (scope, "),
        ("create_app", "signature", 'receive, send); if it is a factory, the target is "shop:create_app()"'),
        ("optional", "signature", 'if it is a factory, the target is "shop:optional()"'),
        ("needs()", "signature", "shop:needs takes (config): expected a function without arguments"),
        ("late()", "signature", "shop:late is async: expected a plain function that returns the app"),
        ("fails()", "import", "shop:fails() raised ValueError: no settings"),
        ("value()", "not_callable", "shop:value is of type int: expected a function"),
        ("missing()", "attribute_not_found", 'has no attribute "missing"'),
        ("()", "target", '"shop:" is not a target'),
        ("create_app(5)", "target", '"shop:create_app(5)" is not a target'),
        ("create_app()()", "target", '"shop:create_app()" is not a target'),
    ],
)
def test_what_is_no_app_is_refused_with_what_was_found(
    write: Write, failure: Failure, name: str, kind: str, expected: str
) -> None:
    write("shop.py", APPS)
    found = failure(lambda: load_asgi(f"shop:{name}", []))
    assert found.kind == kind
    assert expected in found.message


def test_an_app_that_is_loaded_is_not_that_of_another_folder(
    write: Write, monkeypatch: pytest.MonkeyPatch, failure: Failure
) -> None:
    first, second = (write(f"{folder}/shared_app.py", APPS).parent for folder in ("one", "two"))
    monkeypatch.syspath_prepend(str(first))
    load_asgi("shared_app:create_app()", [str(first)])
    assert check_again("shared_app:create_app()", [str(first)])
    found = failure(lambda: check_again("shared_app:create_app()", [str(second)]))
    assert found.kind == "module_conflict"
