"""The contract's test vectors, which the Rust suite runs too: the two sets of rules cannot drift."""

from __future__ import annotations

import http
import json
from pathlib import Path
from typing import Any

import pytest

from httpy_rs._chunk import Chunks
from httpy_rs._contract import check_reply
from httpy_rs.testing import ContractFailure, call

VECTORS = Path(__file__).parents[2] / "tests" / "vectors"


def vectors(name: str) -> list[Any]:
    """One parameter set per vector, called by the vector's name."""
    loaded = json.loads((VECTORS / name).read_text(encoding="utf-8"))
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
