# The project's commands. Each one does its own set-up (scripts/set-up) and says what is missing.

PORT ?= 8080
HOST ?= 127.0.0.1

.DEFAULT_GOAL := help
.PHONY: help run test test-rust test-python model check-border check-words check-limits check-examples check-no-libpython check-package check-wheel faults bench bench-routes bench-streams bench-processes bench-parts bench-instructions bench-observed fuzz soak valgrind

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

run: ## serve examples/hello on 127.0.0.1:8080 (PORT= and HOST= change it)
	@HOST='$(HOST)' PORT='$(PORT)' exec scripts/serve-example hello

test: ## every test: Rust (unit, end-to-end, doc) and Python (pytest, mypy, ruff)
	@scripts/test

test-rust: ## the Rust suite, on two Python versions where two are found
	@scripts/test-rust

test-python: ## the Python package, on every Python version found
	@scripts/test-python

bench: ## beside a native route and other Python servers; result in benches/results (QUICK=1: two minutes; SCENARIO=, SERVERS=)
	@QUICK='$(QUICK)' SCENARIO='$(SCENARIO)' SERVERS='$(SERVERS)' scripts/bench

faults: ## every fault while a second client measures the other routes; result in benches/results (QUICK=1 only tries it)
	@scripts/faults

bench-routes: ## a Python route beside a native one and beside attaching for each request (needs wrk)
	@scripts/bench-routes

bench-streams: ## coroutines and streamed bodies, beside Granian; result in benches/results (QUICK=1 only tries it)
	@scripts/bench-streams

bench-processes: ## worker processes: speed, and what is lost when they die; result in benches/results (QUICK=1 only tries it; SOAK=requests)
	@QUICK='$(QUICK)' SOAK='$(SOAK)' scripts/bench-processes

bench-parts: ## what each part of a call takes, by criterion
	@scripts/bench-parts

bench-observed: ## what a subscriber and a recorder of metrics cost in requests/s (needs wrk; QUICK=1 only tries it)
	@scripts/bench-observed $(if $(QUICK),--quick)

bench-instructions: ## what each part of a call costs in instructions, by callgrind (installs valgrind on Debian as root)
	@scripts/bench-instructions

model: ## every interleaving of the queue's small cases, by loom
	@scripts/model

check-border: ## what may not cross the border does not
	@scripts/check-border

check-words: ## docs, rustdoc, log texts and docstrings are in plain words (scripts/words.toml)
	@scripts/check-words

check-limits: ## a test that does not end fails, and shows where it is
	@scripts/check-limits

check-examples: ## every example answers requests and stops cleanly
	@scripts/check-examples

check-no-libpython: ## without the feature embed there is no PyO3 and no libpython, and it serves
	@scripts/check-no-libpython

check-package: ## the crates as published: each builds by itself, and holds what it should
	@scripts/check-package

check-wheel: ## sdist and wheel of httpy-rs, used where there is no checkout
	@scripts/check-wheel

soak: ## ten million mixed requests (REQUESTS= changes it): is memory flat? Result in benches/results
	@scripts/soak

valgrind: ## a short mixed load under valgrind's memcheck
	@scripts/valgrind

MINUTES ?= 10

fuzz: ## each fuzz target for MINUTES= minutes (needs a nightly toolchain, installs cargo-fuzz)
	@scripts/fuzz '$(MINUTES)'
