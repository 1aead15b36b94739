# Needs nothing but make and a Python >= 3.10; everything else goes into .venv.
#
#   make test ARGS="-k worker"      options for pytest
#   make setup PYTHON=python3.12    another interpreter than the first that fits

ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell \
	for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
		if $$name -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; \
		then echo $$name; exit; fi; \
	done; echo python3)
else
THIS_PYTHON := --this-python
endif

VENV := .venv/bin
# Checks of the models need no data: they must neither read nor make anybody's database.
WITHOUT_DATA := DATABASE_URL=sqlite://:memory:

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench lint format

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv and install everything into it (quick when nothing changed)
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "There is no $(PYTHON) here: install Python 3.10 or newer" \
			"(Debian and Ubuntu: apt install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) tools/setup_environment.py $(THIS_PYTHON)

# By exec, so that a signal to make reaches the program and not a shell in between.
demo: setup ## Run the example project with real data (ARGS="...")
	@exec $(VENV)/python manage.py demo $(ARGS)

test: setup ## Run all tests on SQLite and on PostgreSQL (ARGS="..." for pytest)
	@exec $(VENV)/python -m tests.run $(ARGS)

bench: setup ## Compare speeds with the peers, and write the result into docs/ (ARGS="...")
	@exec $(VENV)/python -m benchmarks --write $(ARGS)

lint: setup ## Check style, types, layers, migrations and settings
	@echo "== ruff check"
	@$(VENV)/ruff check .
	@echo "== ruff format --check"
	@$(VENV)/ruff format --check .
	@echo "== mypy"
	@$(VENV)/mypy
	@echo "== lint-imports"
	@$(VENV)/lint-imports --no-logo
	@echo "== makemigrations --check"
	@$(WITHOUT_DATA) $(VENV)/python manage.py makemigrations --check --dry-run
	@echo "== check"
	@$(WITHOUT_DATA) $(VENV)/python manage.py check --fail-level WARNING

format: setup ## Put imports and layout in order
	@$(VENV)/ruff check --fix-only --select I .
	@$(VENV)/ruff format .
