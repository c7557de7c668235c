# Everything needs Python 3.11 or newer and make; nothing else is assumed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check ui bench clean lock

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
COMPANY ?= examples/complete_journey/company.yaml
AS_OF ?= 2017-12-01
export HOLDFAST_HOME ?= .holdfast

help: ## show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: $(VENV)/ready ## run the whole line on a real shop: sources to a recorded retention action
	@$(BIN)/holdfast run --company $(COMPANY) --as-of $(AS_OF) --report reports/demo.json

test: $(VENV)/ready ## run the tests
	@$(BIN)/pytest -q --numprocesses 2 --dist loadgroup

check: $(VENV)/ready ## lint, types, import rules, SQL
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint --disable-progress-bar -q dbt_project/models

ui: $(VENV)/ready ## open Dagster's and MLflow's pages on the demo's house
	@$(BIN)/holdfast ui --company $(COMPANY)

bench: $(VENV)/ready ## measure: make bench TOPIC=sources
	@$(BIN)/python -m bench.$(TOPIC)

clean: ## remove the environment and everything a run wrote
	rm -rf $(VENV) .holdfast reports

lock: $(VENV)/ready ## resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --system-certs --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-annotate --extra demo --extra dev pyproject.toml -o requirements.lock

$(VENV)/ready: requirements.lock pyproject.toml
	@echo "Installing the locked packages into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {on = 1; print; next} on && /^ +--hash/ {print; next} on {exit}' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
