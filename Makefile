# Everything runs in .venv, which is made from pyproject.toml and constraints.txt when one of them is newer.
# `make compare ARGS=--quick` passes ARGS on to the command behind a target.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PAGES := docs/_build

# Workers that each use every core slow each other down: one thread for each of them.
WORKERS ?= auto
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv compare speed test support lint types format docs figures clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench,ray,test,docs,dev]"
	@touch $@

venv: $(READY) ## make .venv with every development dependency

compare: $(READY) ## which symmetry helps on my data, at equal parameters?
	$(BIN)/python -m benchmarks compare $(ARGS)

speed: $(READY) ## time the layers and networks
	$(BIN)/python -m benchmarks speed $(ARGS)

test: $(READY) ## run the tests and the examples in the docstrings
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 $(ARGS)

support: $(READY) ## try what the support table says, and write it anew
	PYTHONPATH=tests:. $(ONE_THREAD) $(BIN)/python -m support docs/results

lint: $(READY) ## check style, formatting and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY) ## check types
	$(BIN)/mypy

format: $(READY) ## mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## build the pages without a warning and run the code in them
	rm -rf docs/examples $(PAGES)/doctrees # examples and notebooks run again: they show what the library does now
	$(BIN)/python docs/figures.py $(PAGES)/figures docs/_static # and compare
	$(BIN)/sphinx-build -n -W --keep-going -q -b html -d $(PAGES)/doctrees docs $(PAGES)/html
	$(BIN)/sphinx-build -n -W --keep-going -q -b doctest -d $(PAGES)/doctrees docs $(PAGES)/doctest
	@echo "$(PAGES)/html/index.html"

figures: $(READY) ## draw the figures of the pages anew
	$(BIN)/python docs/figures.py docs/_static

clean: ## remove .venv and everything that was built
	rm -rf $(VENV) $(PAGES) docs/examples .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
