"""`client_gone()`: whether the client has left. The server knows (`_is_gone`)."""

from __future__ import annotations

from httpy_rs import _request

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable

# Set by the server: from the token of a request to whether its client has left.
_is_gone: Callable[[object], bool] | None = None


def client_gone() -> bool:
    """Whether the client of the request that is being handled in this context has left.

    It has closed its connection, or was answered with 504. A plain handler or generator can call this to stop early; a
    generator is closed at its next chunk in any case. `False` if no request is being handled, and in plain pytest.
    """
    token = _request.current_token()
    return token is not None and _is_gone is not None and _is_gone(token)
