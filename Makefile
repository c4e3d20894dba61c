# Every target bootstraps .venv by itself from requirements.lock. GNU make 3.81 or newer.
# ARGS="..." goes to the command behind the target; PYTHON=... names the interpreter to build with.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.bootstrapped
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.bootstrapped
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.11 python3.12 python3.13 python3.14 python3)

ARGS ?=
# A command that itself runs make (a test, say) must not inherit our ARGS or our -s.
MAKEOVERRIDES :=
unexport ARGS MAKEFLAGS MFLAGS

.PHONY: demo test run lint bench peers simulate prove lock clean

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

# Whom the benches compare with. Without them the benches say "not installed".
peers: $(PEERS_STAMP)

# Pins stay unless asked otherwise: make lock ARGS=--upgrade
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-emit-index-url --no-emit-find-links $(ARGS) --output-file

lock: $(STAMP)
	@$(COMPILE) requirements.lock --extra dev pyproject.toml
	@$(COMPILE) bench/peers/requirements.lock bench/peers/requirements.in
	@$(COMPILE) bench/peers/cryptofeed.lock --constraint bench/peers/requirements.lock \
		bench/peers/cryptofeed.in

clean:
	@rm -rf $(VENV) $(VENV).lock $(PEERS) $(PEERS).lock build dist *.egg-info .coverage .coverage.* htmlcov \
		.mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp appears last and by a rename, so an interrupted bootstrap leaves none; it carries the
# time of the start, so an edit made while pip runs bootstraps again. An environment whose
# interpreter or pip is broken is built anew. The lock is a link to the builder's process id: of two
# makes at a time one waits, and then finds the work done; the lock of a dead builder is taken over.
# $(1) is the environment's directory, $(2) the shell commands that fill it; $$pip installs into it.
define bootstrap
@{ set -eu; \
[ -w . ] || { echo "Tickguard builds its environment in $(CURDIR): make that writable."; exit 1; }; \
until ln -s $$$$ $(1).lock 2>/dev/null; do \
	kill -0 "$$(readlink $(1).lock)" 2>/dev/null || rm -f $(1).lock; sleep 1; \
done; \
trap 'rm -f $(1).lock' EXIT; \
stale=; for file in $^; do [ $@ -nt $$file ] || stale=yes; done; \
[ -n "$$stale" ] || exit 0; \
rm -f $@; \
if ! $(1)/bin/python -c 'import pip' 2>/dev/null; then \
	found=; for python in $(PYTHONS); do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Tickguard needs Python 3.11 or newer with the venv module; tried: $(PYTHONS)."; \
		echo "Install one (on Debian and Ubuntu also python3-venv), or name it: make PYTHON=/path/to/python"; \
		exit 1; \
	fi; \
	echo "Building $(1) with $$found ..."; \
	$$found -m venv --clear $(1); \
fi; \
touch $@.started; \
pip="$(1)/bin/python -m pip install --quiet --disable-pip-version-check"; \
$(2); \
mv $@.started $@; } 1>&2
endef

INSTALL = $$pip --require-hashes -r requirements.lock; $$pip --no-deps --no-build-isolation -e .
INSTALL_PEERS = $$pip --require-hashes --only-binary :all: -r bench/peers/requirements.lock; \
	$$pip --require-hashes --no-build-isolation -r bench/peers/cryptofeed.lock || \
	echo "cryptofeed was not built (a C compiler may be missing); the benches go on without it."

$(STAMP): requirements.lock pyproject.toml
	$(call bootstrap,$(VENV),$(INSTALL))

$(PEERS_STAMP): bench/peers/requirements.lock bench/peers/cryptofeed.lock
	$(call bootstrap,$(PEERS),$(INSTALL_PEERS))
