# Every target sets up what it needs; a second call finds it all in place.
SHELL := /bin/bash
BIN := .venv/bin

.PHONY: help setup bench test lint generated up down logs
help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## Python, the virtual environment, Redis and Prometheus: whatever is missing
	@compose/setup.sh

bench: setup  ## the quick comparison of scenario 1, ending in a table
	@$(BIN)/taskscope run throughput --quick

up:  ## the stack in containers, to watch: PROFILES="monitoring workers bench"
	@compose/containers.sh up

down:  ## end the containers; their data stays (docs/containers.md says how to delete it)
	@compose/containers.sh down

logs:  ## the last lines of every container
	@compose/containers.sh logs

test: setup lint  ## lint, strict types, then all tests on real services
	@$(BIN)/pytest -n 4 --dist loadfile -m "not alone"  # they mostly wait: more than cores at once
	@$(BIN)/pytest -m alone

generated: setup  ## write again what is generated: dashboards, rules, the catalogue's page
	@$(BIN)/python -m grafana && $(BIN)/python -m prometheus && $(BIN)/python -m compose && $(BIN)/python -m queries > docs/queries.md

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
