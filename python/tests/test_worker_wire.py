"""The messages of a worker and its parent: each vector is read, or made, by its names. The Rust suite does the same."""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from httpy_rs._interface import Interface
from httpy_rs._worker import wire
from httpy_rs._worker.frame import PART, Broken
from httpy_rs._worker.wire import Call

VECTORS = Path(__file__).parents[2] / "tests" / "vectors" / "wire.json"
ALL: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))
# The names of the arguments with which a command is done; what is answered has a number before them.
QUESTIONS = {
    "load": ["kind", "name"],
    "init": ["name"],
    "load_shutdown": ["name"],
    "shut_down": ["limit", "shielded"],
    **{name: [] for name in ["examine", "stacks", "figures", "round", "blocked"]},
}
COMMANDS = {
    "cancel": ["lane", "number"],
    "left": ["lane", "number"],
    "interrupt": ["lane", "number"],
    "credit": ["lane", "number", "size"],
    "upload": ["lane", "number", "item"],
    "prepare": ["name"],
    "relieve": [],
    "stop": [],
    "log_level": ["level"],
}


def vectors(to: str, on: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in ALL if (vector["to"], vector["on"]) == (to, on)]


def plain(value: Any) -> Any:
    """As the vectors have it."""
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def given(value: Any) -> Any:
    """The bytes of a vector."""
    return value["bytes"].encode("latin-1") if isinstance(value, dict) and "bytes" in value else value


def named(message: tuple[Any, ...]) -> dict[str, Any]:
    if len(message) == wire.PART_SIZE:
        return dict(zip(["number", "data"], wire.part_of(message), strict=True))
    call = Call("sync", message, 0.0)
    state = {"due", "gone", "has_logged", "lane", "received", "receiving", "sending"}
    return {name: getattr(call, name) for name in Call.__slots__ if name not in state}


@pytest.mark.parametrize("vector", vectors("worker", "lane"))
def test_a_job_is_read_by_its_names(vector: dict[str, Any]) -> None:
    message = marshal.loads(bytes.fromhex(vector["hex"]))
    assert plain(named(message)) == vector["fields"]


@pytest.mark.parametrize("vector", vectors("worker", "control"))
def test_a_command_is_read_by_its_names(vector: dict[str, Any]) -> None:
    name, arguments = wire.command(marshal.loads(bytes.fromhex(vector["hex"])))
    read = {}
    if name in QUESTIONS:
        read["number"], arguments = wire.question(arguments)
    names = QUESTIONS.get(name) or COMMANDS.get(name, [])
    read.update(zip(names, arguments, strict=True))
    assert name == vector["name"].split()[0]
    assert plain(read) == vector["fields"]


def made(vector: dict[str, Any]) -> Any:
    """The message that the functions of `wire` make."""
    name, fields = vector["name"], {key: given(value) for key, value in vector["fields"].items()}
    if name == "loaded":
        return wire.loaded(fields.pop("index"), Interface(**fields))
    if vector["on"] != "lane":
        return wire.READY if name == "ready" else maker(name)(**fields)
    number, times = fields.pop("number"), fields.pop("times", ())
    if name == "part":
        return wire.part(number, **fields)
    if name.startswith("end") and fields["fault"] is not None:
        ((cause, parts),) = fields["fault"].items()
        fields["fault"] = wire.INTERRUPTED if cause == "interrupted" else maker(cause)(**parts)
    if name == "reply":
        assert wire.returned(number, fields["result"], times) == wire.about(number, wire.reply(**fields), times)
    if name.startswith("app"):
        fields["headers"] = [tuple(map(given, line)) for line in fields["headers"]]
    constants = {"not_run": wire.NOT_RUN, "complete": wire.COMPLETE}
    said = constants[name] if name in constants else maker(name.split(",")[0])(**fields)
    return wire.about(number, said, times)


def maker(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(wire, name)
    return function


@pytest.mark.parametrize("vector", [*vectors("host", "lane"), *vectors("host", "control"), *vectors("host", "answer")])
def test_what_is_sent_is_made_by_its_names(vector: dict[str, Any]) -> None:
    # The vectors have lists where there may be tuples.
    assert plain(made(vector)) == plain(marshal.loads(bytes.fromhex(vector["hex"])))
    assert len(marshal.dumps(made(vector), 2)) == len(bytes.fromhex(vector["hex"]))


def test_what_is_no_job_is_refused() -> None:
    job = next(marshal.loads(bytes.fromhex(vector["hex"])) for vector in ALL if vector["name"] == "job")
    wrong: list[tuple[Any, ...]] = [(), (1,), job[:-1], (*job, None), (*job[:-1], 1), (*job[:-1], job[-1][1:])]
    for message in wrong:
        with pytest.raises(Broken, match=f"a job of {len(message)} items"):
            Call("sync", message, 0.0)


def test_what_is_no_part_is_refused() -> None:
    for message in [("1", b""), (1, ""), (1, b"x" * (PART + 1))]:
        with pytest.raises(Broken, match="a part of a body"):
            wire.part_of(message)


def test_a_question_has_a_number() -> None:
    for arguments in [(), ("1",), (None, 1)]:
        with pytest.raises(Broken, match="without a number"):
            wire.question(arguments)
