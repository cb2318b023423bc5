"""Runs a command as the terminal's foreground process group, so that Ctrl-C reaches the command alone.

make answers a Ctrl-C with an error of its own, however cleanly the command ended; here it never sees one. Where there is
no terminal to give away, the command simply takes this process's place. Exits with the command's exit code.
"""

import os
import signal
import subprocess
import sys


def main(command):
    # Not the foreground group: started with `&`, and the terminal is not ours to give.
    if not sys.stdin.isatty() or os.tcgetpgrp(0) != os.getpgrp():
        os.execvp(command[0], command)

    # Both the child and, at the end, this process call tcsetpgrp from outside the foreground group.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = subprocess.Popen(command, preexec_fn=enter_foreground)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: child.send_signal(number))
    code = child.wait()
    os.tcsetpgrp(0, os.getpgrp())
    sys.exit(code if code >= 0 else 128 - code)


def enter_foreground():
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    # Nobody could wake the command again: the shell only knows make.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)


main(sys.argv[1:])
