"""A real TensorBoard server shows the graph and the curves of a run."""

import csv
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest
from running import run

TAGS = {"loss", "gradient_norm", "learning_rate", "held_out_exact_match"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    assert run(["--max-batches", "250", "--batch-size", "10", "--xla", "off", "--run-dir", "runs/one"], folder)[0] == 0
    # As after kill -9: the events know more than the newest checkpoint.
    shutil.rmtree(folder / "runs/one/checkpoints/250")
    (folder / "runs/one/metrics.json").unlink()
    assert run(["--resume", "runs/one"], folder)[0] == 0
    assert len(list((folder / "runs/one").glob("events.out.tfevents.*"))) == 2
    return folder


@pytest.fixture(scope="module")
def ask(folder):
    """Returns a function that asks the server for a path."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", "runs", "--port", "0", "--load_fast", "false"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        addresses = (re.search(r"http://localhost:\d+", line) for line in server.stderr)
        address = next(filter(None, addresses))[0]

        def ask(path, **query):
            with urllib.request.urlopen(f"{address}/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
                return answer.read().decode()

        for _ in range(100):  # it loads the events while it already answers
            if len(json.loads(ask("data/plugin/scalars/tags"))) == 2:
                break
            time.sleep(0.2)
        yield ask
    finally:
        server.kill()
        server.communicate()


def test_the_curves_come_back(ask, folder):
    tags = json.loads(ask("data/plugin/scalars/tags"))
    assert set(tags) == {"one", "latest"}  # latest is a link to one
    assert set(tags["one"]) == TAGS
    with open(folder / "runs/one/history.csv") as file:
        rows = list(csv.DictReader(file))
    for tag in TAGS:
        points = json.loads(ask("data/plugin/scalars/scalars", run="one", tag=tag))
        expected = [(int(row["batch"]), float(row[tag])) for row in rows if row[tag]]
        assert [step for _, step, _ in points] == [step for step, _ in expected]
        assert [value for _, _, value in points] == pytest.approx([value for _, value in expected])


def test_the_graph_comes_back_with_its_scopes(ask):
    graph = ask("data/plugin/graphs/graph", run="one")
    for name in ("encoder_inputs", "encoder/bidirectional_rnn/fw", "decoder/rnn", "loss/loss", "train/train_op"):
        assert f'name: "{name}' in graph
