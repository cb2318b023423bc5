# The project's commands. Each one does its own set-up (scripts/set-up) and says what is missing.

PORT ?= 8080
HOST ?= 127.0.0.1

.DEFAULT_GOAL := help
.PHONY: help run test test-rust test-python model check-border check-words check-limits check-examples check-no-libpython check-package check-wheel faults bench bench-routes bench-streams bench-processes bench-parts bench-instructions bench-observed fuzz soak test-autobahn valgrind

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

run: ## serve examples/hello on 127.0.0.1:8080 (PORT= and HOST= change it)
	@HOST='$(HOST)' PORT='$(PORT)' exec scripts/serve-example hello

test: ## run every test: Rust (unit, end-to-end, doc) and Python (pytest, mypy, ruff)
	@scripts/test

test-rust: ## run the Rust tests, with two Python versions if two are found
	@scripts/test-rust

test-python: ## run the tests of the Python package, with every Python version found
	@scripts/test-python

bench: ## compare with a native route and other Python servers; result in benches/results (QUICK=1: two minutes; SCENARIO=, SERVERS=)
	@QUICK='$(QUICK)' SCENARIO='$(SCENARIO)' SERVERS='$(SERVERS)' scripts/bench

faults: ## measure what each fault costs the other routes; result in benches/results (QUICK=1 only tries it)
	@scripts/faults

bench-routes: ## compare a Python route with a native one, and with attaching for each request (needs wrk)
	@scripts/bench-routes

bench-streams: ## measure coroutines and streamed bodies, compared with Granian; result in benches/results (QUICK=1 only tries it)
	@scripts/bench-streams

bench-processes: ## measure worker processes: speed, and calls lost if they die; result in benches/results (QUICK=1 only tries it; SOAK=requests)
	@QUICK='$(QUICK)' SOAK='$(SOAK)' scripts/bench-processes

bench-parts: ## measure the time of each part of a call, by criterion
	@scripts/bench-parts

bench-observed: ## measure what a subscriber and a recorder of metrics cost in requests/s (needs wrk; QUICK=1 only tries it)
	@scripts/bench-observed $(if $(QUICK),--quick)

bench-instructions: ## count the instructions of each part of a call, by callgrind (installs valgrind on Debian as root)
	@scripts/bench-instructions

model: ## try every interleaving of small cases of the queue, by loom
	@scripts/model

check-border: ## check that nothing crosses the border between Python and HTTP
	@scripts/check-border

check-words: ## check that docs, rustdoc, messages and docstrings are in plain words (scripts/words.toml)
	@scripts/check-words

check-limits: ## check that a test that does not end fails and shows its stacks
	@scripts/check-limits

check-examples: ## check that every example answers requests and stops cleanly
	@scripts/check-examples

check-no-libpython: ## check that a build without the feature embed serves without PyO3 and libpython
	@scripts/check-no-libpython

check-package: ## check the crates as published: each builds from its package, and is complete
	@scripts/check-package

check-wheel: ## build the sdist and wheel of httpy-rs, and use the wheel without a checkout
	@scripts/check-wheel

test-autobahn: ## run the Autobahn suite of WebSockets over both executors (needs Python 2.7; CASES=)
	@CASES='$(CASES)' scripts/test-autobahn

soak: ## check memory over ten million mixed requests (REQUESTS= changes it); result in benches/results
	@scripts/soak

valgrind: ## run a short mixed load under valgrind's memcheck
	@scripts/valgrind

MINUTES ?= 10

fuzz: ## run each fuzz target for MINUTES= minutes (needs a nightly toolchain, installs cargo-fuzz)
	@scripts/fuzz '$(MINUTES)'
