"""`Control`: the main thread of a worker: what the parent asks for beyond jobs, one after the other."""

from __future__ import annotations

import socket
from typing import Any, Callable, Dict

from httpy_rs._exception import describe
from httpy_rs._load import LoadError
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.frame import READ_SIZE, Broken, Decoder


class Control:
    """Reads the control socket, and calls what its messages name."""

    def __init__(self, connection: Connection, control: socket.socket) -> None:
        self._connection = connection
        self._socket = control
        self._decoder = Decoder()
        self.asks: Dict[str, Callable[..., Any]] = {}
        """What is answered: by name of the message, from what stands behind its number."""
        self.tells: Dict[str, Callable[..., Any]] = {}
        """What is not."""

    def serve(self) -> None:
        """Until the socket is at its end. Raises `Broken`."""
        while True:
            data = self._socket.recv(READ_SIZE)
            if not data:
                return
            for message in self._decoder.feed(data):
                name, *rest = message
                if name in self.tells:
                    self.tells[name](*rest)
                elif name in self.asks and rest:
                    self.answer(self.asks[name], *rest)
                else:
                    raise Broken(f"a message {str(message)[:200]}")

    def answer(self, work: Callable[..., Any], number: int, *arguments: Any) -> None:
        """Does it, and tells what came of it."""
        connection = self._connection
        try:
            value = work(*arguments)
        except LoadError as error:
            cause = error.__cause__
            exception = None if cause is None else connection.exception(cause)
            connection.control.send(("error", number, error.kind, error.message, exception))
        except BaseException as error:
            name, text, _, _ = describe(error)
            message = f"loading raised {name}: {text}" if text else f"loading raised {name}"
            connection.control.send(("error", number, "internal", message, connection.exception(error)))
        else:
            connection.control.send(("ok", number, value))
