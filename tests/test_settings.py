"""config.json: the form in which all versions write it, and what is read from it."""

import hashlib
import json
import shutil
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support import settings
from support.errors import UserError
from support.run.checkpoints import Checkpoint
from support.settings import DataFacts, Settings
from tests.running import ROOT, run

# Written by hand, so that a run of the version before can be read whatever Settings becomes.
OF_THE_VERSION_BEFORE = """{
  "task": "copy",
  "vocab_size": 5,
  "length_from": 3,
  "length_to": 4,
  "input_embedding_size": 2,
  "encoder_hidden_units": 2,
  "batch_size": 2,
  "max_batches": 21,
  "learning_rate": 0.03,
  "warm_up": 0.1,
  "adam_beta2": 0.95,
  "clip_norm": 1.0,
  "held_out_sequences": 9,
  "batches_in_epoch": 1000,
  "seed": 0,
  "until": null,
  "patience": null,
  "keep": "last",
  "xla": "off",
  "device": "auto",
  "data": null,
  "validation_data": null,
  "test_data": null,
  "symbols": "words",
  "min_count": 1,
  "cell": "lstm",
  "layers": 1,
  "encoder": "bidirectional",
  "attention": "none",
  "feedback": "argmax",
  "teacher_probability": 1.0,
  "dropout": 0.0,
  "samples": 0,
  "plot": "plots/loss.png",
  "max_answer": null,
  "started_from": "",
  "keep_every": 10,
  "buckets": [],
  "untrained": [],
  "names": [],
  "sha256": "",
  "lines": []
}
"""
OF_DATA = {"data": "/a/pairs.tsv", "vocab_size": 5, "length_from": 1, "length_to": 4, "sha256": "0f"}
OF_DATA |= {"buckets": [[2, 1], [4, 7]], "names": ["a", "b", "\u00e9"], "untrained": ["b"], "started_from": "/runs/1"}


NEWER = ("dropout", "device", "min_count", "patience", "untrained", "started_from", "lines")


def test_a_new_run_writes_the_same_file_and_a_digest_of_the_script(stopped):
    values = json.loads((stopped / "config.json").read_text())
    script = b"".join((ROOT / name).read_bytes() for name in ("seq2seq_copy.py", "helpers.py"))
    assert values.pop("script_sha256") == hashlib.sha256(script).hexdigest()
    assert f"{json.dumps(values, indent=2)}\n" == OF_THE_VERSION_BEFORE


@pytest.mark.parametrize("arguments", [["--resume", "run"], ["--predict", "2 3 4"], ["--export", "new"]])
def test_a_run_of_an_older_version_is_resumed_asked_and_exported(arguments, stopped, tmp_path):
    """What it does not know yet has its default."""
    shutil.copytree(stopped, tmp_path / "run")
    older = {name: value for name, value in json.loads(OF_THE_VERSION_BEFORE).items() if name not in NEWER}
    (tmp_path / "run/config.json").write_text(json.dumps(older))
    which = [] if "--resume" in arguments else ["--run-dir", "run"]
    assert run([*arguments, *which], tmp_path)[::2] == (0, "")


def test_what_was_read_from_the_data_is_read_again():
    config = settings.from_json(json.loads(OF_THE_VERSION_BEFORE) | OF_DATA)
    assert (config.data, config.started_from, config.length_to) == (Path("/a/pairs.tsv"), "/runs/1", 4)
    assert config.vocabulary == ["<PAD>", "<EOS>", "a", "b", "\u00e9"]
    assert config.sizes == [(2, 4), (4, 10)]
    assert {name: config.fixed[name] for name in ("sha256", "buckets")} == {"sha256": "0f", "buckets": [[2, 1], [4, 7]]}


def test_each_setting_that_is_missing_has_its_default():
    values = json.loads(OF_THE_VERSION_BEFORE)
    config = settings.from_json(values)
    for name in values.keys() - {"seed", "max_batches", "vocab_size", "encoder_hidden_units"}:
        older = {other: value for other, value in values.items() if other != name}
        default = {name: getattr(Settings, name)} if hasattr(Settings, name) else {}
        assert settings.from_json(older) == replace(config, **default), name


def test_a_long_input_counts_as_much_as_a_long_answer():
    """XLA keeps the gates of all steps of the encoder in one tensor."""
    short_answers = DataFacts(buckets=((10_000, 1),), names=("a",))
    long = Settings(data=Path("x"), length_to=10_000, encoder_hidden_units=600, facts=short_answers)
    settings.check(replace(long, batch_size=80))
    with pytest.raises(UserError, match="--batch-size: a tensor would be too large"):
        settings.check(long)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "there is no seed"),
        ([], "there is no seed"),
        ("seed", "there is no max_batches"),
        (None, "NoneType"),
        ({"seed": 1, "max_batches": 5}, "there is no vocab_size"),
    ],
)
def test_what_no_version_has_written_are_no_settings(values, message):
    with pytest.raises(ValueError, match=message):
        settings.from_json(values)


def test_a_default_of_an_edited_script_is_checked():
    """A run whose settings cannot be read again would be lost."""
    with pytest.raises(UserError, match="warm_up: '1.0' is not a number from 0 to below 1"):
        settings.check(replace(Settings(), warm_up=1.0))
    settings.check(Settings())


def test_a_checkpoint_knows_the_names_of_its_symbols_and_their_order(tmp_path):
    generator, history = np.random.default_rng(0), types.SimpleNamespace(state={})
    config, other = (Settings(facts=DataFacts(names=names)) for names in (("a", "b"), ("b", "a")))
    Checkpoint(tmp_path).check_names(other)  # of an older version, which wrote no names
    Checkpoint(tmp_path).write_state(generator, history, config)
    Checkpoint(tmp_path).check_names(config)
    with pytest.raises(UserError, match="was written with other names of symbols than config.json holds"):
        Checkpoint(tmp_path).check_names(other)
