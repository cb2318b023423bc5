"""`trace_context()`: where the request that is handled belongs in a distributed trace (W3C Trace Context, level 2).

The server knows the lines (`_traceparents`): what the host gives, else the request's own. They are read here, strictly:
what a client has sent wrong is no trace.
"""

from __future__ import annotations

from httpy_rs import _request

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DIGITS = frozenset("0123456789abcdef")
# Version, trace, span, flags.
_LENGTHS = [2, 32, 16, 2]
_SAMPLED = 0x01
# Sampled, and whether the trace id is random: later versions may give others a meaning.
_KNOWN_FLAGS = 0x03

# Set by the server: from the token of a request to its `traceparent` lines.
_traceparents: Callable[[object], Sequence[str]] | None = None


class TraceContext:
    """The trace and the span that a request belongs to. Read-only."""

    __slots__ = ("sampled", "span_id", "trace_id", "traceparent")

    trace_id: str
    """32 hexadecimal digits, lower case."""
    span_id: str
    """The parent of spans that are begun here; 16 hexadecimal digits, lower case."""
    sampled: bool
    """Whether the sender may record the trace."""
    traceparent: str
    """The same as a header line to send on."""

    def __init__(self, trace_id: str, span_id: str, flags: int) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = bool(flags & _SAMPLED)
        self.traceparent = f"00-{trace_id}-{span_id}-{flags & _KNOWN_FLAGS:02x}"

    def __repr__(self) -> str:
        return f"TraceContext({self.traceparent!r})"


def trace_context() -> TraceContext | None:
    """The place in a distributed trace of the request that is being handled in this context.

    `None` if the Rust program supplies none and the request has no valid `traceparent` line, and if no request is being
    handled. A thread or a pool needs `contextvars.copy_context().run(...)`, as for `request()`.
    """
    current = _request._current.get(None)
    if isinstance(current, _request.Request) and current._token is None:
        return parse(current._traceparents)
    token = _request.current_token()
    return None if token is None or _traceparents is None else parse(_traceparents(token))


def parse(lines: Sequence[str]) -> TraceContext | None:
    """What the `traceparent` lines of a request tell; `None` where there is not just one, or a wrong one."""
    parts = lines[0].strip(" \t").split("-", 4) if len(lines) == 1 else []
    if [len(part) for part in parts[:4]] != _LENGTHS or not _DIGITS.issuperset("".join(parts[:4])):
        return None
    version, trace_id, span_id, flags = parts[:4]
    # Later versions may have more to say.
    more = len(parts) > 4
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceContext(trace_id, span_id, int(flags, 16))
