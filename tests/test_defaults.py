"""The settings that own data gets unless a flag or a file says otherwise."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from seq2seq_copy import Config
from support.data import pairs
from support.run.run_folder import RunFolder
from support.settings import FOR_FEW_PAIRS, FOR_PAIRS, Settings
from support.terminal import training
from support.terminal.command import read_command
from support.terminal.report import data_report
from tests.running import refusal

TINY = ["--encoder-hidden-units", "3", "--input-embedding-size", "2", "--batch-size", "4", "--xla", "off"]


@pytest.fixture
def data(tmp_path):
    """A hundred pairs."""
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{a} {b}\t{b}\n" for a in "abcdefghij" for b in "abcdefghij"))
    return path


@pytest.fixture
def many(tmp_path):
    """More than 1,000 pairs to learn."""
    path = tmp_path / "many.tsv"
    path.write_text("".join(f"{number:d}\t{number % 7}\n" for number in range(1500)))
    return path


def test_own_data_has_defaults_of_its_own_and_flags_override_each(many, data, tmp_path):
    plain = {name: getattr(Settings, name) for name in FOR_PAIRS}
    config = read_command(["--data", str(many)]).config
    assert {name: getattr(config, name) for name in FOR_PAIRS} == FOR_PAIRS
    assert not any(FOR_PAIRS[name] == value for name, value in plain.items())
    config = read_command(["--data", str(data)]).config
    for_few = FOR_PAIRS | FOR_FEW_PAIRS
    assert {name: getattr(config, name) for name in for_few} == for_few
    assert not any(FOR_FEW_PAIRS[name] == FOR_PAIRS[name] for name in FOR_FEW_PAIRS)
    (tmp_path / "settings.json").write_text(json.dumps({"dropout": 0.1, "keep": "last", "max_batches": 7}))
    typed = ["--settings", str(tmp_path / "settings.json"), "--attention", "none", "--dropout", "0"]
    changed = read_command(["--data", str(data), *typed]).config
    expected = for_few | {"keep": "last", "attention": "none", "dropout": 0.0, "max_batches": 7}
    assert {name: getattr(changed, name) for name in expected} == expected


def test_one_word_gives_the_plain_model_and_its_recipe(data):
    config = read_command(["--data", str(data), "--plain", "--batch-size", "9"]).config
    of_data = {"vocab_size", "length_from", "length_to"}
    for field in dataclasses.fields(Config):
        if field.name not in of_data | {"batch_size"}:
            assert getattr(config, field.name) == field.default, field.name
    assert (config.batch_size, config.attention, config.feedback) == (9, "none", "argmax")


def test_the_first_lines_show_the_settings_as_flags_that_give_the_same_run(data):
    train = read_command(["--data", str(data)])
    flags = data_report(train.pairs, train.config).splitlines()[1]
    assert read_command(["--data", str(data), "--plain", *flags.split()]).config == train.config


def test_the_number_of_batches_depends_on_the_pairs():
    def batches(lines, length, target_length, batch_size=64):
        bounds = np.arange(2 * lines + 1) // 2 * (length + target_length) + np.arange(2 * lines + 1) % 2 * length
        fields = {name: None for name in pairs.Pairs._fields}
        made = pairs.Pairs(**fields | {"bounds": bounds, "training_lines": np.arange(lines)})
        return pairs.default_batches(made, batch_size)

    assert batches(100, 5, 5) == 1000
    assert batches(3600, 7, 7) == 2400
    assert batches(90_000, 3, 4) == 12_000
    assert batches(3600, 7, 7, 32) == 4800, "as many examples"
    assert batches(90_000, 50, 47) == 1500, "long pairs take longer"
    assert batches(9, 9000, 9000) == 100


def test_a_run_that_starts_with_another_keeps_its_model_but_not_its_recipe(data, tmp_path):
    begun = read_command(["--data", str(data), *TINY, "--attention", "bahdanau"]).config
    RunFolder.create(tmp_path / "other", begun).held.release()
    (tmp_path / "other/checkpoints/1").mkdir(parents=True)
    config = read_command(["--data", str(data), "--start-from", str(tmp_path / "other")]).config
    assert (config.attention, config.encoder_hidden_units, config.batch_size) == (
        "bahdanau",
        3,
        FOR_PAIRS["batch_size"],
    )


def test_a_run_that_starts_with_another_keeps_its_task_and_lengths(tmp_path):
    begun = read_command([*TINY, "--task", "reverse", "--length-from", "2", "--length-to", "4"]).config
    RunFolder.create(tmp_path / "other", begun).held.release()
    (tmp_path / "other/checkpoints/1").mkdir(parents=True)
    start = ["--start-from", str(tmp_path / "other")]
    config = read_command(start).config
    assert (config.task, config.length_from, config.length_to) == ("reverse", 2, 4)
    config = read_command([*start, "--task", "copy", "--length-to", "9"]).config
    assert (config.task, config.length_from, config.length_to) == ("copy", 2, 9)


def test_a_folder_whose_name_tensorflow_cannot_read_is_no_start(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs [1]").mkdir()
    monkeypatch.chdir(tmp_path / "runs [1]")
    RunFolder.create(Path("other"), read_command(TINY).config).held.release()
    Path("other/checkpoints/1").mkdir(parents=True)
    assert "runs [1]/other' holds [, which TensorFlow takes for a pattern" in refusal(["--start-from", "other"], capsys)


def test_a_long_run_is_announced(caplog):
    config = Settings(data=Path("x"), max_batches=1000)
    training.warn_of_a_long_run(config, 1.0, 50.0)
    assert not caplog.messages
    training.warn_of_a_long_run(config, 10.0, 200.0)
    assert caplog.messages == ["a batch takes 10.0 s and an evaluation 200.0 s, so 1000 batches may take 3.3 hours"]
