# Every target bootstraps .venv by itself from requirements.lock. GNU make 3.81 or newer.
# ARGS="..." goes to the command behind the target; PYTHON=... names the interpreter to build with.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.bootstrapped
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.11 python3.12 python3.13 python3.14 python3)

ARGS ?=
# A command that itself runs make (a test, say) must not inherit our ARGS or our -s.
MAKEOVERRIDES :=
unexport ARGS MAKEFLAGS MFLAGS

.PHONY: demo test run lint bench simulate prove lock clean

demo run bench simulate: $(STAMP)
	@exec $(BIN)/tickguard $@ $(ARGS)

# pytest's own closing line stays the last one: the coverage gate reports from inside the session.
test: $(STAMP)
ifeq ($(strip $(ARGS)),)
	@exec $(BIN)/python -m pytest -n auto -m "not prove" --cov --cov-report= --coverage-gate
else
	@exec $(BIN)/python -m pytest $(ARGS)
endif

# pytest's code 5 means that no test carries the marker.
prove: $(STAMP)
	@$(BIN)/python -m pytest -n auto -m prove --hypothesis-profile=prove --timeout=0 $(ARGS); \
	code=$$?; [ $$code -eq 5 ] && [ -z "$(strip $(ARGS))" ] && exit 0; exit $$code

lint: $(STAMP)
	@$(BIN)/ruff check $(ARGS) .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Pins stay unless asked otherwise: make lock ARGS=--upgrade
lock: $(STAMP)
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--extra dev --no-header --no-emit-index-url --no-emit-find-links $(ARGS) \
		--output-file requirements.lock pyproject.toml

clean:
	@rm -rf $(VENV) $(VENV).lock build dist *.egg-info .coverage .coverage.* htmlcov \
		.mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp appears last and by a rename, so an interrupted bootstrap leaves none; it carries the
# time of the start, so an edit made while pip runs bootstraps again. An environment whose
# interpreter or pip is broken is built anew. The lock is a link to the builder's process id: of two
# makes at a time one waits, and then finds the work done; the lock of a dead builder is taken over.
$(STAMP): requirements.lock pyproject.toml
	@{ set -eu; \
	[ -w . ] || { echo "Tickguard builds its environment in $(CURDIR): make that writable."; exit 1; }; \
	until ln -s $$$$ $(VENV).lock 2>/dev/null; do \
		kill -0 "$$(readlink $(VENV).lock)" 2>/dev/null || rm -f $(VENV).lock; sleep 1; \
	done; \
	trap 'rm -f $(VENV).lock' EXIT; \
	if [ $(STAMP) -nt requirements.lock ] && [ $(STAMP) -nt pyproject.toml ]; then exit 0; fi; \
	rm -f $(STAMP); \
	if ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
		found=; for python in $(PYTHONS); do \
			if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
				2>/dev/null; then found=$$python; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "Tickguard needs Python 3.11 or newer with the venv module; tried: $(PYTHONS)."; \
			echo "Install one (on Debian and Ubuntu also python3-venv), or name it: make PYTHON=/path/to/python"; \
			exit 1; \
		fi; \
		echo "Building $(VENV) with $$found ..."; \
		$$found -m venv --clear $(VENV); \
	fi; \
	touch $(STAMP).started; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	mv $(STAMP).started $(STAMP); } 1>&2
