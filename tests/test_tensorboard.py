"""A real TensorBoard server shows the graph, the curves, the pictures and the embeddings of a run."""

import csv
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest
from same_end import stopped_copy

from support.tensorflow import tensorflow_v1 as tf
from tests.running import run

TAGS = {"loss", "gradient_norm", "learning_rate", "validation_exact_match"}
PICTURES = ("loss", "memory")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    settings = "--max-batches 250 --batch-size 10 --held-out-sequences 200 --xla off --run-dir killed"
    assert run(settings.split(), folder)[0] == 0
    stopped_copy(folder / "killed", folder / "runs/one")  # the events go beyond the newest checkpoint
    assert run(["--resume", "runs/one"], folder)[0] == 0
    assert len(list((folder / "runs/one").glob("events.out.tfevents.*"))) == 2
    return folder


@pytest.fixture(scope="module")
def ask(folder):
    """Returns a function that asks the server for the bytes of a path."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", "runs", "--port", "0", "--load_fast", "false"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        addresses = (re.search(r"http://localhost:\d+", line) for line in server.stderr)
        address = next(filter(None, addresses))[0]

        def ask(path, **query):
            with urllib.request.urlopen(f"{address}/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
                return answer.read()

        for _ in range(100):  # it already answers while it loads the events
            if json.loads(ask("data/plugin/scalars/tags")):
                break
            time.sleep(0.2)
        yield ask
    finally:
        server.kill()
        server.communicate()


def test_each_run_is_listed_once(ask):
    assert json.loads(ask("data/runs")) == ["one"]


def test_the_curves_come_back(ask, folder):
    assert set(json.loads(ask("data/plugin/scalars/tags"))["one"]) == TAGS
    with open(folder / "runs/one/history.csv") as file:
        rows = list(csv.DictReader(file))
    for tag in TAGS:
        points = json.loads(ask("data/plugin/scalars/scalars", run="one", tag=tag))
        expected = [(int(row["batch"]), float(row[tag])) for row in rows if row[tag]]
        assert [step for _, step, _ in points] == [step for step, _ in expected]
        assert [value for _, _, value in points] == pytest.approx([value for _, value in expected])


def test_the_graph_comes_back_with_its_scopes(ask):
    graph = ask("data/plugin/graphs/graph", run="one").decode()
    for name in ("encoder_inputs", "encoder/bidirectional_rnn/fw", "decoder/rnn", "loss/loss", "train/Adam"):
        assert f'name: "{name}' in graph


def test_a_resumed_run_writes_no_second_graph(folder):
    files = sorted((folder / "runs/one").glob("events.out.tfevents.*"))
    events = [list(tf.io.tf_record_iterator(str(path))) for path in files]
    assert [sum(bool(tf.Event.FromString(event).graph_def) for event in file) for file in events] == [1, 0]


def query_of(image):
    return dict(urllib.parse.parse_qsl(image["query"]))


def test_memory_comes_back_as_it_grew(ask):
    tags = json.loads(ask("data/plugin/images/tags"))
    assert set(tags["one"]) == {"memory", *(f"pictures/{name}" for name in PICTURES)}
    images = json.loads(ask("data/plugin/images/images", run="one", tag="memory", sample=0))
    assert [image["step"] for image in images] == [0, 100, 249]
    assert ask("data/plugin/images/individualImage", **query_of(images[1])).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_come_back(name, ask, folder):
    [image] = json.loads(ask("data/plugin/images/images", run="one", tag=f"pictures/{name}", sample=0))
    assert image["step"] == 249
    picture = ask("data/plugin/images/individualImage", **query_of(image))
    assert picture == (folder / f"runs/one/{name}.png").read_bytes()


def test_the_embeddings_come_back_with_their_symbols(ask, folder):
    which = {"run": "one", "name": "embeddings"}
    checkpoint = tf.train.load_checkpoint(str(folder / "runs/one/checkpoints/250/model"))
    expected = checkpoint.get_tensor("embedding/embeddings")
    embeddings = np.frombuffer(ask("data/plugin/projector/tensor", **which, num_rows=100), np.float32)
    np.testing.assert_allclose(embeddings.reshape(expected.shape), expected, rtol=1e-6)
    symbols = ask("data/plugin/projector/metadata", **which, num_rows=100).decode().split()
    assert symbols == ["<PAD>", "<EOS>", *"23456789"]
