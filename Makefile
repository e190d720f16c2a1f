# Everything runs in .venv, made on first use; all it needs is Python 3.11+ and make.
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.stamp-run
TEST := $(VENV)/.stamp-test
DOCS := $(VENV)/.stamp-docs
DEV := $(VENV)/.stamp-dev
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
INPUTS := pyproject.toml constraints.txt
# BLAS threads and xdist workers compete for the same cores
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: help demo test ci lint types contracts docs notebooks replicate fuzz bench clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(RUN)  ## from simulated measurements to a printed law
	$(BIN)/python -m discover.cli demo

test: $(TEST)  ## the tests, without those marked slow
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2

ci: export CI = 1
ci: $(DEV)  ## everything that must pass before a merge
	$(MAKE) lint
	$(MAKE) contracts
	$(MAKE) types
	$(MAKE) test
	$(MAKE) docs
	$(MAKE) notebooks

lint: $(DEV)  ## ruff, formatting, spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell

types: $(DEV)  ## mypy, strict
	$(BIN)/mypy

contracts: $(DEV)  ## who may import whom
	$(BIN)/lint-imports

docs: $(DOCS)  ## the web pages, warnings are errors
	$(BIN)/sphinx-build -E -W --keep-going -q -b html docs docs/_build/html

notebooks: $(DOCS)  ## execute every notebook in a scratch copy
	@mkdir -p notebooks && scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && cp -r notebooks/. "$$scratch" && \
	for notebook in "$$scratch"/*.ipynb; do \
		[ -e "$$notebook" ] || continue; \
		echo "executing notebooks/$${notebook##*/}"; \
		$(BIN)/jupyter-execute --kernel_name=python3 \
			--timeout=600 "$$notebook" || exit 1; \
	done

replicate: $(TEST)  ## published numbers and the guide, the slow ones too
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 -m "" tests/replication tests/fuzz tests/docs

fuzz: $(DEV)  ## look for inputs that break the readers, a minute each
	cd tests/fuzz && for target in readers model; do \
		../../$(BIN)/python endless.py $$target -max_total_time=60 -rss_limit_mb=4096 || exit 1; \
	done

bench: $(RUN)  ## one benchmark against its peers: make bench NAME=...
	$(BIN)/python -m discover.cli bench $(NAME)

clean:  ## remove .venv and everything that is built
	rm -rf $(VENV) build dist docs/_build docs/notebooks docs/api/generated docs/api/_sections.md
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "making $(VENV) with $$($$python --version)"; \
		exec $$python -m venv $(VENV); \
	done; \
	echo "discover needs Python 3.11 or newer; found none of python3.13, python3.12, python3.11," \
		"python3. Install one, or say where it is: make PYTHON=/path/to/python" >&2; exit 1

$(RUN): $(INPUTS) | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(TEST): $(INPUTS) | $(BIN)/python
	$(INSTALL) -e '.[test]'
	@touch $(RUN) $@

$(DOCS): $(INPUTS) | $(BIN)/python
	$(INSTALL) -e '.[docs]'
	@touch $(RUN) $@

$(DEV): $(INPUTS) | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	@touch $(RUN) $(TEST) $(DOCS) $@
