"""What `httpy_rs` says by itself about a request or a reply, as JSON.

The other side of the differential tests: the server's own answers come from Rust, these from the code that
`httpy_rs.testing` runs. Strings become the latin-1 text of their bytes, so that nothing is lost on the way.
"""

import json

from httpy_rs import request
from httpy_rs._arguments import arguments
from httpy_rs._contract import ContractFailure, check_reply
from httpy_rs._pattern import Pattern


def judge(target, method, build):
    """What goes out for that which `build` returns, or why it does not."""
    try:
        reply = check_reply(target, method, build())
    except ContractFailure as failure:
        return {"failure": str(failure)}
    except Exception as error:
        return {"raised": type(error).__name__}
    headers = [(name.lower(), value) for name, value in reply.headers]
    return {"status": reply.status, "headers": headers, "body": reply.body.decode("latin-1")}


def handle(method, path, params, query, headers, body):
    return reveal(method, path, params, query, headers, body)


def handle_bytes(method, path, params, query, headers, body: bytes):
    return reveal(method, path, params, query, headers, body)


def reveal(*given):
    # Not in the body, which the answer to HEAD has not.
    return 200, None, {"X-Arguments": json.dumps([*plain(given), request().route])}


def twin(method, path, params, query, headers, body):
    """The arguments of the request that `body` describes."""
    asked = json.loads(body)
    try:
        given = arguments(
            asked["method"],
            asked["target"].encode("latin-1").decode(),
            asked["route"] and Pattern(asked["route"]),
            asked["headers"],
            asked["body"].encode("latin-1"),
            wants_bytes=asked["wants_bytes"],
        )
    except ValueError as error:
        return 200, None, {"X-Arguments": json.dumps({"refused": str(error)})}
    return 200, None, {"X-Arguments": json.dumps([*plain(given), asked["route"]])}


def plain(given):
    method, path, params, query, headers, body = given
    text = body if isinstance(body, str) else body.decode("latin-1")
    return [
        latin_1(method),
        latin_1(path),
        pairs(params),
        pairs(query),
        # Latin-1 already.
        [[name, values] for name, values in headers.items()],
        latin_1(text) if text is body else text,
    ]


def pairs(lists):
    return [[latin_1(name), [latin_1(value) for value in values]] for name, values in lists.items()]


def latin_1(text):
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
