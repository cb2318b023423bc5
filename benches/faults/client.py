"""A client of many connections in one thread: each asks again as soon as it is answered, or after a pause."""

import heapq
import re
import select
import socket
import time
from collections import Counter, defaultdict

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def request(path, body=b"", method=None):
    head = f"{method or ('POST' if body else 'GET')} {path} HTTP/1.1\r\nHost: localhost\r\n"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


class Connection:
    def __init__(self, address, label, asked, pause):
        self.address, self.label, self.asked, self.pause = address, label, asked, pause
        self.since = None
        self.open()

    def open(self):
        self.since = None
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def close(self):
        self.socket.close()

    def is_idle(self):
        return self.since is None

    def send(self):
        self.received, self.wanted = b"", None
        self.since = time.perf_counter()
        self.socket.send(self.asked)

    def status(self):
        """Of the answer that is whole by now, else ``None``. ``ConnectionError`` when the connection has ended."""
        part = self.socket.recv(1 << 20)
        if not part:
            raise ConnectionResetError
        if self.wanted is None:
            self.received += part
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return None
            length = _LENGTH.search(self.received, 0, end)
            self.is_last = b"\r\nconnection: close" in self.received[:end].lower()
            self.code = int(self.received[9:12])
            self.wanted = end + 4 + (int(length[1]) if length else 0) - len(self.received)
            self.received = b""
        else:
            self.wanted -= len(part)
        return self.code if self.wanted <= 0 else None


class Load:
    """Sees by label what was ``answered`` (status, seconds), how many requests met a ``closed`` connection or still are
    ``waiting``."""

    def __init__(self, address):
        self.address = address
        self.connections = []
        self.answered = defaultdict(list)
        self.closed, self.waiting = Counter(), Counter()
        self.answers = 0
        self._poll = select.epoll()
        self._open = {}
        self._due, self._count = [], 0
        self._reopens = True

    def add(self, label, asked, count=1, pause=None):
        """``pause()`` gives the seconds before each request, the first one too; without it there is none."""
        self.connections += [Connection(self.address, label, asked, pause) for _ in range(count)]
        return self

    def run(self, seconds=None, answers=None, after=None):
        """Until so much time has passed, or so many answers have come. With ``after=(number, call)`` the call is made
        after that many answers; from then on connections that are closed stay closed, and it ends when all are."""
        end = time.perf_counter() + (seconds or 3600)
        for connection in self.connections:
            self._begin(connection)
        while self._open and (answers is None or self.answers < answers):
            now = time.perf_counter()
            if now >= end:
                break
            while self._due and self._due[0][0] <= now:
                connection = heapq.heappop(self._due)[2]
                if connection.is_idle():
                    self._send(connection)
            for number, _ in self._poll.poll(min(end, self._due[0][0] if self._due else end) - now):
                if self._receive(self._open[number]) and after and self.answers == after[0]:
                    self._reopens = False
                    after[1]()
        for connection in self._open.values():
            self.waiting[connection.label] += not connection.is_idle()
            connection.close()
        return self

    def _begin(self, connection):
        number = connection.socket.fileno()
        self._open[number] = connection
        self._poll.register(number, select.EPOLLIN)
        self._go_on(connection)

    def _go_on(self, connection):
        if connection.pause is None:
            self._send(connection)
        else:
            self._count += 1  # so that two of one moment need not be compared
            heapq.heappush(self._due, (time.perf_counter() + connection.pause(), self._count, connection))

    def _send(self, connection):
        try:
            connection.send()
        except ConnectionError:
            self._lose(connection)

    def _receive(self, connection):
        """Whether an answer is whole now."""
        try:
            status = connection.status()
        except ConnectionError:
            self._lose(connection)
            return False
        if status is None:
            return False
        self.answered[connection.label].append((status, time.perf_counter() - connection.since))
        self.answers += 1
        connection.since = None
        if connection.is_last:
            self._lose(connection)
        else:
            self._go_on(connection)
        return True

    def _lose(self, connection):
        self.closed[connection.label] += not connection.is_idle()
        number = connection.socket.fileno()
        self._poll.unregister(number)
        del self._open[number]
        connection.close()
        if self._reopens:
            connection.open()
            self._begin(connection)

    def times(self, label):
        return [seconds for _, seconds in self.answered[label]]

    def statuses(self, label):
        """How often each was seen, by its text."""
        return Counter(str(status) for status, _ in self.answered[label])


def ask(address, asked, limit=120):
    """Status and seconds of one request over a connection of its own."""
    with socket.create_connection(address, limit) as stream:
        start = time.perf_counter()
        stream.sendall(asked)
        received = b""
        while b"\r\n\r\n" not in received:
            part = stream.recv(65536)
            if not part:
                return 0, time.perf_counter() - start
            received += part
        return int(received[9:12]), time.perf_counter() - start


def percentiles(times):
    """Milliseconds."""
    ordered = sorted(times)
    if not ordered:
        return {"count": 0}
    at = {"p50": 0.5, "p99": 0.99, "max": 1}
    places = {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in at.items()}
    return {"count": len(ordered), **{name: round(seconds * 1000, 3) for name, seconds in places.items()}}
