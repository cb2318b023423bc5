"""Uploads of any size: counted and hashed as they come, never held."""

import hashlib
import json
import time

import httpy_rs
from feed import announce


def upload(method, path, params, query, headers, body: httpy_rs.Body):
    """POST /upload: how many bytes the body had, and their SHA-256."""
    begin = time.monotonic()
    count, chunks, digest = 0, 0, hashlib.sha256()
    for chunk in body:
        count += len(chunk)
        chunks += 1
        digest.update(chunk)
    seconds = time.monotonic() - begin
    announce(f"An upload of {count:,} bytes came in {chunks:,} chunks.")
    answer = {"bytes": count, "chunks": chunks, "seconds": round(seconds, 3), "sha256": digest.hexdigest()}
    return 200, json.dumps(answer) + "\n", {"Content-Type": "application/json"}
