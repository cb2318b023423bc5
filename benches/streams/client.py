"""Clients for what wrk cannot do: many connections that wait, big bodies both ways, feeds, and leaving early."""

import asyncio
import socket
import time

from run.beside import Beside
from run.process import resident

MIB = 1 << 20


def head(path, method="GET", more=""):
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{more}\r\n".encode()


async def at_once(port, path, count):
    """`count` requests at once, each on a connection that is open before the first is sent: seconds, and the answers."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]

    async def ask(reader, writer):
        writer.write(head(path, more="Connection: close\r\n"))
        return await reader.read()

    begin = time.monotonic()
    answers = await asyncio.gather(*(ask(*one) for one in opened))
    took = time.monotonic() - begin
    for _, writer in opened:
        writer.close()
    return took, [answer for answer in answers if not answer.startswith(b"HTTP/1.1 200")]


def download(port, path, megabytes_per_second=None, until=None):
    """Bytes of the whole answer and the seconds it took; slowly where asked, and no longer than `until` is not set."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        if megabytes_per_second:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.sendall(head(path, more="Connection: close\r\n"))
        buffer, total, begin = bytearray(MIB), 0, time.monotonic()
        while got := connection.recv_into(buffer, 64 * 1024 if megabytes_per_second else MIB):
            total += got
            if megabytes_per_second:
                time.sleep(max(0, begin + total / 1e6 / megabytes_per_second - time.monotonic()))
                if until.is_set():
                    break
        return total, time.monotonic() - begin


def upload(port, path, size):
    """Sends `size` bytes; the answer's body, and the seconds it took."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head(path, "POST", f"Content-Length: {size}\r\nConnection: close\r\n"))
        piece, begin = bytes(MIB), time.monotonic()
        for _ in range(size // MIB):
            connection.sendall(piece)
        answer = b""
        while got := connection.recv(4096):
            answer += got
        return answer.split(b"\r\n\r\n", 1)[1], time.monotonic() - begin


def leave(port, path, after=0.05):
    """Sends a request and leaves without its answer: when, on the monotonic clock."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head(path))
        time.sleep(after)
        now = time.monotonic()
    return now


def ask(port, path):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head(path, more="Connection: close\r\n"))
        answer = b""
        while got := connection.recv(4096):
            answer += got
        return answer.split(b"\r\n\r\n", 1)[1].decode()


class Watch(Beside):
    """The highest resident memory of a process while the `with` block runs, in MiB above what it was before."""

    def __init__(self, pid):
        super().__init__(self._look, seconds_apart=0.02)
        self._pid = pid
        self.before = self.peak = resident(pid)

    def _look(self):
        self.peak = max(self.peak, resident(self._pid))

    @property
    def more(self):
        return (self.peak - self.before) / MIB


async def feeds(port, path, clients):
    """`clients` that read a feed to its end: how many events each has got."""

    async def read():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(path, more="Connection: close\r\n"))
        got = 0
        while line := await reader.readline():
            got += line.startswith(b"data:")
        writer.close()
        return got

    return await asyncio.gather(*(read() for _ in range(clients)))
