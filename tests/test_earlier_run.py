"""A run of an earlier version, whose cells came from tf-keras: it was killed after 501 of 601 batches."""

import json
import re
import shutil

import numpy as np
import pytest
from running import ROOT, run

from support.terminal import settings


@pytest.fixture
def earlier(tmp_path):
    return shutil.copytree(ROOT / "tests/earlier_run", tmp_path / "earlier")


def test_it_answers_as_it_did(earlier):
    """Also where its answers were wrong: it was trained on 3 and 4 symbols."""
    answers = {"4 3 2": "4 3 2", "2 2 3 4 4 3 2": "2 2 3 4 3 2", "3 4 2 4 3 2": "3 4 2 3 2 4"}
    asked = [argument for sequence in answers for argument in ("--predict", sequence)]
    status, stdout, _ = run([*asked, "--run-dir", "earlier"], earlier.parent)
    assert status == 0
    expected = [f"input     > [{given}]\npredicted > [{answer}]\n" for given, answer in answers.items()]
    assert stdout == "".join(expected)


def test_it_goes_on_to_its_end(earlier):
    before = (earlier / "history.csv").read_text()
    status, stdout, stderr = run(["--resume", "earlier"], earlier.parent)
    assert (status, stderr) == (0, "")
    assert stdout.startswith("resuming earlier after 501 batches\n")
    assert re.search(r"exact match +100.00%  \(10000 of 10000\)", stdout)
    after = (earlier / "history.csv").read_text()
    assert after.startswith(before)
    losses = np.genfromtxt(earlier / "history.csv", delimiter=",", names=True)["loss"]
    assert losses.size == 601
    assert losses[501:].mean() < 2 * losses[451:501].mean()


def test_it_goes_on_as_it_was_though_the_defaults_are_others_now(earlier):
    values = json.loads((earlier / "config.json").read_text())
    newer = {"layers": 1, "until": None, "adam_beta2": 0.95, "clip_norm": 1.0, "warm_up": 0.0}
    assert not values.keys() & newer.keys()
    config = settings.from_json(values)
    assert {name: getattr(config, name) for name in newer} == newer


@pytest.mark.parametrize("name", ["seed", "plot", "cell", "learning_rate"])
def test_no_other_setting_may_be_missing(name, earlier):
    values = json.loads((earlier / "config.json").read_text())
    del values[name]
    with pytest.raises(ValueError, match=name):
        settings.from_json(values)


@pytest.mark.parametrize("name", ["seed", "plot", "cell", "learning_rate", "layers"])
def test_a_setting_that_is_null_is_an_error(name, earlier):
    values = json.loads((earlier / "config.json").read_text())
    with pytest.raises(ValueError, match="None"):
        settings.from_json(values | {name: None})
