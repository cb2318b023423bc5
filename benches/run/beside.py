"""`Beside`: what is done again and again while something else is measured."""

import threading


class Beside(threading.Thread):
    """Does something again and again while the `with` block runs; raises there what was raised in it."""

    def __init__(self, do, seconds_apart=0):
        super().__init__(daemon=True)
        self._do, self._apart, self._over = do, seconds_apart, threading.Event()
        self._raised = None

    def run(self):
        try:
            while not self._over.wait(self._apart):
                self._do()
        except Exception as error:
            self._raised = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()
        if self._raised:
            raise RuntimeError(f"beside the load: {self._raised!r}") from self._raised
