# make run    trains, prints samples and saves the loss curve; more flags: make run ARGS="--seed 1"
# make test   checks the style and runs the tests; on the oldest TensorFlow: make test TENSORFLOW=2.16
# make lint   checks the style only
# make bench  measures it side by side with JAX and PyTorch; see docs/speed.md
# make cluster WORKERS=2   trains with several workers on this machine; see docs/scaling.md
# make notebook      opens the notebook that takes the model apart
# make walkthrough   makes that notebook, docs/walkthrough.ipynb, from docs/walkthrough.py and runs it
# make tensorboard   shows graph, curves, pictures and embeddings of all runs at http://localhost:6006
#
# Each installs what it needs, into a virtual environment in this folder.

PYTHON ?= python3
TENSORFLOW ?=
WORKERS ?= 2
VENV := .venv$(if $(TENSORFLOW),-$(TENSORFLOW))
PIP_INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	$(if $(TENSORFLOW),"tensorflow==$(TENSORFLOW).*" "tf-keras==$(TENSORFLOW).*")

.PHONY: run test lint bench cluster notebook walkthrough tensorboard

run: $(VENV)/run-installed
	$(VENV)/bin/python seq2seq_copy.py $(ARGS)

test: lint
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/test-installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

bench: $(VENV)/run-installed .venv-jax/installed .venv-torch/installed
	$(VENV)/bin/python -m benchmarks.bench

cluster: $(VENV)/run-installed
	$(VENV)/bin/python -m support.terminal.local_cluster $(WORKERS) $(ARGS)

notebook: $(VENV)/notebook-installed
	$(VENV)/bin/python -m notebook docs/walkthrough.ipynb $(ARGS)

walkthrough: $(VENV)/notebook-installed
	$(VENV)/bin/python -m jupytext --quiet --to ipynb --update docs/walkthrough.py
	$(VENV)/bin/python -m nbconvert --log-level WARN --to notebook --inplace --execute \
		--ExecutePreprocessor.record_timing=False docs/walkthrough.ipynb
	$(VENV)/bin/python -m nbconvert --log-level WARN --to notebook --inplace --coalesce-streams docs/walkthrough.ipynb

tensorboard: $(VENV)/test-installed
	$(VENV)/bin/python -m tensorboard.main --logdir runs $(ARGS)

$(VENV)/run-installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements.txt
	touch $@

$(VENV)/test-installed: tests/requirements.txt $(VENV)/run-installed
	$(PIP_INSTALL) -r tests/requirements.txt
	touch $@

$(VENV)/notebook-installed: docs/requirements.txt $(VENV)/run-installed
	$(PIP_INSTALL) -r docs/requirements.txt
	touch $@

.venv-%/installed: benchmarks/requirements-%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@
