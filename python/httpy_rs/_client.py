"""`client_gone()`: whether anybody still waits for the answer. The server knows (`_is_gone`)."""

from __future__ import annotations

from httpy_rs import _request

TYPE_CHECKING = False  # `typing` itself is too heavy to import here
if TYPE_CHECKING:
    from collections.abc import Callable

# Set by the server: from the token of a request to whether nobody waits for its answer.
_is_gone: Callable[[object], bool] | None = None


def client_gone() -> bool:
    """Whether nobody waits for the answer of the request that is being handled in this context, or for the rest of it.

    The client has closed its connection, or was answered with 504. A plain handler or generator can ask, and spare
    itself the rest; a generator is closed at its next chunk in any case. `False` where no request is being handled, and
    in plain pytest.
    """
    token = _request.current_token()
    return token is not None and _is_gone is not None and _is_gone(token)
