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
        self.socket = None
        self.open()

    def open(self):
        self.close()
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

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
            self.code = int(self.received[9:12])
            self.wanted = end + 4 + (int(length[1]) if length else 0) - len(self.received)
            self.received = b""
        else:
            self.wanted -= len(part)
        return self.code if self.wanted <= 0 else None


class Load:
    """Sees by label: what was ``answered`` (status, seconds), how many were ``closed``, are still ``waiting``."""

    def __init__(self, address):
        self.address = address
        self.connections = []
        self.answered = defaultdict(list)
        self.closed, self.waiting = Counter(), Counter()
        self.answers = 0

    def add(self, label, asked, count=1, pause=None):
        """``pause()`` gives the seconds before the next request; without it there is none."""
        self.connections += [Connection(self.address, label, asked, pause) for _ in range(count)]
        return self

    def run(self, seconds=None, answers=None, after=None):
        """Until so much time has passed, or so many answers have come. With ``after=(number, call)`` the call is made
        after that many answers; from then on connections that are closed stay closed, and it ends when all are."""
        end = time.perf_counter() + (seconds or 3600)
        poll = select.epoll()
        by_number = {}
        due = []
        reopen = True

        def begin(connection):
            by_number[connection.socket.fileno()] = connection
            poll.register(connection.socket, select.EPOLLIN)
            connection.send()

        for connection in self.connections:
            begin(connection)
        while by_number and (answers is None or self.answers < answers):
            now = time.perf_counter()
            if now >= end:
                break
            while due and due[0][0] <= now:
                heapq.heappop(due)[2].send()
            for number, _ in poll.poll(min(end, due[0][0] if due else end) - now):
                connection = by_number[number]
                try:
                    status = connection.status()
                except ConnectionError:
                    poll.unregister(number)
                    del by_number[number]
                    self.closed[connection.label] += 1
                    connection.close()
                    if reopen:
                        connection.open()
                        begin(connection)
                    continue
                if status is None:
                    continue
                now = time.perf_counter()
                self.answered[connection.label].append((status, now - connection.since))
                self.answers += 1
                connection.since = None
                if after and self.answers == after[0]:
                    after[1]()
                    reopen = False
                if connection.pause is None:
                    connection.send()
                else:
                    heapq.heappush(due, (now + connection.pause(), number, connection))
        for connection in by_number.values():
            self.waiting[connection.label] += connection.since is not None
            connection.close()
        return self

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
