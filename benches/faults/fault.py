"""The faults as clients cause them, each in a process of its own: it must not slow down the one that measures."""

import contextlib
import multiprocessing
import socket
import threading
import time
from collections import Counter, namedtuple

from run.process import allow_files

from .client import Load, ask, request

# What is asked: `cause(address, seconds)` gives a count of what was answered, or of what was done.
Fault = namedtuple("Fault", "name module cause options")

FILES = 10_500  # that one process may open: ten thousand connections and what a server has open


def asking(path="/", body=b"", count=4):
    def cause(address, seconds):
        return seen_by(Load(address).add("fault", request(path, body), count).run(seconds))

    return cause


def seen_by(load):
    return {**load.statuses("fault"), "no answer yet": load.waiting["fault"], "closed": load.closed["fault"]}


def held(address, seconds):
    """Lets each handler hold the interpreter for a second."""
    gate = socket.create_server(("127.0.0.1", 0))

    def open_gate():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = gate.accept()
                with connection:
                    time.sleep(1)

    threading.Thread(target=open_gate, daemon=True).start()
    return asking(f"/?gate={gate.getsockname()[1]}", count=2)(address, seconds)


def halves(address, seconds):
    """A thousand clients per second send half of a request and leave."""
    whole = request("/", b"x" * 1000)
    end, seen = time.monotonic() + seconds, Counter()
    while time.monotonic() < end:
        since = time.monotonic()
        for number in range(1000):
            with socket.create_connection(address) as stream:
                stream.send(whole[: 20 if number % 2 else len(whole) // 2])
        seen["left half-way"] += 1000
        time.sleep(max(0, since + 1 - time.monotonic()))
    return seen


def dribbling(address, seconds):
    """A hundred clients read an answer of 16 MiB, one byte per second each."""
    streams = [socket.create_connection(address) for _ in range(100)]
    for stream in streams:
        stream.sendall(request("/", b"16777216"))
    end, seen = time.monotonic() + seconds, Counter()
    while time.monotonic() < end:
        for stream in streams:
            seen["bytes read"] += len(stream.recv(1))
        time.sleep(1)
    return seen


def crowd(address, seconds):
    """Ten thousand connections that ask at once, again and again."""
    if not allow_files(FILES):
        return {f"skipped: {FILES} open files are needed, the hard limit is lower": 1}
    return seen_by(Load(address).add("fault", request("/"), 10_000, lambda: 0.5).run(seconds))


def once(address, seconds):
    return {str(ask(address, request("/"))[0]): 1}


def panics(address, seconds):
    ask(address, request("/raise"))
    return asking()(address, seconds)


SHORT = {"deadline": "1s"}

FAULTS = [
    Fault("nothing", "healthy", lambda address, seconds: time.sleep(seconds), {}),
    Fault("an endless loop in Python", "endless_loop", asking(), SHORT),
    Fault("C code that holds the interpreter, for 1 s each", "held_by_c", held, {}),
    Fault("a huge integer power", "huge_power", asking(), SHORT),
    Fault("a hostile regular expression", "hostile_pattern", asking(), SHORT),
    Fault("`time.sleep(3600)`", "long_sleep", asking(), SHORT),
    Fault("a loop that swallows every exception", "swallows", asking(count=1), SHORT),
    Fault("`sys.exit`", "exits", asking(), {}),
    Fault("`MemoryError`", "no_memory", asking(), {}),
    Fault("endless recursion", "recursion", asking(), {}),
    Fault("endless recursion, limit raised", "recursion", asking("/raised"), {}),
    Fault("threads left behind", "starts_threads", once, {}),
    Fault("forks", "forks", asking(count=1), {}),
    Fault("`os.close(1)`", "closes_stdout", asking(), {}),
    Fault("signals, switch interval, working directory", "takes_the_process", asking(), {}),
    Fault("a body of 1 GiB", "huge_body", asking(count=1), {}),
    Fault("a panic of our own", "panics", panics, {}),
    Fault("1,000 clients per second that leave half-way", "healthy", halves, {}),
    Fault("100 clients that read one byte per second", "huge_body", dribbling, {}),
    Fault("10,000 connections at once", "healthy", crowd, {}),
    Fault("`os.abort`", "aborts", once, {}),
]


class Running:
    """A fault that goes on in a process of its own."""

    def __init__(self, fault, address, seconds):
        context = multiprocessing.get_context("fork")
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=self._run, args=(fault.cause, address, seconds, sender))
        self._process.start()

    @staticmethod
    def _run(cause, address, seconds, sender):
        try:
            seen = cause(address, seconds)
        except OSError as error:
            seen = {str(error): 1}
        sender.send({name: number for name, number in (seen or {}).items() if number})

    def seen(self):
        """What it saw, as soon as it has ended."""
        seen = self._receiver.recv()
        self._process.join()
        return seen
