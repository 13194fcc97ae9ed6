# `make demo` and `make test` need Python 3.11+ and nothing else; each makes its own environment in .venv.

PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet

# The programs of an environment know where it was made, and would run nothing, or the code of the clone it came from.
MOVED := $(shell grep -s '^command = ' .venv/pyvenv.cfg | grep -vqF ' $(CURDIR)/.venv' && echo yes)

.PHONY: help demo test check conformance format lint types contracts bench lock clean moved

help:  ## Say what there is to make
	@sed -n 's/^\([a-z]*\):.*##/  make \1 \t/p' $(MAKEFILE_LIST)
	@echo "ARGS=… is handed on, as in: make test ARGS='-k pem'; PYTHON=… is what makes .venv, where it is not python3."

demo: .venv/runtime.stamp  ## The whole system on this machine, without an AWS account
	@$(BIN)/rolecall demo $(ARGS)

test: .venv/dev.stamp  ## The tests, in under three minutes; ARGS=--long for all
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: lint types contracts test  ## What CI asks for

conformance: .venv/dev.stamp  ## Every AWS SDK in every kind of trouble; writes docs/conformance.md
	@$(PIP) --editable '.[dev,conformance]'
	@tests/conformance/clients/build.sh
	@$(BIN)/python -m tests.conformance $(ARGS)

format: .venv/dev.stamp  ## Put the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: .venv/dev.stamp  ## Only whether ruff has nothing to say
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: .venv/dev.stamp  ## Only mypy --strict
	@$(BIN)/mypy

contracts: .venv/dev.stamp  ## Only which part may import which
	@$(BIN)/lint-imports

bench: .venv/dev.stamp  ## Speed and memory, as ratios against peers measured in the same run
	@$(BIN)/python bench/run.py $(ARGS)

lock: .venv/dev.stamp  ## Choose the newest versions that pyproject.toml allows
	@$(PIP) "uv>=0.13,<1"
	@$(BIN)/uv pip compile --quiet --universal --upgrade --no-header --no-annotate --no-emit-index-url \
		--python-version 3.11 --extra dev --extra tpm2 --extra conformance pyproject.toml --output-file constraints.txt

clean:  ## Take away what was made here
	@rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=…") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

ifeq ($(MOVED),yes)
.venv/bin/python .venv/runtime.stamp .venv/dev.stamp: moved
endif

moved:
	@echo "This folder has been moved or copied: .venv is made anew."
	@rm -rf .venv

.venv/runtime.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Setting up .venv, once …"
	@$(PIP) --editable .
	@touch $@

.venv/dev.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Setting up .venv with what the tests need, once …"
	@$(PIP) --editable '.[dev]'
	@touch .venv/runtime.stamp $@
