"""`Control`: reads the control socket, on the main thread, and has done what it says.

What came together is answered together, when all of it is done: the parent tells where an overdue call is as soon as it
hears that, and the interruption that it sent along has been made by then.
"""

from __future__ import annotations

import _socket
from collections.abc import Callable
from typing import Any

from httpy_rs._exception import describe, user_frames
from httpy_rs._load import LoadError
from httpy_rs._own import say
from httpy_rs._worker import wire
from httpy_rs._worker.connection import Connection
from httpy_rs._worker.frame import READ_SIZE, Broken, Decoder, Message
from httpy_rs._worker.worker import LEAST, Worker


class Control:
    """The receiving end of the control socket."""

    def __init__(self, connection: Connection, control: _socket.socket, worker: Worker) -> None:
        self._connection = connection
        self._socket = control
        self._worker = worker
        self._decoder = Decoder()
        self._answers: list[Message] = []

    def serve(self) -> None:
        """Until the socket is at its end. Raises `Broken`."""
        while True:
            try:
                data = self._socket.recv(READ_SIZE)
                if not data:
                    return
                for message in self._decoder.feed(data):
                    self._take(message)
                self._flush()
            except BaseException as error:
                if not _is_of_a_signal(error):
                    raise
                _, _, traceback, _ = describe(error)
                say(traceback)

    def answered(self, number: int, work: Callable[..., Any], *arguments: Any) -> bool:
        """Does it, and tells where that failed; whether it did not."""
        try:
            work(*arguments)
        except BaseException as error:
            self._tell_error(number, error)
            self._flush()
            return False
        return True

    def _take(self, message: Message) -> None:
        name, arguments = wire.command(message)
        tell, ask = self._worker.tells.get(name), self._worker.asks.get(name)
        try:
            if tell is not None:
                tell(*arguments)
            elif ask is not None:
                number, arguments = wire.question(arguments)
                self._answer(number, ask, *arguments)
            else:
                raise Broken("a message that it does not know")
        except (Broken, TypeError, ValueError) as error:
            raise Broken(f"{str(message)[:200]}, which means nothing: {error}") from error

    def _answer(self, number: int, ask: Callable[..., Any], *arguments: Any) -> None:
        try:
            value = ask(*arguments)
        except Broken:
            raise
        except BaseException as error:
            self._tell_error(number, error)
        else:
            self._answers.append(wire.ok(number, value))
            if self._worker.is_done:
                self._flush()
                self._connection.control.settle(LEAST)
                self._connection.end()

    def _tell_error(self, number: int, error: BaseException) -> None:
        connection = self._connection
        if isinstance(error, LoadError):
            cause = error.__cause__
            exception = None if cause is None else connection.exception(cause)
            self._answers.append(wire.error(number, error.kind, error.message, exception))
        else:
            name, text, _, _ = describe(error)
            summary = f"{name}: {text}" if text else name
            exception = connection.exception(error)
            self._answers.append(wire.error(number, "internal", f"it raised {summary}", exception))

    def _flush(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            self._connection.control.send(answer)


def _is_of_a_signal(error: BaseException) -> bool:
    """Whether a handler of the app's has raised it: Python calls those on the main thread, between any two steps."""
    return user_frames(error) is not None or isinstance(error, KeyboardInterrupt)
