# make run    trains, prints samples and saves the loss curve; more flags: make run ARGS="--seed 1"
# make test   checks the style and runs the tests; with other versions: make test TENSORFLOW=2.16 PYTHON=python3.10
# make test-all   runs the long tests too: many kills, a minute of accidents
# make lint   checks the style only
# make bench  measures the speed side by side with JAX and PyTorch; see docs/speed.md
# make tune   searches hyper-parameters; more flags: make tune ARGS="--data pairs.tsv"; see docs/using.md
# make page   opens the page of the newest run, for playing with its model
# make dashboard     shows the trials of all studies at http://localhost:8080
# make cluster WORKERS=2   trains with several workers on this machine; see docs/scaling.md
# make notebook      opens the notebook that takes the model apart
# make walkthrough   makes that notebook, docs/walkthrough.ipynb, from docs/walkthrough.py and runs it
# make tensorboard   shows graph, curves, pictures and embeddings of all runs at http://localhost:6006
# make short  runs the short tests; with other versions: make short TENSORFLOW=2.16 NUMPY=1.26 PYTHON=python3.10
# make soak   kills and resumes runs at random for an hour; less: make soak ARGS="--minutes 5"
# make lock   rewrites requirements.lock: the tested versions of all packages, with their hashes
# make clear  empties the cache of compiled programs; see docs/variants.md
#
# Each target installs its requirements into a virtual environment in this folder.

PYTHON ?= python3
TENSORFLOW ?=
NUMPY ?=
WORKERS ?= 2
VENV := .venv$(if $(TENSORFLOW),-$(TENSORFLOW)$(NUMPY:%=-numpy%)-$(notdir $(PYTHON)))
PIP_INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	$(if $(TENSORFLOW),"tensorflow==$(TENSORFLOW).*" "tf-keras==$(TENSORFLOW).*") $(NUMPY:%="numpy==%.*")
# With another Python, pip would find no TensorFlow and say so in many lines.
CHECK_PYTHON := import sys; (3, 10) <= sys.version_info < (3, 14) or sys.exit( \
	"TensorFlow needs Python 3.10 to 3.13, and $(PYTHON) is %d.%d; try PYTHON=python3.12" % sys.version_info[:2])

.PHONY: run test test-all short lint bench tune page dashboard cluster notebook walkthrough tensorboard soak lock clear

run: $(VENV)/run-installed
	$(VENV)/bin/python seq2seq_copy.py $(ARGS)

test: lint
	$(VENV)/bin/python -m pytest $(ARGS)

test-all: lint
	$(VENV)/bin/python -m pytest -m "" $(ARGS)

short: $(VENV)/test-installed
	$(VENV)/bin/python -m pytest -m short $(ARGS)

lint: $(VENV)/test-installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

bench: $(VENV)/run-installed .venv-jax/installed .venv-torch/installed
	$(VENV)/bin/python -m benchmarks.bench

tune: $(VENV)/tune-installed
	$(VENV)/bin/python -m experiments.tune $(ARGS)

page: $(VENV)/run-installed
	$(VENV)/bin/python -m support.pictures.page

dashboard: $(VENV)/dashboard-installed
	$(VENV)/bin/optuna-dashboard $(or $(ARGS),sqlite:///studies/tune.db)

cluster: $(VENV)/run-installed
	$(VENV)/bin/python -m support.cluster.local $(WORKERS) $(ARGS)

notebook: $(VENV)/notebook-installed
	$(VENV)/bin/python -m notebook docs/walkthrough.ipynb $(ARGS)

walkthrough: $(VENV)/notebook-installed
	$(VENV)/bin/python -m jupytext --quiet --to ipynb --update docs/walkthrough.py
	$(VENV)/bin/python -m nbconvert --log-level WARN --to notebook --inplace --execute \
		--ExecutePreprocessor.record_timing=False docs/walkthrough.ipynb
	$(VENV)/bin/python -m nbconvert --log-level WARN --to notebook --inplace --coalesce-streams docs/walkthrough.ipynb

clear: $(VENV)/run-installed
	$(VENV)/bin/python -m support.tensorflow.compile_cache

tensorboard: $(VENV)/test-installed
	$(VENV)/bin/python -m tensorboard.main --logdir runs $(ARGS)

soak: $(VENV)/test-installed
	$(VENV)/bin/python -m tests.soak $(ARGS)

# uv finds the versions and hashes for all Pythons and systems at once.
lock: $(VENV)/test-installed
	$(PIP_INSTALL) uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --upgrade \
		--custom-compile-command "make lock" --output-file requirements.lock tests/requirements.txt

$(VENV)/run-installed: requirements.txt
	@$(PYTHON) -c '$(CHECK_PYTHON)'
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements.txt
	touch $@

$(VENV)/test-installed: tests/requirements.txt $(VENV)/run-installed
	$(PIP_INSTALL) -r tests/requirements.txt
	touch $@

$(VENV)/notebook-installed: docs/requirements.txt $(VENV)/run-installed
	$(PIP_INSTALL) -r docs/requirements.txt
	touch $@

$(VENV)/tune-installed: experiments/requirements.txt $(VENV)/run-installed
	$(PIP_INSTALL) -r experiments/requirements.txt
	touch $@

$(VENV)/dashboard-installed: experiments/requirements-dashboard.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r experiments/requirements-dashboard.txt
	touch $@

.venv-%/installed: benchmarks/requirements-%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@
