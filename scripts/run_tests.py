"""Runs one test program of Rust's libtest, and gives each of its tests a limit.

A test is overdue when it has run for `LIMIT` seconds in which no other test of its program has ended, or for `MOST`
times as long in any case: tests that take turns wait for each other. Then this prints the stacks of all threads of the
program and of every process that it has started, ends them all, and fails with the names of the overdue tests. The same
holds for a program that does not end, and for processes that a test has left behind.

A test that has nothing to try with the executor of now prints `IGNORED` and the reason, and is shown as ignored.

Cargo calls this through `scripts/run-program`; the arguments are `--events`, the program and the arguments of libtest.
With `--no-events` the program tells nothing of its tests, and has the limit as a whole, from the last line that it has
printed.
"""

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time

import stacks
import watchdog
from watchdog import LIMIT

# What needs longer than the limit: the beginning of "program::test", and seconds of the clock.
LONGER = {"leak::": 900}
MOST = 4
# What programs and tests print themselves is kept to be shown with a failure, up to this many bytes.
KEPT = 1 << 18
IGNORED = "test ignored: "
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Results:
    """What has become of the tests so far, and how it is printed."""

    def __init__(self, name, quiet, shows_output):
        self.name, self.quiet, self.shows_output = name, quiet, shows_output
        self.running = {}  # name to the time of its start
        self.passed, self.failed, self.ignored, self.reasons = {}, {}, 0, {}
        self.summary, self.last, self.total = None, 0.0, 0
        self.began = time.monotonic()

    def take(self, event, now):
        name, what = event.get("name"), event["event"]
        if event["type"] == "suite":
            if what == "started":
                self.total = event["test_count"]
                say(f"\nrunning {self.total} test{'' if self.total == 1 else 's'}")
            else:
                self.summary = event
        elif event["type"] == "test" and what == "started":
            self.running[name] = now
        elif event["type"] == "test" and what in ("ok", "failed", "ignored"):
            self.running.pop(name, None)
            self.last = now
            self.end(name, what, event)

    def end(self, name, what, event):
        output = event.get("stdout", "")
        for line in output.splitlines():
            self.look_for_reason(line)
        reason = self.reasons.get(name)
        if what == "failed":
            self.failed[name] = output + event.get("message", "")
            say(f"test {name} ... FAILED")
        elif what == "ignored" or reason:
            self.ignored += 1
            reason = reason or event.get("message")
            say(f"test {name} ... ignored{', ' + reason if reason else ''}")
        else:
            self.passed[name] = output
            if not self.quiet:
                say(f"test {name} ... ok")

    def look_for_reason(self, line):
        """`test ignored: NAME: REASON`."""
        if line.startswith(IGNORED):
            name, _, reason = line[len(IGNORED) :].partition(": ")
            self.reasons[name] = reason

    def take_line(self, line, now):
        """A line that is no event."""
        self.look_for_reason(line)
        if not self.total:
            self.last = now

    def overdue(self, now):
        """The tests that are overdue; the empty name for the program."""
        since = self.last
        if not self.running:
            return [""] if now - since > LIMIT else []
        return [
            name
            for name, start in self.running.items()
            if now - max(start, since) > self.limit(name) or now - start > MOST * self.limit(name)
        ]

    def limit(self, name):
        full = f"{self.name}::{name}"
        return max([LIMIT] + [limit for beginning, limit in LONGER.items() if full.startswith(beginning)])

    def now(self):
        return f"running at that moment: {', '.join(self.running) or 'no test'}"

    def print_end(self, is_good):
        if self.shows_output:
            show_outputs("successes", {name: output for name, output in self.passed.items() if output})
        if self.failed:
            show_outputs("failures", self.failed)
        summary = self.summary or {"measured": 0, "filtered_out": 0}
        left = self.total - len(self.passed) - len(self.failed) - self.ignored
        say(
            f"\ntest result: {'ok' if is_good else 'FAILED'}. {len(self.passed)} passed; {len(self.failed)} failed; "
            f"{self.ignored} ignored; {summary['measured']} measured; {summary['filtered_out']} filtered out; "
            f"{f'{left} not run; ' if left else ''}finished in {time.monotonic() - self.began:.2f}s\n"
        )


def show_outputs(title, outputs):
    say(f"\n{title}:")
    for name, output in outputs.items():
        say(f"\n---- {name} stdout ----\n{output.rstrip()}")
    say(f"\n{title}:")
    for name in sorted(outputs):
        say(f"    {name}")


class Program:
    """The test program and all that it starts."""

    def __init__(self, command, folder):
        # What outlives its parent comes to this process, which can find and end it then.
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.status = None
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "RUSTC_BOOTSTRAP": "1", "HTTPY_TEST_OUTPUT": folder},
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )

    def reap(self):
        """Takes the ends of processes, and tells whether the program itself has ended."""
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self.process.pid:
                    self.status = self.process.returncode = os.waitstatus_to_exitcode(found[1])
        except ChildProcessError:
            pass
        return self.status is not None

    def kill(self):
        watchdog.kill(os.getpid(), self.reap)


class Reader:
    """Reads what the program prints: events of libtest, and anything else, which is shown now or kept for a failure."""

    def __init__(self, process, results, clock, shows):
        self.results, self.clock, self.shows = results, clock, shows
        self.shown_on = {process.stdout: sys.stdout, process.stderr: sys.stderr}
        self.rests = dict.fromkeys(self.shown_on, b"")
        self.kept = b""
        self.selector = selectors.DefaultSelector()
        for stream in self.shown_on:
            self.selector.register(stream, selectors.EVENT_READ)

    def read(self, wait):
        """Reads what comes within `wait` seconds, and tells whether anything did."""
        if not self.selector.get_map():
            time.sleep(min(wait, 0.01))
            return False
        ready = self.selector.select(wait)
        for key, _ in ready:
            data = os.read(key.fd, 1 << 16)
            *lines, rest = (self.rests[key.fileobj] + data).split(b"\n")
            if not data:
                self.selector.unregister(key.fileobj)
                lines, rest = [rest] if rest else [], b""
            self.rests[key.fileobj] = rest
            for line in lines:
                self.take(line, self.shown_on[key.fileobj])
        return bool(ready)

    def take(self, line, shown_on):
        # Something else may have been printed before an event, without the end of its line.
        start = line.find(b'{ "type": "')
        if start >= 0:
            try:
                event = json.loads(line[start:])
            except ValueError:
                pass
            else:
                self.results.take(event, self.clock.now)
                line = line[:start]
                if not line:
                    return
        self.results.take_line(line.decode("utf-8", "replace"), self.clock.now)
        if self.shows:
            shown_on.buffer.write(line + b"\n")
            shown_on.flush()
        else:
            self.kept = (self.kept + line + b"\n")[-KEPT:]


def prctl(option, value):
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def say(text):
    print(text, flush=True)


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def watch(program, results, reader, clock, events):
    """Waits until the program and all that it has started have ended, and tells what is wrong where they do not."""
    while not program.reap():
        reader.read(0.1)
        clock.tick()
        if overdue := results.overdue(clock.now):
            results.failed.update(dict.fromkeys(filter(None, overdue), "did not end within its limit"))
            what = ", ".join(filter(None, overdue)) or "it"
            return f"{what} did not end within its limit of {results.limit(overdue[0]):.0f} s; {results.now()}"
    while reader.read(0):
        pass
    if program.status not in (0, 101):
        end = signal.Signals(-program.status).name if program.status < 0 else f"exit code {program.status}"
        return f"the program ended with {end}; {results.now()}"
    if events and results.summary is None:
        return f"the program ended before its tests; {results.now()}"
    ended = clock.now
    while stacks.descendants(os.getpid()):
        if clock.now - ended > min(LIMIT, 30):
            return "processes of the tests are left behind"
        reader.read(0.05)
        clock.tick()
        program.reap()
    return None


def show(pids, folder):
    """Shows where these processes are, and what they have written where a test keeps that in a file."""
    for pid in pids:
        with contextlib.suppress(OSError), open(os.path.join(folder, str(pid)), "rb") as file:
            text = file.read()[-KEPT:].decode("utf-8", "replace")
            say(f"\n-- process {pid} has written\n{text.rstrip()}")
    stacks.show(pids, write)


def run(command, folder, events, quiet, shows, shows_output):
    name = os.path.basename(command[0]).rpartition("-")[0]
    clock = watchdog.Clock()
    results = Results(name, quiet, shows_output)
    program = Program(command, folder)
    try:
        reader = Reader(program.process, results, clock, shows)
        wrong = watch(program, results, reader, clock, events)
        if wrong:
            say(f"\n==== {name}: {wrong}")
            show(stacks.descendants(os.getpid()), folder)
    finally:
        program.kill()
    is_good = not wrong and program.status == 0 and not results.failed
    if not is_good and reader.kept:
        say(f"\n---- what {name} and its processes have printed themselves ----")
        say(reader.kept.decode("utf-8", "replace").rstrip())
    if events:
        results.print_end(is_good)
    if wrong:
        say(f"{name}: {wrong}\n")
    return 0 if is_good else 101


class Interrupted(Exception):
    pass


def interrupt(number, _frame):
    raise Interrupted(number)


def main():
    events, program, *arguments = sys.argv[1:]
    events = events == "--events"
    taken, quiet = [], False
    for argument in arguments if events else []:
        if argument in ("-q", "--quiet", "--format=terse"):
            quiet = True
        elif argument == "-h" or argument.startswith(("--list", "--help", "--bench", "--format")):
            # No test is run, or somebody else reads what libtest prints.
            os.execv(program, [program, *arguments])
        else:
            taken.append(argument)
    shows = (
        bool({"--nocapture", "--no-capture"}.intersection(taken)) or os.environ.get("RUST_TEST_NOCAPTURE", "0") != "0"
    )
    shows_output = "--show-output" in taken
    if events:
        # Without the output of tests that pass, their reasons would not be here.
        taken += ["-Zunstable-options", "--format=json"] + ["--show-output"] * (not shows_output)
    else:
        taken, shows = arguments, True

    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        signal.signal(number, interrupt)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return run([program, *taken], folder, events, quiet, shows, shows_output)
    except Interrupted as interrupted:
        # As if it had not been handled: whoever waits sees how this ended.
        signal.signal(interrupted.args[0], signal.SIG_DFL)
        os.kill(os.getpid(), interrupted.args[0])
        return 1


sys.exit(main())
