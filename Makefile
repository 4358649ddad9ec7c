# `make` alone lists the targets. Needs git, Python >= 3.11 and make; every environment is made here, with the versions of constraints.txt.

PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
BENCH_VENV ?= .venv-bench
PYTEST_ARGS ?= -n 2 --dist worksteal

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Only the wheels of constraints.txt, nothing of the caller's own site, and no ask to upgrade pip
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_REQUIRE_VIRTUALENV :=
# Hundreds of processes that tests start import mlstac: compiled once, and not by each
unexport PYTHONDONTWRITEBYTECODE
# A package index that is busy for a minute costs that minute, and not the run
export PIP_RETRIES ?= 10
export PIP_DEFAULT_TIMEOUT ?= 60
# pip compiles 25,000 files one after the other; `compile` does so on all processors
INSTALL = -m pip install --quiet --no-compile --constraint constraints.txt

# An environment is as new as what it was made from; stamps lie inside, so that deleting the environment forgets them.
PINS := pyproject.toml constraints.txt

.PHONY: help
help:  ## List the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(DEMO_VENV)/.installed  ## Author, host, load and look at a real Sentinel-2 dataset
	@$(DEMO_VENV)/bin/mlstac demo $(DEMO_ARGS)

.PHONY: test
test: $(VENV)/.installed  ## Run every test
	@$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

.PHONY: lint
lint: $(VENV)/.installed  ## Check style, formatting and types
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

.PHONY: schema
schema: $(VENV)/.installed  ## Write the JSON Schema of the collection anew, from the models
	@$(VENV)/bin/python -m mlstac.collection.schema

.PHONY: bench
bench: $(BENCH_VENV)/.installed  ## Measure speed beside the machine's limits and the peers
	@$(BENCH_VENV)/bin/python -m benchmarks.run $(BENCH_ARGS)

.PHONY: format
format: $(VENV)/.installed  ## Put every file in the common format
	@$(VENV)/bin/ruff check --fix --exit-zero --quiet .
	@$(VENV)/bin/ruff format .

.PHONY: env
env: $(VENV)/.installed  ## Make the environment of developers, .venv

.PHONY: clean
clean:  ## Remove what the targets made, environments too
	rm -rf $(VENV) $(DEMO_VENV) $(BENCH_VENV) build dist demo site .mypy_cache .pytest_cache .ruff_cache .hypothesis

define make_environment
	@command -v "$(PYTHON)" > /dev/null || { echo "$(PYTHON) was not found; name a Python >= 3.11: make $(1) PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mlstac needs Python >= 3.11 and $(PYTHON) is $$("$(PYTHON)" -V 2>&1); name another: make $(1) PYTHON=python3.11" >&2; exit 1; }
	@test -x $(@D)/bin/python || { echo "Making $(@D) (once; minutes, mostly downloads) ..." >&2; "$(PYTHON)" -m venv $(@D); }
endef

# A package may carry files of other Pythons, which do not compile and are never imported: pip says nothing of them either
compile = @$(@D)/bin/python -m compileall -qq -j 0 $(@D)/lib || true

$(DEMO_VENV)/.installed: $(PINS)
	$(call make_environment,demo)
	@$(@D)/bin/python $(INSTALL) --editable ".[demo]"
	@# for the Sentinel-2 scene that it carries, not for its code
	@$(@D)/bin/python $(INSTALL) --no-deps xarray-spatial
	$(compile)
	@touch $@

$(VENV)/.installed: $(PINS)
	$(call make_environment,test)
	@$(@D)/bin/python $(INSTALL) --editable ".[dev]"
	@$(@D)/bin/python $(INSTALL) --no-deps xarray-spatial
	$(compile)
	@# the server that tests of Azure talk to; without npm they skip, and say so
	@if command -v npm > /dev/null; then npm install --silent --no-fund --no-audit --fetch-timeout=60000 --prefix $(@D)/npm azurite@3.35.0 || echo "azurite was not installed; tests of Azure skip" >&2; fi
	@touch $@

$(BENCH_VENV)/.installed: $(PINS) benchmarks/requirements.txt
	$(call make_environment,bench)
	@# without constraints.txt: the peers pin versions of their own
	@$(@D)/bin/python -m pip install --quiet --editable . --requirement benchmarks/requirements.txt
	@touch $@
