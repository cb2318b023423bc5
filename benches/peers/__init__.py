"""Runs httpy, a native axum route and other Python servers in turn, under the same load: `python -m peers`."""
