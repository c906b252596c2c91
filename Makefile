# Every way in. `make help` lists the targets from their `##` texts.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Every start of the server in a test would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test check format lint types contracts schema release-schema migration bench lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

setup: $(STAMP) ## Make .venv and install everything, pinned and hashed

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tollpath needs Python 3.11 or newer; name one: make PYTHON=python3.12 setup"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "This Python cannot make virtual environments: install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked requirements into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@touch $(STAMP)

run: setup ## Start everything: database, demo, server
	@$(BIN)/tollpath serve --demo

test: setup ## Run every test, from nothing, on every core
	@$(BIN)/python -m pytest -n auto --dist worksteal

check: setup format lint types contracts test ## Format, lint, types, import contracts, tests

format: setup ## Is every file formatted?
	@$(BIN)/ruff format --check .

lint: setup ## Mistakes that ruff finds
	@$(BIN)/ruff check .

types: setup ## Types, strictly
	@$(BIN)/mypy

contracts: setup ## Does every package import only what it may?
	@$(BIN)/lint-imports

schema: setup ## Write schema.graphql from the code
	@$(BIN)/tollpath export-schema > schema.graphql.new && mv schema.graphql.new schema.graphql

release-schema: setup ## Keep schema.graphql as that of the version in pyproject.toml, when it is released
	@cp schema.graphql docs/released/schema-$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml).graphql

migration: setup ## Draft a migration from the models: make migration M="what it does"
	@test -n "$(M)" || { echo 'Say what it does: make migration M="add a limit"'; exit 1; }
	@$(BIN)/tollpath make-migration "$(M)"

bench: setup ## Print the benchmarks and write docs/performance.md (never a gate)
	@$(BIN)/python -m tests.benchmarks --page docs/performance.md

lock: setup ## Make requirements.lock anew from pyproject.toml (needs uv)
	@uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet pyproject.toml -o requirements.lock

clean: ## Remove the environment and the caches (the database in .tollpath stays)
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
