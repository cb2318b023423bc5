"""What a scripted worker begins with: the protocol's first steps, each of which a test may have go wrong."""

import marshal
import os
import signal
import socket
import struct
import sys
import time

control = socket.socket(fileno=os.dup(0))
_held = []


def frame(*messages):
    payload = marshal.dumps(list(messages), 2)
    return struct.pack("<I", len(payload)) + payload


def send(*messages):
    control.sendall(frame(*messages))


def exactly(size):
    data = b""
    while len(data) < size:
        part = control.recv(size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data


def receive():
    return marshal.loads(exactly(struct.unpack("<I", exactly(4))[0]))


def hello(protocol=3, **facts):
    said = {
        "pid": os.getpid(),
        "version": "%d.%d.%d" % sys.version_info[:3],
        "gil": True,
        "executable": sys.executable,
        "prefix": sys.prefix,
    }
    said.update(facts)
    mark = os.memfd_create("mark")
    os.ftruncate(mark, 16)
    ends = [socket.socketpair() for _ in range(3)]
    _held.extend(ends)
    descriptors = [ends[0][1].fileno(), ends[1][1].fileno(), mark, ends[2][1].fileno()]
    socket.send_fds(control, [frame(("hello", protocol, said))], descriptors)
    for _, parents in ends:
        parents.close()


def begin():
    receive()
    hello()
    send(("ready",))


def serve(**answers):
    """Until it is stopped, or its parent has gone. ``answers`` are functions by name of the message."""
    while True:
        for name, *rest in receive():
            if name in ("stop", "shut_down"):
                os._exit(0)
            answers[name](*rest)
