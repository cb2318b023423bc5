"""`Interface`: how a call becomes Python objects, and what runs it; decided once, when its target is loaded.

How whole applications are called stands in the modules of this package. The server gives one object for each request.
"""

from __future__ import annotations

from typing import NamedTuple

SYNC = "sync"
"""The lane of worker threads."""
ASYNC = "async"
"""The lane of the event loop."""
HANDLER = "handler"
"""The kind of a function of six arguments."""
ASGI = "asgi"
"""The kind of a whole application of ASGI."""
WSGI = "wsgi"
"""The kind of a whole application of WSGI."""
STREAM = "stream"
"""The body as it comes."""


class Interface(NamedTuple):
    """The same words as in `interface.rs` of the Rust crate `httpy-core`."""

    kind: str
    """`handler`: a function of six arguments that returns a reply; `asgi` and `wsgi`: a whole application."""
    lane: str
    """`SYNC` or `ASYNC`."""
    body: str
    """How a handler gets its request's body: `text`, `bytes` or `stream`."""
