"""Records of Python's `logging` on their way to the parent. They become plain text in `httpy_rs._logging`."""

from __future__ import annotations

from collections.abc import Callable

from httpy_rs._logging import Sink, install
from httpy_rs._worker import wire
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.wire import Call


def connect(connection: Connection, level: int) -> Callable[[int], None]:
    """Puts a handler on the root logger that takes records from `level` on; what changes that."""

    def record(
        number: int,
        level_name: str | None,
        logger: str,
        message: str,
        place: str,
        extra: str | None,
        exception: str | None,
        stack: str | None,
        call: Call | None,
    ) -> bool:
        # Exactly these types, whatever the app has made of them.
        said = wire.log(
            lane=None if call is None else call.lane,
            number=None if call is None else call.number,
            level=int.__int__(number),
            level_name=_exact(level_name),
            logger=_exact(logger),
            text=_exact(message),
            extra=extra,
            exception=exception,
            stack=_exact(stack),
            place=_exact(place),
        )
        connection.tell(said)
        if call is not None:
            call.has_logged = True
        return True

    def line(name: str, text: str, call: Call | None) -> bool:
        return False  # the standard streams are pipes to the parent

    set_level = install(Sink(record, line, _call_of), level, True)
    assert set_level is not None
    return set_level


def _exact(text: str | None) -> str | None:
    return None if text is None else str.__str__(text)


def _call_of(token: object) -> Call | None:
    return token if type(token) is Call else None
