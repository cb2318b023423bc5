"""`Messages`, `encode`: a WebSocket's messages in the two byte streams of its call.

The form is that of `message.rs` in the Rust crate `httpy-core`, where it is described.
"""

from __future__ import annotations

TEXT, BINARY, CLOSE = 1, 2, 8
_HEAD = 5  # bytes before a payload


def encode(kind: int, payload: bytes) -> bytes:
    """The form of a message. Raises `OverflowError` if the payload is longer than four bytes can tell."""
    return kind.to_bytes(1, "big") + len(payload).to_bytes(4, "big") + payload


def encode_close(code: int, reason: str) -> bytes:
    """The form of the end. Raises `OverflowError` if the code is not in two bytes."""
    return encode(CLOSE, code.to_bytes(2, "big") + reason.encode())


def decode_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of an end."""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace")


class Messages:
    """Takes messages out of the chunks of a stream."""

    def __init__(self) -> None:
        self._came = bytearray()
        # So much of it was taken.
        self._at = 0

    def feed(self, chunk: bytes) -> None:
        """Appends a chunk of the stream."""
        if self._at == len(self._came):
            # Not emptied: an idle socket does not keep the room of its longest message.
            self._came = bytearray(chunk)
        else:
            del self._came[: self._at]
            self._came += chunk
        self._at = 0

    def take(self) -> tuple[int, bytes] | None:
        """Kind and payload of the next message; `None` until all of it has come."""
        came, begin = self._came, self._at + _HEAD
        if len(came) < begin:
            return None
        end = begin + int.from_bytes(came[begin - 4 : begin], "big")
        if len(came) < end:
            return None
        kind = came[self._at]
        with memoryview(came) as view:
            payload = bytes(view[begin:end])
        self._at = end
        if end == len(came):
            self._came, self._at = bytearray(), 0
        return kind, payload
