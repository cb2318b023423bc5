"""`Mark`: how far the jobs of each lane have begun, where the parent can read it even when this process is no more."""

from __future__ import annotations

import mmap
import os
from struct import Struct

_SIZE = 16
_NUMBER = Struct("<Q")
_PLACES = {"sync": 0, "async": _NUMBER.size}


class Mark:
    """Sixteen bytes of a file without a name: the number of the job that began last, of each lane."""

    def __init__(self) -> None:
        self.descriptor = _file()
        os.ftruncate(self.descriptor, _SIZE)
        self.memory = mmap.mmap(self.descriptor, _SIZE)

    def close_file(self) -> None:
        """The memory stays."""
        os.close(self.descriptor)


def begin(memory: mmap.mmap, lane: str, number: int) -> None:
    """Up to this number, jobs may have begun."""
    _NUMBER.pack_into(memory, _PLACES[lane], number)


def _file() -> int:
    try:
        return os.memfd_create("httpy-mark")
    except (AttributeError, OSError):
        import tempfile

        descriptor, path = tempfile.mkstemp(prefix="httpy-mark-")
        os.unlink(path)
        return descriptor
