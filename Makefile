# The few commands people type. `make demo` and `make test` do all set-up by themselves (Debian 12 or later, as root).

SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: demo test check bench soak docs setup clean
.DELETE_ON_ERROR:

demo: setup
	$(PYTHON) demo.py

test: setup
	@setup/packages tests
	$(PYTHON) tests/run.py

check: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: setup
	@setup/packages tests
	$(PYTHON) benchmarks/all.py

docs: $(STAMP)
	$(PYTHON) docs/generate.py
	$(PYTHON) docs/manual.py

soak: setup
	@setup/packages tests
	$(PYTHON) tests/run.py --soak

setup: $(STAMP)
	@setup/packages tools

# The Python environment follows the lock files; a compiler and headers are there for python-prctl.
$(STAMP): lock/build.txt lock/dev.txt pyproject.toml setup/packages
	@setup/packages python
	setup/venv $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) demo build dist
