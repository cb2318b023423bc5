"""What Linux tells of a process in ``/proc``, and how many files one may open."""

import re
import resource
from pathlib import Path

TICKS = 100  # in a second, on every Linux


def status(pid, name):
    """A number of ``/proc/PID/status``: ``VmRSS``, ``VmHWM`` (both in KiB), ``Threads``; 0 where it has ended."""
    found = re.search(rf"^{name}:\s*(\d+)", text(pid, "status"), re.MULTILINE)
    return int(found[1]) if found else 0


def resident(pid):
    """Bytes; 0 where it has ended."""
    return status(pid, "VmRSS") * 1024


def state(pid):
    """``R``, ``S``, ``Z`` and so on; empty where it has ended and was waited for."""
    return "".join(after_name(pid)[:1])


def processor_seconds(pid):
    user, system = after_name(pid)[11:13]
    return (int(user) + int(system)) / TICKS


def after_name(pid):
    """The fields of ``/proc/PID/stat`` that follow the name, in which anything may stand."""
    return text(pid, "stat").rpartition(")")[2].split()


def text(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def allow_files(wanted):
    """For this process and those that it starts, which inherit the limit: whether it may be so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most == wanted
