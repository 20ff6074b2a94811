# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
#
# Every command of the README. Each bootstraps what it needs, once, from locks with hashes: a Python of at least 3.11
# is all that a machine must have. Later runs find the stamp files and start at once, without network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := .tools/bin/uv
LOCKS := deploy/locks
EXAMPLES := server_extension/animus_server/examples
DEMO := .demo

TOOLS_STAMP := .tools/.stamp
RUNTIME_STAMP := $(VENV)/.runtime-stamp
DEV_STAMP := $(VENV)/.dev-stamp

EXPORT = $(UV) export --quiet --frozen --no-header --no-annotate --no-emit-project --extra all
COMPILE = $(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11
INSTALL = $(UV) pip install --quiet --python $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help bootstrap bootstrap-dev demo demo-smoke demo-down up down test check bench faults planted lock

help: ## Say what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

bootstrap: $(RUNTIME_STAMP) ## Install what running needs

bootstrap-dev: $(DEV_STAMP) ## Install what developing needs

$(TOOLS_STAMP): $(LOCKS)/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@test -x .tools/bin/python || $(PYTHON) -m venv .tools
	@echo "Installing the installer (uv) ..."
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

$(RUNTIME_STAMP): $(TOOLS_STAMP) $(LOCKS)/runtime.txt $(LOCKS)/build.txt pyproject.toml
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@echo "Installing Animus Datalab and what it needs (about 200 MB the first time) ..."
	@$(INSTALL) --require-hashes -r $(LOCKS)/runtime.txt -r $(LOCKS)/build.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): $(RUNTIME_STAMP) $(LOCKS)/dev.txt
	@echo "Installing the tools of development ..."
	@$(INSTALL) --require-hashes -r $(LOCKS)/dev.txt
	@touch $@

up: $(RUNTIME_STAMP) ## Start an empty installation (Ctrl-C stops it, and started runs go on until the next start)
	@$(BIN)/python -m animus_hub up

down: $(RUNTIME_STAMP) ## Stop it for good, with the runs that go on
	@$(BIN)/python -m animus_hub down

demo: $(RUNTIME_STAMP) ## Start everything and show a governed run from beginning to end
	@$(BIN)/python -m animus_hub demo --data $(DEMO)

demo-smoke: $(RUNTIME_STAMP) ## The same without anybody watching; fails if anything is not as promised
	@$(BIN)/python -m animus_hub demo --data $(DEMO) --smoke

demo-down: ## Stop the demo and remove its data
	@test ! -x $(BIN)/python || $(BIN)/python -m animus_hub demo --data $(DEMO) --down

test: $(DEV_STAMP) ## Run all tests, those with real servers and a browser last
	@$(BIN)/python -m pytest -q -n auto -m "not e2e and not faults" --cov --cov-report=html
	@echo "Coverage with branches: $$($(BIN)/coverage report --format=total) %, line by line in .coverage-html/index.html"
	@$(BIN)/python -m pytest -q -m "e2e or faults" -rs

check: $(DEV_STAMP) ## What must hold before a commit: linters, types, architecture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/architecture

bench: $(DEV_STAMP) ## Measure Animus against its peers, as ratios
	@$(BIN)/python -m tests.bench

faults: $(DEV_STAMP) ## Break everything for hours, under new seeds, and show a table of what held
	@ANIMUS_FAULTS=nightly $(BIN)/python -m pytest -q -m faults tests/faults -rs -p no:cacheprovider

planted: $(DEV_STAMP) ## Take one safeguard away at a time and see that a test notices each
	@$(BIN)/python -m tests.faults.planting

lock: $(TOOLS_STAMP) ## Resolve all locks anew; they carry hashes and no addresses
	@$(UV) lock
	@$(EXPORT) --no-dev > $(LOCKS)/runtime.txt
	@$(EXPORT) > $(LOCKS)/dev.txt
	@echo 'hatchling editables' | tr ' ' '\n' | $(COMPILE) --universal --constraint $(LOCKS)/dev.txt - > $(LOCKS)/build.txt
	@echo 'uv' | $(COMPILE) --universal - > $(LOCKS)/bootstrap.txt
	@$(COMPILE) --python-platform x86_64-unknown-linux-gnu $(EXAMPLES)/requirements.in > $(EXAMPLES)/requirements.txt
