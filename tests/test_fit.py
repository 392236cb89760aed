"""fit(), a whole run in its plainest form: the steps of the command, printed as in the talk, and evaluated."""

import csv
import json

import numpy as np
import pytest

import helpers
import seq2seq_copy
from seq2seq_copy import Config, Model, Trainer, evaluate, fit
from tests.running import run

CONFIG = Config(max_batches=40, batch_size=20, batches_in_epoch=30, held_out_sequences=300, seed=4)

pytestmark = pytest.mark.short


def test_its_losses_are_those_of_the_command_bit_for_bit(tmp_path):
    flags = "--max-batches 40 --batch-size 20 --seed 4 --xla off --samples 0 --run-dir run"
    assert run(flags.split(), tmp_path)[::2] == (0, "")
    with open(tmp_path / "run/history.csv") as file:
        expected = [np.float32(row["loss"]) for row in csv.DictReader(file)]
    config = Config(max_batches=40, batch_size=20, seed=4)
    model, losses, exact = fit(config)
    assert len(losses) == 40 and losses == expected
    share = json.loads((tmp_path / "run/metrics.json").read_text())["exact_match"]
    assert (exact.size, exact.sum()) == (share["sequences"], share["exact"])


def test_it_prints_losses_and_samples_as_the_talk_does(capsys):
    _, losses, exact = fit(CONFIG)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["batch 0", f"  minibatch loss: {losses[0]:.4f}"]
    assert lines[8:10] == ["batch 30", f"  minibatch loss: {losses[30]:.4f}"]
    first = next(helpers.examples(CONFIG, helpers.generators(CONFIG.seed))[0])
    assert lines[2] == f"    input     > {first.inputs[:, 0]}"
    assert lines[3].startswith("    predicted > [")
    assert lines[-1] == f"{exact.mean():.2%} of 300 held-out sequences are exact after 40 batches"
    assert len(lines) == 2 * 8 + 1


@pytest.mark.parametrize("batches", [0, 3])
def test_ctrl_c_ends_training_and_the_rest_follows(batches, capsys, monkeypatch):
    trainer, train = Trainer(Model(CONFIG)), seq2seq_copy.train

    def interrupted(*arguments):
        for number, row in enumerate(train(*arguments)):
            if number == batches:
                raise KeyboardInterrupt
            yield row

    monkeypatch.setattr(seq2seq_copy, "train", interrupted)
    model, losses, exact = fit(CONFIG, trainer)
    assert "training interrupted\n" in capsys.readouterr().out
    assert len(losses) == batches and exact.size == 300


def test_its_model_is_trained(capsys):
    config = Config(max_batches=150, batch_size=50, length_to=4, vocab_size=5, held_out_sequences=200)
    model, losses, exact = fit(config)
    assert np.mean(losses[-10:]) < 0.2 * losses[0]
    _, held_out = helpers.examples(config, helpers.generators(config.seed))
    np.testing.assert_array_equal(evaluate(model, held_out)[0], exact)
    assert exact.mean() > 0.5
