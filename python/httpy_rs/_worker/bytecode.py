"""`keep_fresh`: no bytecode is written of a file that was just changed.

Python takes a cached module for fresh when its file has the size and the second of change that it had: of two changes
within one second, which editors and deployments make, a worker that is started for the second would load the first.
"""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from typing import Any

from httpy_rs._own import time

JUST = 2.0  # seconds


def keep_fresh() -> None:
    """From now on, in this process."""
    write = SourceFileLoader.set_data

    def set_data(self: SourceFileLoader, path: str, data: Any, **options: Any) -> None:
        if time() - os.stat(self.path).st_mtime >= JUST:
            write(self, path, data, **options)

    SourceFileLoader.set_data = set_data  # type: ignore[method-assign]
