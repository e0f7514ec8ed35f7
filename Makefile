# Needs Python 3.11+ (with venv and pip) and make, nothing else.
#   make run ARGS="--env paper"      make test ARGS="-k clock"
PYTHON ?= python3
JOBS ?= 2
SEEDS ?= 500
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# A plain path instead of an import hook: every start of hoox is a little sooner.
EDITABLE := --config-settings editable_mode=compat
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
# What pip does for an installed package: without it a start may have to compile all of the source.
COMPILE := $(BIN)/python -m compileall -q engine widgets hoox_tui
RUN_STAMP := $(VENV)/.stamp-run
DEV_STAMP := $(VENV)/.stamp-dev

.DEFAULT_GOAL := help
.PHONY: help setup run test simulate check format bench screenshots soak lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Hoox needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Hoox into $(VENV)"
	@$(PIP) install $(EDITABLE) -e . -c constraints.txt
	@$(COMPILE)
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Hoox and its development tools into $(VENV)"
	@$(PIP) install $(EDITABLE) -e '.[dev]' -c constraints.txt
	@$(COMPILE)
	@touch $(RUN_STAMP) $@

setup: $(DEV_STAMP) ## Install everything for development

run: $(RUN_STAMP) ## Open the desk (ARGS="--env paper")
	@exec $(BIN)/hoox $(ARGS)

test: $(DEV_STAMP) ## Run the test suite (ARGS="-k name", JOBS=4)
	@$(BIN)/python -m pytest -q -n $(JOBS) $(ARGS)

simulate: $(DEV_STAMP) ## Run seeds of the simulated world on all cores (SEEDS=10000, ARGS="--seed N")
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

check: $(DEV_STAMP) ## Lint, format check, types, import contracts
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo

format: $(DEV_STAMP) ## Format and fix what can be fixed
	@$(BIN)/ruff check -q --fix .
	@$(BIN)/ruff format -q .

bench: $(RUN_STAMP) ## Measure speed (ARGS="--json")
	@exec $(BIN)/hoox bench $(ARGS)

screenshots: $(RUN_STAMP) ## Write the pictures in screenshots/
	@$(BIN)/python -m hoox_tui.screenshots $(ARGS)

soak: $(DEV_STAMP) ## Run the long tests
	@$(BIN)/python -m pytest -q -m soak $(ARGS)

lock: ## Write constraints.txt anew from the newest versions pyproject.toml allows
	@rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip --disable-pip-version-check -q install -e '.[dev]'
	@{ sed '/^[^#]/,$$d' constraints.txt; $(VENV)-lock/bin/python -m pip freeze --exclude-editable; } > constraints.txt.new
	@mv constraints.txt.new constraints.txt && rm -rf $(VENV)-lock

clean: ## Remove the environment and all caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find . -name __pycache__ -prune -exec rm -rf {} +
