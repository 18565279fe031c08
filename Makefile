# `make demo` runs the main job, `make test` the tests; both make what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-slow benchmark models android lint format build clean

SPEECH ?= ../shared/speech
TEACHERS ?= ../shared/teachers
MODELS ?= mobilenet tiny
SEEDS ?= 0

demo: $(VENV)/.base
	$(BIN)/trill demo --output demo-output

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

benchmark: $(VENV)/.dev
	$(BIN)/python benchmarks/runtime.py

# Targets, training, export, scores, package, card: hours; stopped, the same command goes on. STEPS=1000 checks the losses.
models: $(VENV)/.dev
	$(BIN)/python scripts/make_models.py $(MODELS) --speech $(SPEECH) --teachers $(TEACHERS) --seeds $(SEEDS) $(if $(STEPS),--steps $(STEPS))

# The demo app for Android, without its SDK; the packages are at the head of android_demo/build.sh.
android: $(VENV)/.dev
	android_demo/build.sh
	android_demo/check.sh
	android_demo/hosttest/test.sh
	android_demo/test.sh

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

build: $(VENV)/.dev
	$(BIN)/python -m build

clean:
	rm -rf build dist demo-output *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "trill-speech needs Python 3.11 to 3.13: make PYTHON=python3.12 demo"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "On Debian the module venv is a package of its own: apt-get install python3-venv"; exit 1; }

$(VENV)/.base: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.base
