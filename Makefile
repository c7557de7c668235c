# Needs Python 3.11 and make; everything else is installed into .venv from requirements.lock.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check lint types imports sql fmt ui dev bench clean lock

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ifdef INDUSTRY
# A simulated company of that industry; its systems are served on loopback while a command runs.
export HOLDFAST_HOME ?= .holdfast/$(INDUSTRY)
export HOLDFAST_TOKEN_KEY ?= for-an-invented-company-only
WORLD := $(HOLDFAST_HOME)/world
COMPANY := $(WORLD)/company.yaml
AS_OF ?= 2025-12-01
REPORT := reports/$(INDUSTRY).json
SERVED := $(BIN)/python -m simulator.serve $(WORLD)
else
export HOLDFAST_HOME ?= .holdfast
COMPANY ?= examples/complete_journey/company.yaml
AS_OF ?= 2017-12-01
REPORT := reports/demo.json
SERVED :=
# the shop is published data without a name in it: its demo needs no secret of anybody
demo ui dev: export HOLDFAST_TOKEN_KEY ?= for-the-public-shop-only
endif

help: ## show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: $(VENV)/ready $(WORLD) ## run the pipeline on a real shop, or on a simulated company: make demo INDUSTRY=telecom
	@$(SERVED) $(BIN)/holdfast run --company $(COMPANY) --as-of $(AS_OF) --report $(REPORT)
	@echo "Open the desk: make ui$(if $(INDUSTRY), INDUSTRY=$(INDUSTRY)) prints its address and a link to sign in with once."

# What tests write lies in memory where it has room: their databases wait for a disk as long as they compute. Compiled
# modules are kept, because tests start many processes that import the same ones.
SCRATCH = $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 8e6 {print "TMPDIR=/dev/shm"}')
test: $(VENV)/ready ## run the tests; some of them: make test ARGS="-k holdout"
	@$(SCRATCH) PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -q --numprocesses 2 $(ARGS)

check: $(VENV)/ready ## lint, types, import rules, SQL
	@$(MAKE) --no-print-directory --jobs 2 types sql lint imports

lint types imports sql: $(VENV)/ready
lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
types:
	@$(BIN)/mypy
imports:
	@$(BIN)/lint-imports
sql:
	@$(BIN)/python -m dbt_project.lint

fmt: $(VENV)/ready ## format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

ui: $(VENV)/ready $(WORLD) ## open the desk, the Dagster UI, the MLflow UI and dbt's docs on the demo's instance
	@$(SERVED) $(BIN)/holdfast ui --company $(COMPANY)

dev: $(VENV)/ready $(WORLD) ## develop: dagster dev on the demo's instance; reload changed code in its UI
	@mkdir -p $(HOLDFAST_HOME)/dagster
	@sed 's#{home}#$(abspath $(HOLDFAST_HOME))/dagster#' dagster.yaml > $(HOLDFAST_HOME)/dagster/dagster.yaml
	@HOLDFAST_HOME=$(abspath $(HOLDFAST_HOME)) HOLDFAST_COMPANY=$(abspath $(COMPANY)) \
	  DAGSTER_HOME=$(abspath $(HOLDFAST_HOME))/dagster \
	  $(SERVED) $(BIN)/dagster dev --workspace workspace.yaml

bench: $(VENV)/ready ## measure one topic: make bench TOPIC=models
	@$(BIN)/python -m bench.$(TOPIC) $(ARGS)

ifdef INDUSTRY
$(WORLD): | $(VENV)/ready
	@mkdir -p $(HOLDFAST_HOME)
	@rm -rf $@.new
	@$(BIN)/python -m simulator --industry $(INDUSTRY) --customers 5000 --months 12 --seed 0 --out $@.new
	@mv $@.new $@
endif

clean: ## remove the environment and everything a run wrote
	rm -rf $(VENV) .holdfast reports

lock: $(VENV)/ready ## resolve requirements.lock from pyproject.toml
	@$(BIN)/uv pip compile --quiet --system-certs --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-annotate $(foreach extra,demo dev fuzz kafka lake text tuning,--extra $(extra)) pyproject.toml -o requirements.lock

$(VENV)/ready: requirements.lock pyproject.toml
	@echo "Installing the locked packages into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {on = 1; print; next} on && /^ +--hash/ {print; next} on {exit}' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
