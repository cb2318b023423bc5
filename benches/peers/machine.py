"""What it was measured on, and with which versions."""

import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from .server import BENCHES, ENVIRONMENT


def described():
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "revision": said("git", "-C", str(BENCHES), "describe", "--always", "--dirty"),
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)),
        "load_at_the_start": round(os.getloadavg()[0], 2),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "python_options": {
            "PGO": "--enable-optimizations" in options,
            "LTO": "--with-lto" in options,
            "optimisation": " ".join(re.findall(r"-O\w+", sysconfig.get_config_var("CFLAGS") or "")[-1:]),
        },
        "rustc": said("rustc", "--version"),
        "wrk": re.sub(r"^wrk (?:debian/)?([\d.]+).*", r"wrk \1", said("wrk", "-v")),
        "peers": peers(),
    }


def peers():
    """The versions of what is installed for the peers; none where there is no environment."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        return {}
    packages = json.loads(said(str(python), "-m", "pip", "list", "--disable-pip-version-check", "--format=json"))
    return {package["name"].lower(): package["version"] for package in packages}


def processor():
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def said(*command):
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return "unknown"
    return result.stdout.strip().split("\n")[0] or "unknown"


def sentence(machine):
    """For the head of a table or a chart."""
    built = [name for name in ("PGO", "LTO") if machine["python_options"][name]]
    options = f"built with {' and '.join(built)}" if built else "built without PGO and LTO"
    return (
        f"{machine['processors']} processors ({machine['processor']}), {machine['kernel']}, "
        f"Python {machine['python']} {options}, {machine['wrk']} on the same machine, {machine['date']}"
    )


if sys.platform != "linux":
    raise SystemExit("this measurement reads /proc, so it runs on Linux only")
