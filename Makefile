# Two commands for everybody, as root on Debian 12 or Ubuntu:
#   make demo     install what is missing, then show two tenants on two hosts (KEEP=1: leave everything up)
#   make test     install what is missing, then lint, types and all tests
#   make clean    remove what `make` made inside this directory
# For developers: make lint, make type, make format, make check ARGS="tests/lab -k probe"
# VENV=DIR uses a virtual environment of your own instead of .venv.

VENV   ?= .venv
PYTHON := $(VENV)/bin/python

.PHONY: demo test lint type format check prepare clean

demo:
	@VENV=$(VENV) scripts/prepare.sh demo
	@$(PYTHON) -W ignore -m topologies.demo $(if $(KEEP),--keep)

test: lint type check

prepare:
	@VENV=$(VENV) scripts/prepare.sh test

lint: prepare
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

type: prepare
	$(PYTHON) -m mypy

format: prepare
	$(PYTHON) -m ruff check --fix --quiet . || true
	$(PYTHON) -m ruff format .

check: prepare
	$(PYTHON) -m pytest $(ARGS)

clean:
	rm -rf .venv .tox .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
