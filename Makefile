# make run    trains, prints samples and saves the loss curve; more flags: make run ARGS="--seed 1"
# make test   checks the style and runs the tests; on the oldest TensorFlow: make test TENSORFLOW=2.16
# make lint   checks the style only
# make bench  measures it side by side with JAX and PyTorch; see docs/speed.md
# make clear  empties the cache of compiled programs; see docs/speed.md
# make tensorboard   shows the graph and the curves of all runs at http://localhost:6006
#
# Each installs what it needs, into a virtual environment in this folder.

PYTHON ?= python3
TENSORFLOW ?=
VENV := .venv$(if $(TENSORFLOW),-$(TENSORFLOW))
PIP_INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	$(if $(TENSORFLOW),"tensorflow==$(TENSORFLOW).*" "tf-keras==$(TENSORFLOW).*")

.PHONY: run test lint bench clear tensorboard

run: $(VENV)/run-installed
	$(VENV)/bin/python seq2seq_copy.py $(ARGS)

test: lint
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/test-installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

bench: $(VENV)/run-installed .venv-jax/installed .venv-torch/installed
	$(VENV)/bin/python -m benchmarks.bench

clear: $(VENV)/run-installed
	$(VENV)/bin/python -m support.graph.programs

tensorboard: $(VENV)/test-installed
	$(VENV)/bin/python -m tensorboard.main --logdir runs $(ARGS)

$(VENV)/run-installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements.txt
	touch $@

$(VENV)/test-installed: tests/requirements.txt $(VENV)/run-installed
	$(PIP_INSTALL) -r tests/requirements.txt
	touch $@

.venv-%/installed: benchmarks/requirements-%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@
