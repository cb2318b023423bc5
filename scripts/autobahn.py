"""Runs the Autobahn suite against the tests' server, once for each executor: autobahn.py SERVER WSTEST CASES."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ECHO = """
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        raise RuntimeError("WebSockets only")
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
"""
COMPRESSION = ["12.*", "13.*"]
RIGHT = {"OK", "NON-STRICT", "INFORMATIONAL"}
LIMIT = 1800  # seconds for the cases of one executor


def run(server: str, wstest: str, cases: list[str], folder: Path, name: str, executor: dict[str, object]) -> bool:
    """Whether every case ended as it should."""
    setup = {
        "apps": [
            {
                "target": "echo:app",
                "kind": "Asgi",
                "init": None,
                "service": {},
                "engine": {"executor": executor, "path": [str(folder)]},
            }
        ],
        "grace": {"secs": 5, "nanos": 0},
        "rebuild": False,
        "port": 0,
    }
    with subprocess.Popen([server, json.dumps(setup)], stdout=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r"[\d.]+:\d+", process.stdout.readline())
            address = found[0]
            spec = {
                "outdir": str(folder / name),
                "servers": [{"agent": name, "url": f"ws://{address}"}],
                "cases": cases or ["*"],
                "exclude-cases": [] if cases else COMPRESSION,
                "exclude-agent-cases": {},
            }
            file = folder / f"{name}.json"
            file.write_text(json.dumps(spec))
            command = [wstest, "-m", "fuzzingclient", "-s", str(file)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT)
        finally:
            process.terminate()
    results = json.loads((folder / name / "index.json").read_text())[name]
    wrong = [case for case, result in results.items() if {result["behavior"], result["behaviorClose"]} - RIGHT]
    counts = Counter(result["behavior"] for result in results.values())
    print(f"{name}: {len(results)} cases, {dict(counts)}, wrong: {', '.join(wrong) or 'none'}", flush=True)
    return bool(results) and not wrong


def main() -> int:
    server, wstest, cases = sys.argv[1:]
    python = os.environ["PYO3_PYTHON"]
    executors = {"threads": {"threads": {}}, "processes": {"processes": {"count": 1, "python": python}}}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "echo.py").write_text(ECHO)
        right = [
            run(server, wstest, cases.split(), folder, name, executor) for name, executor in executors.items()
        ]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
