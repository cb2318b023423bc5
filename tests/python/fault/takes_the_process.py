"""Changes what belongs to the process: signals, timers, the switch interval, the working directory."""

import os
import signal
import sys


def taken(number, frame):
    print("Python took the signal")


def refusal(call, *arguments):
    try:
        return f"done: {call(*arguments)}"
    except Exception as error:
        return type(error).__name__


while_importing = refusal(signal.signal, signal.SIGINT, taken)


def handle(method, path, params, query, headers, body):
    refusals = (
        while_importing,
        refusal(signal.signal, signal.SIGTERM, taken),
        refusal(signal.alarm, 1),
        refusal(signal.setitimer, signal.ITIMER_REAL, 0.01),
        refusal(sys.setswitchinterval, 1000),
    )
    os.chdir("/")
    return 200, f"{set(refusals)} {sys.getswitchinterval() < 1} {os.getcwd()}", {}
