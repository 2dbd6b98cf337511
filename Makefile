# Every target sets up what it needs: its own .venv with the locked versions, and nothing outside.
# `make help` lists the targets; `make setup PYTHON=/path/to/python3.12` chooses the interpreter.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
PYTHON ?=
ARGS ?=
m ?=

.PHONY: help setup demo test check fix docs bench fuzz lock migration clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(STAMP)  ## make .venv with the locked versions (done by every other target when needed)
	@:

$(STAMP): requirements.lock pyproject.toml scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup $(VENV)
	@touch $@

demo: $(STAMP)  ## two sites, real Ray, five jobs, metered and paid; ARGS="--keep" leaves it running
	@$(BIN)/suanwang demo $(ARGS)

test: $(STAMP)  ## the whole test suite; ARGS="-k ledger" for a part
	@$(BIN)/pytest $(ARGS)

check: $(STAMP)  ## what CI checks before the tests, cheap to dear
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell $$(git ls-files 2>/dev/null | grep -v '^requirements.lock$$' || echo .)
	$(BIN)/pytest -q --durations=1 --no-header tests/architecture
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m suanwang.db.schema check
	$(BIN)/mypy

fix: $(STAMP)  ## format, and repair what can be repaired
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

docs: $(STAMP)  ## write the generated pages anew
	$(BIN)/python -m suanwang.db.dictionary > docs/data-dictionary.md
	$(BIN)/python -m suanwang.settings.page > docs/settings.md
	$(BIN)/python -m cli.reference > docs/commands.md

fuzz: $(STAMP)  ## damaged input for every parser; ARGS="--minutes 60" for a night's run
	@PYTHONPATH=tests/support $(BIN)/python tests/support/fuzzing.py $(ARGS)

bench: $(STAMP)  ## run every benchmark; ARGS="--quick"
	@$(BIN)/python -m benchmarks all $(ARGS)

lock: $(STAMP)  ## resolve requirements.lock from pyproject.toml, keeping versions that still fit
	$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
		--all-extras --group dev --no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file requirements.lock $(ARGS) pyproject.toml

migration: $(STAMP)  ## write the next database revision: make migration m="what changes"
	@$(BIN)/python -m suanwang.db.schema revision "$(m)"
	@$(BIN)/ruff check --quiet --fix-only suanwang/db/migrations
	@$(BIN)/ruff format --quiet suanwang/db/migrations

clean:  ## remove the environment, caches and build outputs
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
