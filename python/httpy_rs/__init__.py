"""httpy: Python handlers inside axum and tower.

Handlers need nothing from here. `request()` returns what is not in a handler's six arguments. `remaining()` returns
the time left until the deadline, which raises `DeadlineExceeded`; `shield()` delays that. `sse()` replies with a
stream of events. `Body` is a request's body that is read while it arrives. `client_gone()` returns whether the client
has left, and `trace_context()` the request's place in a distributed trace. `httpy_rs.typing` has the contract's
types, and `httpy_rs.testing` calls a handler in plain pytest. This module is imported at every start of the server,
so it is small: submodules have what takes time to import.
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
