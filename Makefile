# `make help` tells what there is. Everything is set up on the way: virtual environments, and Debian packages where
# a program that is needed is absent.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# PYTHON=/path/to/python3.12 has virtual environments of its own, named by its version, beside those of the default.
ifneq ($(origin PYTHON),undefined)
SUFFIX := -$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif
VENV := .venv$(SUFFIX)
WHEEL_VENV := build/wheel-venv$(SUFFIX)
DIST := build/dist$(SUFFIX)
PY := $(VENV)/bin/python
PIP := -m pip --disable-pip-version-check --quiet
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
# Those that we run on, as far as they are here: by name, or by pyenv.
VERSIONS := 3.11 3.12 3.13
find_python = $(shell python$(1) -c 'import sys; print(sys.executable)' 2>/dev/null || \
	{ command -v pyenv >/dev/null && PYENV_VERSION=$$(pyenv latest $(1)) pyenv which python$(1); } 2>/dev/null)
PYTHONS ?= $(foreach version,$(VERSIONS),$(call find_python,$(version)))
LINTED := daemon simulators tests deploy docs
SOURCES := $(shell find daemon simulators -type f -not -name "*.pyc" -not -path "*/console/docs/*") LICENSE README.md
# program:package, as Debian has them
TEST_PROGRAMS := mosquitto:mosquitto mosquitto_sub:mosquitto-clients openssl:openssl promtool:prometheus debootstrap:debootstrap \
	chromium-headless-shell:chromium-headless-shell initdb:postgresql

# The documentation as a site, where the console looks for it.
SITE := daemon/gaugecast/console/docs/index.html
PAGES := $(shell find docs deploy/docs -type f -not -name "*.pyc") mkdocs.yml CONTRIBUTING.md CHANGELOG.md

ARGS ?=
TESTS ?= tests
WORKERS ?= 3
KILLS ?= 200
BENCH ?=
SET ?=
export OPENBLAS_NUM_THREADS ?= 1
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help docs demo test test-long quick matrix check fmt bench chaos cluster accuracy release wheel programs

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp-demo  ## tanks, broker and daemon live in this terminal; ARGS="--for 30", --mosquitto, --broker HOST:PORT
	@$(VENV)/bin/gaugecast demo $(ARGS)

RUN_TESTS = GAUGECAST_TEST_INSTALLED=1 GAUGECAST_BIN=$(CURDIR)/$(WHEEL_VENV)/bin/gaugecast \
	$(WHEEL_VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile --durations 20

test: $(VENV)/.stamp-venv  ## check, build the wheel and test it, with a table of coverage; TESTS=tests/test_web.py for some
	@$(MAKE) --no-print-directory --jobs 3 programs check wheel
	$(RUN_TESTS) -m 'not long' --cov --cov-report= $(TESTS)
	$(WHEEL_VENV)/bin/python tests/coverage_floor.py $(if $(filter tests,$(TESTS)),,--no-floors)

test-long: $(WHEEL_VENV)/.stamp-wheel programs  ## what takes longer: more mutants, trainings, packages, installations
	$(RUN_TESTS) -m long $(TESTS)

# Without TensorFlow, and without machines and daemons of their own: minutes.
QUICK = -m 'not long and not keras' $(addprefix --ignore=tests/,e2e deploy chaos week test_packaging.py test_demo_process.py)

quick: $(VENV)/.stamp-quick programs  ## the tests that need neither TensorFlow nor a daemon; PYTHON=/path/to/python3.12 for another
	$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile $(QUICK) $(TESTS)

matrix:  ## the quick tests on each Python from 3.11 to 3.13 that is found here; PYTHONS="/path/to/python3.12 …" for others
	@found="$(PYTHONS)"; test -n "$$found" || { echo "expected a Python to test with, found none" >&2; exit 1; }; \
	for python in $$found; do echo "== $$($$python --version), $$python"; $(MAKE) quick PYTHON=$$python || failed="$${failed:-} $$python"; \
	done; test -z "$${failed:-}" || { echo "failed on:$$failed" >&2; exit 1; }

check: $(VENV)/.stamp-tools $(SITE)  ## lint, formatting and types, and the documentation: ruff, mypy --strict, zensical --strict
	$(PY) -m ruff check $(LINTED)
	$(PY) -m ruff format --check $(LINTED)
	$(PY) -m mypy

docs: $(SITE)  ## the documentation as a site, with search, where the console serves it: links, anchors, navigation are checked

$(SITE): $(VENV)/.stamp-tools $(PAGES)
	$(PY) deploy/docs/build.py

fmt: $(VENV)/.stamp-tools  ## put the code into its form: ruff format, and what ruff can mend
	$(PY) -m ruff format $(LINTED)
	$(PY) -m ruff check --fix $(LINTED)

bench: $(VENV)/.stamp-bench programs  ## measure beside peers: build/bench.json, docs/performance.md; BENCH=throughput for one group, ARGS=--quick to try
	PYTHONPATH=tests $(PY) -m bench $(BENCH) $(ARGS)

chaos: $(VENV)/.stamp-all programs  ## kill -9 under load, hold it against an uninterrupted run; KILLS=200
	PYTHONPATH=tests $(PY) -m chaos --kills $(KILLS)

cluster: $(VENV)/.stamp-all programs  ## a cluster on Ray and PostgreSQL is hurt in every way, and held against one process: build/cluster.json
	PYTHONPATH=tests $(PY) -m cluster $(ARGS)

accuracy: $(VENV)/.stamp-all programs  ## the shipped code on public series, beside simple forecasters and published figures; SET=ETTh2 or plant for one
	PYTHONPATH=tests $(PY) -m accuracy $(if $(SET),--set $(SET)) $(ARGS)
	$(if $(filter-out ETTh2,$(SET)),,PYTHONPATH=tests $(PY) -m accuracy.beside ETTh2)

release: $(SITE)  ## all that a release consists of, in dist/: wheel, source, Debian packages, Home Assistant app, SBOMs
	@$(PY) $(PIP) install build
	PYTHON=$(CURDIR)/$(PY) sh deploy/release.sh $(ARGS)

wheel: $(WHEEL_VENV)/.stamp-wheel

programs:
	@missing=""; PATH="$$PATH:/usr/sbin:/usr/local/sbin:$$(echo /usr/lib/postgresql/*/bin | tr ' ' :)"; for pair in $(TEST_PROGRAMS); do \
		command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; .ci/install-packages $$missing; fi

# -- virtual environments; each stamp says what is installed and is made again when what it rests on has changed

define new_venv
	@test -n "$(PYTHON)" || { echo "expected Python 3.11, 3.12 or 3.13, found none" >&2; exit 1; }
	@mkdir -p $(1)
	@$(PYTHON) -m venv $(1) >/dev/null || { .ci/install-packages python3-venv && $(PYTHON) -m venv --clear $(1); }
	@$(1)/bin/python $(PIP) install --upgrade 'pip>=25.1'
	@touch $@
endef

$(VENV)/.stamp-venv:
	$(call new_venv,$(VENV))

# The demo needs no TensorFlow: half a minute rather than five.
$(VENV)/.stamp-demo: $(VENV)/.stamp-venv pyproject.toml deploy/requirements-edge.txt
	@echo "setting up $(VENV) …"
	@$(PY) $(PIP) install -r deploy/requirements-edge.txt $$($(PY) -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["demo"])')
	@$(PY) $(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/.stamp-tools: $(VENV)/.stamp-demo
	@$(PY) $(PIP) install --group dev --group docs
	@touch $@

# The optional libraries, too, but for TensorFlow.
$(VENV)/.stamp-quick: $(VENV)/.stamp-tools
	@$(PY) $(PIP) install $$($(PY) -c 'import tomllib; \
		extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; print(*sum(extras.values(), []))')
	@touch $@

$(VENV)/.stamp-all: $(VENV)/.stamp-tools
	@echo "installing TensorFlow …"
	@$(PY) $(PIP) install --editable '.[$(EXTRAS)]'
	@touch $@

# The peers of the benchmarks, beside all else.
$(VENV)/.stamp-bench: $(VENV)/.stamp-all
	@$(PY) $(PIP) install --group bench
	@touch $@

# The wheel as a user gets it, with all that it declares; beside it only what the tests themselves need. What it rests on
# comes first, so that TensorFlow is on its way while the documentation is built and the types are checked. What is
# imported is compiled then: most of it never is.
EXTRAS := console,mcp,demo,plots,parquet,tune,cluster

$(WHEEL_VENV)/.stamp-venv:
	$(call new_venv,$(WHEEL_VENV))

$(WHEEL_VENV)/.stamp-needs: $(WHEEL_VENV)/.stamp-venv pyproject.toml
	@echo "installing TensorFlow …"
	@$(WHEEL_VENV)/bin/python $(PIP) install --no-compile --group dev $$($(WHEEL_VENV)/bin/python -c 'import tomllib; \
		project = tomllib.load(open("pyproject.toml", "rb"))["project"]; extras = project["optional-dependencies"]; \
		print(*project["dependencies"], *(need for name in "$(EXTRAS)".split(",") for need in extras[name]))')
	@touch $@

$(WHEEL_VENV)/.stamp-wheel: $(WHEEL_VENV)/.stamp-needs $(SOURCES) $(SITE)
	@echo "building the wheel …"
	@rm -rf $(DIST)
	@$(WHEEL_VENV)/bin/python $(PIP) wheel --no-deps --wheel-dir $(DIST) .
	@$(WHEEL_VENV)/bin/python $(PIP) install --force-reinstall --no-deps $(DIST)/gaugecast-*.whl
	@$(WHEEL_VENV)/bin/python $(PIP) install "$$(ls $(DIST)/gaugecast-*.whl)[$(EXTRAS)]"
	@touch $@
