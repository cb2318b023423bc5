"""`Inlet`: the messages of one lane as calls: bodies that come ahead in parts are put together here, and streamed
ones kept until their call reads them. Used under the lock of the lane, or on the one thread that it has.
"""

from __future__ import annotations

from httpy_rs._worker.frame import Decoder
from httpy_rs._worker.upload import Receiving
from httpy_rs._worker.wire import AHEAD, PART_SIZE, STREAMED, Call, part_of


class Inlet:
    """What has come of one lane, and is not yet whole or not yet read."""

    def __init__(self, lane: str) -> None:
        self._lane = lane
        self._decoder = Decoder()
        self._parts: dict[int, list[bytes]] = {}
        self._uploads: dict[int, Receiving] = {}
        self.latest = 0
        """The highest number of those that have begun. One whose body went ahead comes after some with higher ones."""

    def feed(self, data: bytes, now: float) -> list[Call]:
        """The jobs that are complete now. Raises `Broken`."""
        calls = []
        for message in self._decoder.feed(data):
            if len(message) == PART_SIZE:
                number, data = part_of(message)
                self._parts.setdefault(number, []).append(data)
                continue
            call = Call(self._lane, message, now)
            if call.body is AHEAD:
                call.receiving = Receiving.whole(self._parts.pop(call.number, []))
            calls.append(call)
        return calls

    def begin(self, call: Call) -> None:
        """The call begins, and its upload is its own now."""
        if call.number > self.latest:
            self.latest = call.number
        if call.body is STREAMED:
            call.receiving = self._upload(call.number)

    def end(self, number: int) -> None:
        """The call has ended; what still comes for it is dropped."""
        self._uploads.pop(number, None)

    def upload(self, number: int, item: object) -> None:
        """Something has come of a streamed body: a chunk, its end, or why there is no more. Raises `Broken`."""
        if number > self.latest or number in self._uploads:
            self._upload(number).feed(item)

    def _upload(self, number: int) -> Receiving:
        found = self._uploads.get(number)
        if found is None:
            found = self._uploads[number] = Receiving()
        return found
