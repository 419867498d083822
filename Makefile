# Two commands on a fresh machine: `make demo` and `make test`.
# Needs make and Python 3.11 or newer with the venv module; uv is used where it is on PATH.

PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3 python,$(shell $(name) -c 'import sys; sys.version_info[:2] >= (3, 11) and print("$(name)")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup app demo test check fast soak taky fuzz bench docs clean

help:
	@echo "make demo    watch messages leave a white zone (about one minute)"
	@echo "make test    everything that must hold: format, types, imports, tests, coverage"
	@echo "make fast    the quick part of it, before a commit"
	@echo "make soak    a hundred days of a squad with every fault, both simulators, a week at sea (half an hour)"
	@echo "make bench   speed and bytes beside a bare pipeline"
	@echo "make fuzz    a million inputs for each group of parsers, and forgeries of all that is signed"
	@echo "make app     build the screens (needs Node.js 20.19 or newer)"
	@echo "make taky    install a real TAK server for the tests, apart from everything else"
	@echo "make docs    write the generated reference pages anew"
	@echo "make clean   remove the environment and caches"

setup: app

# The screens, where there is Node.js; nothing happens where they are built from what is here.
app: $(VENV)/.installed
	@$(BIN)/python meshnode/web/app/build_hook.py

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "meshnode needs Python 3.11 or newer: install it, or run make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "this Python has no venv module: install it (on Debian: apt-get install python3-venv)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The lock is installed with its hashes first, then the project alone: pip cannot hash a folder.
$(VENV)/.installed: $(VENV)/.python requirements.lock pyproject.toml
	@echo "installing the locked packages into $(VENV) ..."
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@

demo: setup
	@$(BIN)/meshnode demo

test check: setup
	@$(BIN)/python -m tests.check --full $(CHECK)

fast: setup
	@$(BIN)/python -m tests.check --fast

# The long runs. Continuous integration asks for fewer days and leaves one file out.
DAYS ?= 100
SOAK ?= tests/sims/test_calibrate.py tests/sims/test_planted_bugs.py tests/sims/test_soak.py \
  tests/architecture/test_tutorial.py

soak: setup
	@SOAK_DAYS=$(DAYS) $(BIN)/python -m pytest -m soak -s $(SOAK)

bench: setup
	@$(BIN)/meshnode bench sync --messages 2000
	@$(BIN)/meshnode bench links --links 200
	@$(BIN)/meshnode bench reconcile --ids 100000 --differences 1000
	@$(BIN)/meshnode bench documents --identities 18000 --revocations 50

# The real TAK server that a test talks to, in an environment of its own: it needs older packages.
taky: .venv-taky/.installed

.venv-taky/.installed: tests/real/taky.lock
	@$(PYTHON) -m venv .venv-taky
	@.venv-taky/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/real/taky.lock
	@touch $@

fuzz: setup
	@$(BIN)/python -m tests.fuzz.run $(FUZZ)

docs: setup
	@$(BIN)/python -m tests.architecture.generate

clean:
	@rm -rf $(VENV) .venv-taky .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* htmlcov dist build meshnode/web/static meshnode/web/app/node_modules
