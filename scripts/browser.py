"""`Browser`: a page in a headless Chromium, driven over a pair of pipes (`--remote-debugging-pipe`), without any package.

Used by streaming_page.py and status_page.py; `scripts/find-browser` finds the program. What Chromium is asked stands in its DevTools protocol; messages end with a zero byte.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
from queue import Empty, Queue

class BrowserError(Exception):
    """The browser, or the page in it, did not do what it was asked."""


class Browser:
    """One page in a fresh profile; a context, which ends the browser. No wait is longer than `limit` seconds."""

    def __init__(self, program, limit, *, width=1100, height=900, dark=False):
        self.limit = limit
        self.errors = []
        """What the page logged as an error, and exceptions that it did not catch."""
        self._profile = tempfile.mkdtemp(prefix="httpy-browser-")
        self._session = None
        self._number = 0
        self._messages = Queue()
        self._process, self._commands, answers = _start(program, self._profile, width, height, dark)
        threading.Thread(target=self._read, args=(answers,), daemon=True).start()

    def __enter__(self):
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self._ask(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._commands.close()
        # Its helpers may still write for a moment.
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, address):
        """Loads a page; returns when its elements are there."""
        self._ask("Page.navigate", url=address)
        self._wait("Page.domContentEventFired")

    def run(self, script):
        """What an expression in the page comes to; a promise is waited for."""
        answer = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait_until(self, condition):
        """Waits until an expression holds, looked at again whenever the page changes."""
        script = f"""new Promise(resolve => {{
            const look = () => {{ if ({condition}) {{ observer.disconnect(); resolve(); }} }};
            const observer = new MutationObserver(look);
            observer.observe(document, {{subtree: true, childList: true, characterData: true, attributes: true}});
            look();
        }})"""
        try:
            self.run(script)
        except BrowserError as error:
            raise BrowserError(f"{error}, while this was waited for: {condition}") from error

    def choose_file(self, selector, file):
        """Puts a file into the page's `<input type=file>`."""
        root = self._ask("DOM.getDocument")["root"]["nodeId"]
        node = self._ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._ask("DOM.setFileInputFiles", nodeId=node, files=[os.path.abspath(file)])

    def press(self, key, code):
        """Presses a key and lets go of it: its name, and its number on Windows, which Chromium asks for everywhere."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def resize(self, width, height, *, phone=False):
        """Gives the page another size; narrower than a window can be, too."""
        scale = 2 if phone else 1
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )

    def screenshot(self, file, height=None):
        """Writes what the page looks like, as PNG: all of it, or so much from its top."""
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        data = self._ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        with open(file, "wb") as out:
            out.write(base64.b64decode(data))

    def _ask(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        try:
            self._commands.write(json.dumps(message).encode() + b"\0")
            self._commands.flush()
        except OSError as error:
            raise BrowserError(f"{method}: the browser has ended: {error}") from error
        answer = self._next(method, lambda message: message.get("id") == self._number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _wait(self, event):
        self._next(event, lambda message: message.get("method") == event)

    def _next(self, what, is_it):
        while True:
            try:
                message = self._messages.get(timeout=self.limit)
            except Empty:
                raise BrowserError(f"{what}: nothing for {self.limit} s") from None
            if message is None:
                raise BrowserError(f"{what}: the browser has ended")
            self._note(message)
            if is_it(message):
                return message

    def _note(self, message):
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])

    def _read(self, answers):
        rest = b""
        with open(answers, "rb", buffering=0) as pipe:
            while part := pipe.read(1 << 16):
                *messages, rest = (rest + part).split(b"\0")
                for message in messages:
                    self._messages.put(json.loads(message))
        self._messages.put(None)


def _start(program, profile, width, height, dark):
    """The browser's process, a file for commands to it, and the descriptor on which it answers."""
    command_out, command_in = os.pipe()
    answer_out, answer_in = os.pipe()

    def place():
        # Exactly these two numbers; neither may be overwritten before it was copied.
        commands, answers = os.dup(command_out), os.dup(answer_in)
        os.dup2(commands, 3)
        os.dup2(answers, 4)

    process = subprocess.Popen(
        [
            program,
            "--headless",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            "--no-first-run",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            # The sandbox refuses root; what is loaded is our own page.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            *(["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=False,
        preexec_fn=place,
    )
    os.close(command_out)
    os.close(answer_in)
    return process, os.fdopen(command_in, "wb"), answer_out
