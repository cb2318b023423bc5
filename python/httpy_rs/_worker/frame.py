"""Frames: a length of four bytes, little endian, and behind it a list of messages as `marshal` writes it.

Each message is a tuple that begins with what it is, or with the number of its call. What the messages mean is left to
those who send and receive them; how bytes come and go, to `outlet` and to the readers of the sockets.
"""

from __future__ import annotations

from marshal import dumps, loads
from struct import Struct
from typing import Any

FRAME_LIMIT = 16 * 1024 * 1024  # bytes of one frame
PART = 64 * 1024  # bytes of a body in one message
READ_SIZE = 64 * 1024  # more in one read would be mapped by the allocator each time

# What every version of Python, and the other side, can write and read.
_VERSION = 2
_LENGTH = Struct("<I")

Message = tuple[Any, ...]


class Broken(Exception):
    """The other side sent what is none of the protocol's messages; there is nothing left to talk about."""


class Oversize(Exception):
    """Messages that are too large for a frame."""


def frame(messages: list[Message]) -> bytes:
    """All of `messages` in one frame.

    Raises `Oversize`, and `ValueError` for what `marshal` cannot write.
    """
    payload = dumps(messages, _VERSION)
    if len(payload) > FRAME_LIMIT:
        raise Oversize(f"{len(payload)} bytes in one frame")
    return _LENGTH.pack(len(payload)) + payload


class Decoder:
    """Messages out of the bytes of a socket, however they are cut."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises `Broken`."""
        held = self._held
        if held:
            held += data
            if len(held) < self._needed:
                return []
            data = bytes(held)
        messages: list[Message] = []
        view, start, end = memoryview(data), 0, len(data)
        self._needed = _LENGTH.size
        while end - start >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(view, start)
            if size > FRAME_LIMIT:
                raise Broken(f"a frame of {size} bytes")
            stop = start + _LENGTH.size + size
            if stop > end:
                self._needed = stop - start
                break
            messages += self._messages(view[start + _LENGTH.size : stop])
            start = stop
        if held or start < end:
            self._held = bytearray(view[start:])
        return messages

    def _messages(self, payload: memoryview) -> list[Message]:
        try:
            messages = loads(payload)
        except (EOFError, ValueError, TypeError) as error:
            raise Broken(f"a frame that cannot be read: {error}") from error
        if type(messages) is not list or not all(type(message) is tuple for message in messages):
            raise Broken("a frame that is no list of tuples")
        return messages
