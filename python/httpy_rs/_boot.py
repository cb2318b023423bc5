"""The first lines of a worker process: a text that it reads from its standard input and runs. Never imported.

What started the process has put a socket in place of the standard input. Behind this text comes a frame that holds this
package, as file names below it with their texts, and the worker's settings. Everything else is left to `_worker`.

Other code has run before: a wrapper script named python, `.pth` files, `sitecustomize`. What that has opened stays
open, and a default timeout that it has set for sockets does not apply to this one.
"""

import _socket
import os
import sys
from marshal import loads


def _read(control: _socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = control.recv(size - len(data))
        if not part:
            os._exit(0)  # nobody is there any more
        data += part
    return data


def _close_what_is_the_servers() -> None:
    """Closes the descriptors that the server has not marked to be closed: the same file under the same number in both.

    Python marks those that it opens, so what `sitecustomize` has opened is none of these. Does nothing without `/proc`.
    """
    servers = f"/proc/{os.getppid()}/fd"
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return
    for number in map(int, numbers):
        try:
            is_passed_on = number > 2 and os.get_inheritable(number)
            if is_passed_on and os.path.samestat(os.fstat(number), os.stat(f"{servers}/{number}")):
                os.close(number)
        except OSError:  # the one that the list was read from; one that the server does not have
            continue


def _name_process(name: str) -> None:
    """What `ps` and `top` show, where that can be set."""
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(name if len(name) < 16 else name.replace("process", "proc"))
    except OSError:
        return


def _start() -> None:
    control = _socket.socket(fileno=os.dup(0))
    control.settimeout(None)  # whatever the default is
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    _close_what_is_the_servers()
    sys.argv[1:] = []  # the worker's name is for `ps`
    sys.path[:] = filter(None, sys.path)
    sources, settings = loads(_read(control, int.from_bytes(_read(control, 4), "little")))
    _name_process(settings["name"])
    embed = {"__name__": "httpy_rs._embed"}
    exec(compile(sources["_embed.py"], "<httpy_rs>/_embed.py", "exec", dont_inherit=True), embed)
    importer = embed["Importer"](sources)  # type: ignore[operator]
    importer.stand_first()
    from httpy_rs._worker.main import main

    main(control, settings, importer.make_way)


if __name__ == "__main__":
    _start()
