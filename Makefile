# Every target sets up what it needs; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Half of the tests' time is spent waiting for processes and leases.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(max(2, (os.cpu_count() or 2) * 3 // 2))')
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The tools' lock is resolved first, so that both hold the same versions of what they share.
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

# A stamp a lock: an install happens when its lock (or the project's metadata) is newer.
$(VENV)/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "ytempire needs Python 3.11 or newer; this is %d.%d. Say make PYTHON=python3.12" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes --no-deps -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(PIP) install --quiet --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.dev ## install everything, tests and tools included, into .venv

demo: $(VENV)/.runtime ## make a real video on embedded parts (ARGS="--videos 3 --vertical")
	@$(BIN)/ytempire demo $(ARGS)

test: $(VENV)/.dev ## run the tests (PG=16 or PG=15 for another PostgreSQL, ARGS="-k name" for some)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(if $(PG),--pg=$(PG)) $(ARGS)

chaos: $(VENV)/.dev ## kill workers and the database under 200 runs (ARGS="--runs 1000 --kills 100")
	$(BIN)/python -m benchmarks.chaos $(ARGS)

check: $(VENV)/.dev ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: ## write both lock files anew from pyproject.toml
	@test -x $(BIN)/uv || $(MAKE) setup
	$(COMPILE) --group build --group dev pyproject.toml -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock --group build pyproject.toml -o requirements.lock

clean: ## remove the environment and caches (never the data folder)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: help setup demo test chaos check lock clean
