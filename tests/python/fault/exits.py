"""Ends the program, or would."""

import sys


def handle(method, path, params, query, headers, body):
    sys.exit("the handler wants to leave")
