"""The messages between a worker and its parent, by the names of their parts.

The order in which parts are written is known here, and in `frame/` of the Rust crate `httpy-core`; both are tested by
`tests/vectors/wire.json`. What is read becomes an object once, as it comes; what is sent is made by a function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from httpy_rs._interface import Interface
from httpy_rs._interface.message import Headers
from httpy_rs._worker.frame import PART, Broken, Message

# Type name, message, traceback, place, and the chain of what led to it.
Described = tuple[str, str, str, str, Sequence[Any]]

# What is said of a call, in messages that begin with its number.
Said = tuple[Any, ...]

# The body of a job that is not in its message.
AHEAD = None
"""All of it has come before, in parts."""
STREAMED = True
"""It comes on the control socket."""


class Call:
    """A job that has come, until it is answered. What it came with does not change."""

    __slots__ = (
        "body",
        "chunk_timeout",
        "client",
        "due",
        "extras",
        "gone",
        "handler",
        "has_logged",
        "headers",
        "is_timed",
        "lane",
        "method",
        "number",
        "params",
        "path",
        "query",
        "received",
        "receiving",
        "route",
        "scheme",
        "seconds",
        "sending",
        "target",
        "trace",
        "version",
    )

    number: int
    """From 1 on, in each lane."""
    handler: int
    """The place of its target in `Targets`."""
    method: str
    path: str
    params: dict[str, Any]
    """Of an application: its scope, which has the query and the headers as well."""
    query: dict[str, list[str]] | None
    headers: dict[str, list[str]] | None
    body: Any
    """`str` or `bytes`, `AHEAD` or `STREAMED`."""
    target: str
    """Path and query as they came."""
    route: str | None
    client: tuple[str, int] | None
    scheme: str
    version: str
    seconds: float
    """Until its deadline."""
    extras: str | None
    trace: str | None
    is_timed: bool
    """The reply says when the call came how far."""
    chunk_timeout: float

    def __init__(self, lane: str, message: Message, received: float) -> None:
        try:
            (
                self.number,
                self.handler,
                self.method,
                self.path,
                self.params,
                self.query,
                self.headers,
                self.body,
                (
                    self.target,
                    self.route,
                    self.client,
                    self.scheme,
                    self.version,
                    self.seconds,
                    self.extras,
                    self.trace,
                    self.is_timed,
                    self.chunk_timeout,
                ),
            ) = message
        except (TypeError, ValueError):
            raise Broken(f"a job of {len(message)} items, which has no or other parts than it must have") from None
        self.lane = lane
        self.received = received
        # No client waits for its answer any more.
        self.gone = False
        # Something was logged for it, which is sent before its reply.
        self.has_logged = False
        # When it, or its next chunk, is to be there; `None` for no limit.
        self.due: float | None = received + self.seconds
        # The streams of its request and of its reply, if it has them.
        self.receiving: Any = None
        self.sending: Any = None


PART_SIZE = 2
"""The number of items of a message that is a part of a body, and no job."""


def part_of(message: Message) -> tuple[int, bytes]:
    """The number of a job, and a part of its body that goes ahead of it. Raises `Broken`."""
    number, data = message
    if type(number) is not int or type(data) is not bytes or len(data) > PART:
        raise Broken("a part of a body that is none")
    return number, data


def command(message: Message) -> tuple[Any, Message]:
    """The name of what the control socket says, and the arguments of the function that does it."""
    name, *arguments = message or ("",)
    return name, tuple(arguments)


def question(arguments: Message) -> tuple[int, Message]:
    """The number under which a command is answered, and the arguments of the function that answers. Raises `Broken`."""
    number, *rest = arguments or (None,)
    if type(number) is not int:
        raise Broken("a question without a number")
    return number, tuple(rest)


# What is said of a call.

NOT_RUN: Said = ("x",)
"""Nobody waits for it any more, and there is no reply."""


def about(number: int, said: Said, times: Sequence[float] = ()) -> Message:
    """A message about a call; `times` are the seconds until it was called, has returned, and its result was read."""
    return number, *said, *times


def returned(number: int, result: Any, times: Sequence[float]) -> Message:
    """As `about` a `reply`, in less time."""
    return (number, "r", result, *times) if times else (number, "r", result)


def part(number: int, data: bytes) -> Message:
    """A part of a body that goes ahead of its reply, or a chunk of one that is streamed."""
    return number, data


def number_of(message: Message) -> int:
    """Of the call that the message is about."""
    number: int = message[0]
    return number


def reply(result: Any) -> Said:
    """What the handler has returned."""
    return "r", result


def refused(rule: str, text: str) -> Said:
    """It has returned what the contract does not allow."""
    return "f", (rule, text)


def rest(status: int, is_text: bool, headers: Mapping[str, Any]) -> Said:
    """What it has returned, but for the body, which went ahead."""
    return "p", (status, "t" if is_text else "b", headers)


def head(status: int, headers: Any, heartbeat: float | None) -> Said:
    """The head of a reply whose chunks follow."""
    return "s", (status, headers, heartbeat)


def app(status: int, headers: Headers, body: bytes | None) -> Said:
    """All of an application's reply; no body where that went ahead. Of a task, which may go on, the end follows."""
    return "a", (status, headers), body


def app_head(status: int, headers: Headers) -> Said:
    """The head of an application's reply whose chunks follow."""
    return "b", (status, headers)


COMPLETE: Said = ("c",)
"""No chunk of an application's reply follows; its task may go on."""


def end(fault: Said | None, closing: Described | None) -> Said:
    """No chunk follows; `fault` is why, if the body broke off, `closing` what its `close()` has raised."""
    return "end", fault, closing


def raised(exception: Described) -> Said:
    """It has raised."""
    return "e", exception


def broke_off(status: int, text: str) -> Said:
    """It has let pass that the body of its request broke off."""
    return "u", (status, text)


# Why a body broke off, besides the last two.

INTERRUPTED: Said = ("interrupted",)


def bad_chunk(text: str) -> Said:
    """A chunk is none."""
    return "c", text


# What the control socket is told.

READY: Message = ("ready",)


def hello(protocol: int, facts: Mapping[str, Any]) -> Message:
    """The first message."""
    return "hello", protocol, facts


def ok(number: int, value: Any) -> Message:
    """The answer to the question of this number."""
    return "ok", number, value


def error(number: int, kind: str, text: str, exception: Described | None) -> Message:
    """Why there is no other answer."""
    return "error", number, kind, text, exception


def answered(message: Message) -> int | None:
    """The number of the question that the message answers, if it does."""
    name, *parts = message
    if name not in ("ok", "error"):
        return None
    number: int = parts[0]
    return number


def read(lane: str, number: int, size: int) -> Message:
    """The number of bytes of a streamed request that were read."""
    return "read", lane, number, size


def log(
    lane: str | None,
    number: int | None,
    level: int,
    level_name: str | None,
    logger: str | None,
    text: str | None,
    extra: str | None,
    exception: str | None,
    stack: str | None,
    place: str | None,
) -> Message:
    """A record of `logging`, and the call that it belongs to."""
    return "log", lane, number, level, level_name, logger, text, extra, exception, stack, place


# Answers.


def loaded(index: int, interface: Interface) -> Message:
    """A handler that was loaded."""
    return index, *interface


def stack(lane: str, number: int, text: str) -> Message:
    """Where a call is."""
    return lane, number, text


def figures(blocks: int, pauses: Sequence[tuple[int, float]], calls: int, lag: float) -> Message:
    """Memory blocks, runs of the garbage collector, and calls and lag of the event loop."""
    return blocks, pauses, calls, lag


def blocked(silent: float, number: int | None, text: str) -> Message:
    """How long the event loop has not responded, the call that blocks it, and where its thread is."""
    return silent, number, text


def ended(failures: Sequence[Described], tasks: list[str], threads: list[str], errors: list[str]) -> Message:
    """How a worker has ended."""
    return failures, tasks, threads, errors
