# The project's commands. Each one does its own set-up (scripts/set-up) and says what is missing.

PORT ?= 8080
HOST ?= 127.0.0.1

.DEFAULT_GOAL := help
.PHONY: help run test test-rust test-python check-border check-examples bench-routes

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

run: ## serve examples/hello on 127.0.0.1:8080 (PORT= and HOST= change it)
	@HOST='$(HOST)' PORT='$(PORT)' exec scripts/serve-example hello

test: test-rust test-python ## every test: Rust (unit, end-to-end, doc) and Python (pytest, mypy, ruff)

test-rust: ## the Rust suite, on two Python versions where two are found
	@scripts/test-rust

test-python: ## the Python package, on every Python version found
	@scripts/test-python

bench-routes: ## a Python route beside a native one and beside attaching for each request (needs wrk)
	@scripts/bench-routes

check-border: ## what may not cross the border does not
	@scripts/check-border

check-examples: ## every example answers requests and stops cleanly
	@scripts/check-examples
