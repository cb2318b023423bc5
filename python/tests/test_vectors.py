"""The contract's test vectors, which the Rust suite runs too: the two sets of rules cannot drift."""

from __future__ import annotations

import http
import json
import re
from pathlib import Path
from typing import Any

import pytest

import httpy_rs
from httpy_rs._chunk import Chunks
from httpy_rs._contract import check_reply
from httpy_rs._pattern import Pattern
from httpy_rs.testing import App, ContractFailure, LoadError, call

VECTORS = Path(__file__).parents[2] / "tests" / "vectors"


ROUTES: Any = json.loads((VECTORS / "routes.json").read_text(encoding="utf-8"))


def vectors(name: str) -> list[Any]:
    """One parameter set per vector, called by the vector's name."""
    return named(json.loads((VECTORS / name).read_text(encoding="utf-8")))


def named(loaded: Any) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in loaded]


@pytest.mark.parametrize("vector", vectors("replies.json"))
def test_a_reply_is_judged_as_the_vector_says(vector: dict[str, Any]) -> None:
    result = eval(vector["returns"], {"http": http})
    if "failure" in vector:
        with pytest.raises(ContractFailure) as failure:
            check_reply("worker:go_request", vector["method"], result)
        assert str(failure.value) == "worker:go_request returned " + vector["failure"]
        return
    reply = check_reply("worker:go_request", vector["method"], result)
    chunks = Chunks("worker:go_request", reply.length, None)
    if reply.stream is not None:
        chunks.collect(reply.stream)
    assert {
        "status": reply.status,
        "headers": sorted([name.lower(), value] for name, value in reply.headers),
        "body": (reply.body + b"".join(chunks.received)).decode("latin-1"),
        "warnings": reply.warnings,
    } == {
        "status": vector["status"],
        "headers": sorted(vector["headers"]),
        "body": vector["body"],
        "warnings": vector["warnings"],
    }


@pytest.mark.parametrize("vector", vectors("requests.json"))
def test_the_six_arguments_are_what_the_vector_expects(vector: dict[str, Any]) -> None:
    seen: list[tuple[Any, ...]] = []

    def text_handler(method: str, path: str, params: Any, query: Any, headers: Any, body: str) -> Any:
        seen.append((method, path, params, query, headers, body))
        return 200, "", None

    def bytes_handler(method: str, path: str, params: Any, query: Any, headers: Any, body: bytes) -> Any:
        seen.append((method, path, params, query, headers, body))
        return 200, "", None

    call(
        bytes_handler if vector["annotated_bytes"] else text_handler,
        vector["method"],
        vector["target"],
        route=vector["route"],
        headers=[(name, value) for name, value in vector["headers"]],
        body=vector["body"].encode("latin-1"),
    )

    ((method, path, params, query, headers, body),) = seen
    expects = vector["expects"]
    assert (method, path, params, query) == tuple(expects[name] for name in ("method", "path", "params", "query"))
    assert {name: headers.get(name) for name in expects["headers"]} == expects["headers"]
    assert body == (expects["body"].encode("latin-1") if vector["annotated_bytes"] else expects["body"])


@pytest.mark.parametrize("vector", ROUTES["patterns"], ids=lambda vector: vector["pattern"][:40])
def test_a_pattern_is_read_as_the_vector_says(vector: dict[str, Any]) -> None:
    if "problem" in vector:
        with pytest.raises(ValueError, match=f"^{re.escape(vector['problem'])}$"):
            Pattern(vector["pattern"])
        return
    assert [path.template for path in Pattern(vector["pattern"]).paths] == vector["paths"]


@pytest.mark.parametrize("vector", named(ROUTES["maps"]))
def test_a_request_finds_the_route_of_the_vector(vector: dict[str, Any]) -> None:
    seen: list[Any] = []

    def handler(method: str, path: str, params: Any, query: Any, headers: Any, body: str) -> Any:
        seen.append((httpy_rs.request().route, params))
        return 204, None, None

    if "problems" in vector:
        with pytest.raises(LoadError) as refused:
            App(handler, init=vector["routes"])
        assert (refused.value.kind, refused.value.message) == ("routes", "\n".join(vector["problems"]))
        return
    app = App(handler, init=vector["routes"])
    for request in vector["requests"]:
        response = app.request(request["method"], request["path"])
        if "status" in request:
            assert (response.status, response.headers.get("Allow"), seen) == (
                request["status"],
                request.get("allow"),
                [],
            ), request
            continue
        params = {name: [value] for name, value in request["params"].items()}
        assert (response.status, seen.pop()) == (204, (request["route"], params)), request
