"""httpy: Python handlers inside axum and tower.

Handlers need nothing from here. `request()` says what a handler's six arguments cannot; `remaining()` says how much
time is left, `shield()` holds the deadline off and `DeadlineExceeded` is what it raises; `sse()` replies with a stream
of events, `Body` is a request's body as it comes, `client_gone()` says whether anybody still waits, and
`trace_context()` where the request belongs in a distributed trace.
`httpy_rs.typing` holds the contract's types and `httpy_rs.testing` calls a handler in plain pytest. This module is
imported at every start of the server, so it stays light: what costs time to import lives in the submodules.
"""

from httpy_rs._body import AsyncBody, Body, BodyError
from httpy_rs._client import client_gone
from httpy_rs._deadline import DeadlineExceeded, remaining, shield
from httpy_rs._request import Request, request
from httpy_rs._trace_context import TraceContext, trace_context
from httpy_rs._version import __version__

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from httpy_rs._sse import sse
else:

    def __getattr__(name):
        """Imports `sse` when it is first used."""
        if name != "sse":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from httpy_rs._sse import sse

        globals()["sse"] = sse
        return sse


__all__ = [
    "AsyncBody",
    "Body",
    "BodyError",
    "DeadlineExceeded",
    "Request",
    "TraceContext",
    "__version__",
    "client_gone",
    "remaining",
    "request",
    "shield",
    "sse",
    "trace_context",
]
