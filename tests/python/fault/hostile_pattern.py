"""Matches a pattern whose time doubles with each letter, in C that holds the interpreter."""

import re


def handle(method, path, params, query, headers, body):
    print("begun")
    found = re.match("(a+)+$", "a" * int(body or 26) + "b")
    return 200, repr(found), {}
