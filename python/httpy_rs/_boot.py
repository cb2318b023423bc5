"""The first lines of a worker process: the text behind `python -c`. Never imported.

What started the process has put a socket in place of the standard input. The first frame on it holds this package, as
file names below it with their texts, and the worker's settings. Everything else is left to `_worker`.
"""

import os
import socket
import sys
from marshal import loads


def _read(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = control.recv(size - len(data))
        if not part:
            os._exit(0)  # nobody is there any more
        data += part
    return data


def _start() -> None:
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.path[:] = [folder for folder in sys.path if folder]
    sources, settings = loads(_read(control, int.from_bytes(_read(control, 4), "little")))
    embed = {"__name__": "httpy_rs._embed"}
    exec(compile(sources["_embed.py"], "<httpy_rs>/_embed.py", "exec", dont_inherit=True), embed)
    embed["Importer"](sources).stand_first()  # type: ignore[operator]
    from httpy_rs._worker.main import main

    main(control, settings)


if __name__ == "__main__":
    _start()
