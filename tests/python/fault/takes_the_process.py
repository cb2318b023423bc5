"""Changes what belongs to the process: signals, the switch interval, the working directory."""

import os
import signal
import sys


def taken(number, frame):
    print("Python took the signal")


signal.signal(signal.SIGINT, taken)


def handle(method, path, params, query, headers, body):
    before = signal.signal(signal.SIGTERM, taken)
    sys.setswitchinterval(1000)
    os.chdir("/")
    return 200, f"{before == signal.SIG_DFL} {sys.getswitchinterval() < 1} {os.getcwd()}", {}
