"""Leaves threads behind: some end, some are daemons that compute, and one never ends."""

import threading


def compute():
    while True:
        pass


def handle(method, path, params, query, headers, body):
    for _ in range(20):
        threading.Thread(target=int).start()
    threading.Thread(target=compute, daemon=True).start()
    threading.Thread(target=threading.Event().wait, name="never-ending").start()
    return 200, "started", {}
