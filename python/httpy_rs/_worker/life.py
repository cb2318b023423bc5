"""How a worker ends with its parent, however that ends: by a descriptor that gets nothing but the parent's hang-up.

The control socket's end does it, too, but only when the main thread gets to read. The kernel does it even while C
code keeps the interpreter, where the system can send a signal of choice (Linux).
"""

from __future__ import annotations

import _socket
import fcntl
import os
import signal


def end_with(lifeline: _socket.socket) -> None:
    """From now on this process is killed when the other end of `lifeline`, which nobody else has, is closed."""
    if hasattr(fcntl, "F_SETSIG"):
        descriptor = lifeline.fileno()
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
        # It may have been closed before.
        try:
            if not lifeline.recv(1, _socket.MSG_DONTWAIT):
                os._exit(0)
        except BlockingIOError:
            pass
