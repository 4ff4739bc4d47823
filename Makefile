# Two commands do everything: `make demo` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
export HITL_CONFIG :=

.PHONY: help install demo test check fix bench clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## Make .venv with all that development needs

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (some minutes the first time) ..."
	@$(PIP) install -c constraints.txt torch
	@$(PIP) install -c constraints.txt -e '.[server,dev]'
	@touch $@

demo: $(STAMP) ## Start Label Studio and the loop on demo data; ANNOTATORS=3 lets simulated people work
	@exec $(BIN)/hitl demo $(if $(ANNOTATORS),--annotators $(ANNOTATORS)) $(DEMO)

test: $(STAMP) ## Run all tests
	@$(BIN)/python -m pytest $(TESTS)

check: $(STAMP) ## ruff, mypy, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fix: $(STAMP) ## Let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## Run the benchmarks; results as JSON in benchmarks/results
	@$(BIN)/python -m benchmarks $(BENCH)

clean: ## Remove what tools left
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
