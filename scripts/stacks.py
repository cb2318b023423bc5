"""Prints the stacks of processes and of all their descendants: native ones by gdb, those of Python by py-spy.

What is not there is done without: instead of gdb, Linux itself tells in which system call a thread waits. By hand:
`python3 scripts/stacks.py PID...`.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

# Seconds until a debugger that gives no answer is given up.
PATIENCE = 60
GDB = [
    "-nx",
    "-batch",
    "-iex",
    "set debuginfod enabled off",
    "-iex",
    "set print frame-arguments none",
    "-iex",
    "set print address off",
]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def parents():
    """The parent of each process, by process id. Those that have ended and were not waited for are left out."""
    table = {}
    if os.path.isdir("/proc/self/task"):
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path, "rb") as file:
                    pid, rest = file.read().split(b" (", 1)
            except OSError:
                continue
            state, parent = rest.rsplit(b") ", 1)[1].split()[:2]
            if state not in (b"Z", b"X"):
                table[int(pid)] = int(parent)
        return table
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,state="], stdout=subprocess.PIPE, check=True).stdout
    for line in listing.splitlines():
        pid, parent, state = line.split()[:3]
        if not state.startswith(b"Z"):
            table[int(pid)] = int(parent)
    return table


def descendants(ancestor):
    """All processes that `ancestor` has started, and those that they have started, parents first."""
    table = parents()
    found = [ancestor]
    for parent in found:
        found += [pid for pid, other in table.items() if other == parent]
    return found[1:]


def command_of(pid):
    """The command line of a process, shortened."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        words = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)], stdout=subprocess.PIPE, check=False
        ).stdout.split()
    command = " ".join(word.decode("utf-8", "replace") for word in words).strip()
    return command if len(command) < 200 else command[:200] + "..."


def show(pids, write):
    """Writes the stacks of all threads of these processes, by `write` of a text.

    The last one comes first: a debugger that stops a process may make those end that it has started.
    """
    for pid in reversed(pids):
        write("\n-- process %d: %s\n" % (pid, command_of(pid)))
        write(native(pid))
        write("-- Python in process %d\n" % pid)
        write(python(pid))


def native(pid):
    program = shutil.which("gdb")
    answer = "" if not program else answer_of([program, *GDB, "-p", str(pid), "-ex", "thread apply all backtrace 30"])
    return grouped(answer) if "\n#0" in answer else tasks(pid)


def python(pid):
    places = glob.glob(os.path.join(ROOT, ".venv-*", "bin", "py-spy"))
    program = shutil.which("py-spy") or (places and places[0])
    if not program:
        return "no py-spy on PATH or in .venv-*: scripts/make-venv installs it\n"
    if not has_python(pid):
        return "there is none\n"
    # It reads the memory of a program that goes on meanwhile, so a second look may see what the first one could not.
    for _ in range(3):
        answer = answer_of([program, "dump", "--pid", str(pid)])
        if "\nThread " in answer:
            break
    return answer + "\n"


def has_python(pid):
    try:
        with open("/proc/%d/maps" % pid) as file:
            return "python" in file.read()
    except OSError:
        return True  # unknown


def answer_of(command):
    """What a debugger prints; what it complains of where it prints nothing."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stdout or done.stderr[:200]).decode("utf-8", "replace").rstrip()


def grouped(answer):
    """The stacks of gdb's answer, each once, under the names of all threads that stand there."""
    stacks = {}
    for block in re.split(r"\n(?=Thread \d+ )", answer)[1:]:
        head, _, stack = block.partition("\n")
        name = re.search(r'LWP \d+\)(?: "[^"]*")?', head)
        # What called the thread's function, by the name that Rust gives to its end.
        stack = re.split(r"\n.*__rust_begin_short_backtrace", stack)[0]
        frames = [line[:240] for line in stack.splitlines() if line.startswith("#")]
        stacks.setdefault("\n".join(frames), []).append(name[0].replace(")", "") if name else head)
    return "".join("%s\n%s\n" % (", ".join(names), stack) for stack, names in stacks.items())


def tasks(pid):
    """What Linux tells of each thread."""
    lines = []
    for task in sorted(glob.glob("/proc/%d/task/*" % pid)):
        facts = [contents(task, name) for name in ("comm", "wchan", "syscall")]
        state = re.search(r"State:\t(.*)", contents(task, "status"))
        lines.append("%s %s, %s, system call %s" % (os.path.basename(task), facts[0], facts[1], facts[2]))
        lines.append(", %s\n" % state[1] if state else "\n")
    return "".join(lines) or "gdb gives no answer\n"


def contents(task, name):
    try:
        with open(os.path.join(task, name)) as file:
            return file.read().strip()
    except OSError:
        return "?"


if __name__ == "__main__":
    for root in map(int, sys.argv[1:]):
        show([root, *descendants(root)], sys.stdout.write)
