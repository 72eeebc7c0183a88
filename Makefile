# Every target sets up what it needs; a second call finds it all in place.
SHELL := /bin/bash
BIN := .venv/bin

.PHONY: help setup bench test lint check
help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## Python, the virtual environment, Redis and Prometheus: whatever is missing
	@compose/setup.sh

bench: setup  ## the quick comparison of scenario 1, ending in a table
	@$(BIN)/taskscope run throughput --quick

test: setup lint  ## lint, strict types, then all tests on real services
	@$(BIN)/pytest -n 3 --dist loadfile -m "not alone"  # they mostly wait: more than cores at once
	@$(BIN)/pytest -m alone

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
