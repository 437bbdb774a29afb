# Everything a developer or CI runs. Needs Python >= 3.11 (headers, venv), a C compiler, make
# and git; the rest is installed into .venv at the versions of constraints.txt.

PYTHON ?= python3
JOBS ?= 2
T ?= tests

# What the caller's shell puts on the path must not stand in for the wheel under test.
unexport PYTHONPATH PYTHONHOME

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEBUG_SITE := build/debug/site

# Directories too, so that a deleted module is noticed; a build's own output is not a source.
SOURCES := setup.py pyproject.toml MANIFEST.in $(shell find scheduler ext \
	-name __pycache__ -prune -o -name '*.so' -prune -o -print)
# Tests that reach the kernels, most directly first.
DEBUG_TESTS := $(wildcard tests/test_installation.py tests/kernel tests/plan tests/state)
STORY ?=
CASES ?= 20000

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo live-demo test check lint types layers docs wheel unit debug e2e oracle \
	mutate bench bench-live lock clean

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*##  *\(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | \
		while IFS="$$(printf '\t')" read -r name text; do printf '%-8s %s\n' "$$name" "$$text"; done

demo: .venv/.wheel  ## set up, then compare three placements on a generated cluster
	$(BIN)/muster demo

test: check unit debug e2e  ## set up, then everything that must pass

# --- environment -------------------------------------------------------------------------

.venv/.build: constraints.txt .ci/require.py
	@$(PYTHON) .ci/require.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --upgrade -c constraints.txt pip
	$(PIP) install -c constraints.txt --group build
	@touch $@

.venv/.tools: .venv/.build
	$(PIP) install -c constraints.txt --group dev
	@touch $@

# Objects of another setup.py are not to be trusted; Python files are copied afresh each time.
build/release/.setup: setup.py
	rm -rf build/release
	@mkdir -p build/release && touch $@

.venv/.wheel: .venv/.build build/release/.setup $(SOURCES)
	@rm -rf build/wheel
	@find build/release -path '*/lib*' -type f ! -name '*.so' -delete
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir build/wheel .
	$(PIP) install --no-deps --force-reinstall build/wheel/*.whl
	$(PIP) install -c constraints.txt build/wheel/*.whl
	$(PIP) check
	@touch $@

# The same modules around kernels that check every index; never mixed with the wheel.
build/debug/.site: .venv/.wheel
	rm -rf build/debug
	MUSTER_DEBUG_KERNELS=1 $(PIP) install --no-deps --no-build-isolation --no-cache-dir \
		--target $(DEBUG_SITE) .
	@touch $@

lock: .venv/.wheel .venv/.tools  ## write the versions in .venv to constraints.txt
	@{ sed -n '/^#/p' constraints.txt; \
		$(BIN)/python -m pip --disable-pip-version-check freeze --all --exclude muster; \
	} > build/constraints.txt && mv build/constraints.txt constraints.txt

# --- checks ------------------------------------------------------------------------------

check: lint types layers docs wheel  ## lint, types, layers, docs, sdist and wheel

lint: .venv/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint ext

types: .venv/.tools .venv/.wheel
	$(BIN)/mypy

layers: .venv/.tools .venv/.wheel
	$(BIN)/lint-imports --no-cache

docs: .venv/.tools .venv/.wheel
	$(BIN)/pytest -q tests/test_docs.py

wheel: .venv/.tools .venv/.wheel
	$(BIN)/python .ci/check_wheel.py build/wheel/*.whl

# --- tests -------------------------------------------------------------------------------

unit: .venv/.tools .venv/.wheel  ## unit and property tests against the wheel [T=tests/plan] [JOBS=2]
	MUSTER_TEST_WHEEL=1 $(BIN)/pytest -n $(JOBS) $(T)

debug: .venv/.tools build/debug/.site  ## kernel tests on bounds-checked kernels [JOBS=2]
	MUSTER_TEST_DEBUG=1 PYTHONPATH=$(CURDIR)/$(DEBUG_SITE) \
		$(BIN)/pytest -n $(JOBS) $(DEBUG_TESTS)

# The control plane is built once, outside the checkout; MUSTER_E2E=local|kind|existing chooses it.
e2e: .venv/.tools .venv/.wheel  ## stories on a real control plane [STORY=3]
	$(BIN)/python -m e2e.binaries
	$(BIN)/pytest e2e --story "$(STORY)"

# -P: the wheel judges, not the checkout; the seed is the commit's hash unless SEED says another.
oracle: .venv/.tools .venv/.wheel  ## filters against kube-scheduler's own code [CASES=20000] [SEED=]
	$(BIN)/python -m e2e.oracle < /dev/null
	$(BIN)/pytest -q tests/e2e_tools/test_oracle_verdicts.py
	$(BIN)/python -P -c 'import runpy, sys; sys.path.append("."); \
		runpy.run_module("tests.verdicts.differential", run_name="__main__")' \
		--cases $(CASES) $(if $(SEED),--seed $(SEED))

.venv/.mutants: .venv/.tools
	$(PIP) install -c constraints.txt --group mutants
	@touch $@

# The mutants are made of the checkout's filters, which need the kernels beside them.
mutate: .venv/.mutants .venv/.wheel  ## wrong filters on purpose: does the corpus notice?
	cp build/release/lib*/scheduler/*.so scheduler/
	$(BIN)/python -m tests.verdicts.mutate --jobs $(JOBS)

live-demo: .venv/.tools .venv/.wheel  ## a gang of 500 on a control plane with 1,000 nodes
	$(BIN)/python -P -c 'import runpy, sys; sys.path.append("."); runpy.run_module("e2e.demo", run_name="__main__")'

bench: .venv/.wheel  ## measure against bench/floor.c; exit 1 on a broken bound
	$(BIN)/python bench/run.py

bench-live: .venv/.tools .venv/.wheel  ## beside kube-scheduler on a real API server (about an hour)
	$(BIN)/python -P bench/live.py

clean:  ## remove everything that was generated
	rm -rf .venv build dist out bench/out muster.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache scheduler/*.so
	find scheduler tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
