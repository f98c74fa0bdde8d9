# Every target that needs the set-up does it by itself; it takes a tenth of a second when there is nothing to do.

PYTHON := .venv/bin/python
PYTEST_ARGS ?=

# What the linters look at. A folder that does not exist (yet) is left out, since they stop at it.
SOURCES = $(wildcard libpod cli tests examples benchmarks scripts)

# A test that skips because of a missing tool is a failure after the set-up has installed that tool.
export LIBPOD_REQUIRE_ALL := 1
# The interpreter's own variables would let a caller's environment decide what is tested.
unexport PYTHONPATH PYTHONHOME

.PHONY: help setup peers demo test lint format typecheck soak bench wheel clean

help:
	@echo "make setup   prepare this machine and .venv (needs root; docs/setup.md says what it does)"
	@echo "make demo    set up, then freeze a running container and thaw it from an archive"
	@echo "make test    set up, lint, and run all tests"
	@echo "make lint    ruff and mypy only"
	@echo "make soak    repeat checkpoint and restore for a long time"
	@echo "make bench   measure against podman"
	@echo "make wheel   build the wheel into dist/"
	@echo "make clean   remove .venv and all that was built in this folder"

setup:
	@scripts/setup

# The engines of a newer release that the tests hand archives to.
peers:
	@scripts/setup --peers

demo: setup
	@$(PYTHON) examples/migrate.py

test: lint peers
	$(PYTHON) -m pytest $(PYTEST_ARGS)

lint: setup
	$(PYTHON) -m ruff check $(SOURCES)
	$(PYTHON) -m ruff format --check $(SOURCES)
	$(PYTHON) -m mypy

# Brings the sources into the form that `make lint` asks for.
format: setup
	$(PYTHON) -m ruff check --fix $(SOURCES)
	$(PYTHON) -m ruff format $(SOURCES)

soak: setup peers
	$(PYTHON) -m pytest tests -m soak $(PYTEST_ARGS)

bench: setup
	$(PYTHON) -m benchmarks.run

wheel: setup
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
