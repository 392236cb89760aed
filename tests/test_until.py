"""Training that ends when the held-out exact match reaches --until, in the real command."""

import json
import shutil

import numpy as np
import pytest
from same_end import assert_same_end, stopped_copy

from support.run.history import Row, has_reached
from tests.running import batches_saved, run, succeed

SHARE = 0.8
SETTINGS = (
    "--max-batches 2000 --vocab-size 5 --length-to 5 --batch-size 50 --learning-rate 0.01 --samples 0 --xla off "
    f"--until {SHARE}"
).split()


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A run that has reached the share, and what it printed."""
    folder = tmp_path_factory.mktemp("ended")
    return folder / "whole", succeed([*SETTINGS, "--run-dir", "whole"], folder)


@pytest.mark.parametrize(
    ("shares", "share", "expected"),
    [
        ([0.5, None, 0.9, None, 0.9], 0.9, True),
        ([0.5, None, 0.9, None, 0.9, None], 0.9, True),
        ([0.5, 0.9, 0.89], 0.9, False),
        ([0.9, 0.9, 0.5, 0.9], 0.9, False),
        ([None, 0.9], 0.9, False),
        ([], 0.9, False),
        ([1.0, 1.0], 1.0, True),
        ([1.0, 1.0], None, False),
    ],
)
def test_the_last_two_evaluations_decide(shares, share, expected):
    assert has_reached([Row(batch, 1.0, 1.0, 0.1, exact) for batch, exact in enumerate(shares)], share) is expected


def test_a_run_ends_at_its_second_evaluation_with_the_share(ended):
    whole, stdout = ended
    history = np.genfromtxt(whole / "history.csv", delimiter=",", names=True)
    evaluations = history["validation_exact_match"][::100]
    reaches = evaluations >= SHARE
    assert np.flatnonzero(reaches[1:] & reaches[:-1]).tolist() == [len(evaluations) - 2]
    last = int(history["batch"][-1])
    assert last == 100 * (len(evaluations) - 1) < 1900
    batch = np.arange(last + 1)
    rate = 0.01 * np.minimum((batch + 1) / 200, 1) * (1 - batch / 2000)  # it rises in the first tenth of all batches
    np.testing.assert_allclose(history["learning_rate"], rate, rtol=1e-4)

    before, after = stdout.split(f"ended at batch {last}: two evaluations in a row reached --until 0.8\n")
    assert before.startswith("batch 0\n")
    assert after.startswith("loss ")
    assert "10000 held-out sequences\n" in after
    assert json.loads((whole / "metrics.json").read_text())["batches"] == last + 1
    assert json.loads((whole / "config.json").read_text())["until"] == SHARE
    assert batches_saved(whole) == last + 1


def test_a_run_killed_before_its_last_checkpoint_goes_on_to_the_same_end(ended, tmp_path):
    stopped_copy(ended[0], tmp_path / "copy")
    assert run(["--resume", "copy"], tmp_path)[0] == 0
    assert_same_end(ended[0], tmp_path / "copy")


def test_a_run_killed_before_its_report_makes_no_further_batch(ended, tmp_path):
    copy = shutil.copytree(ended[0], tmp_path / "copy")
    (copy / "ended").unlink()
    stdout = succeed(["--resume", "copy"], tmp_path)
    assert ": two evaluations in a row reached --until 0.8" in stdout
    assert_same_end(ended[0], copy)


def test_a_run_that_has_reached_its_share_is_not_resumed(ended, tmp_path):
    whole = shutil.copytree(ended[0], tmp_path / "whole")
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    status, stdout, stderr = run(["--resume", "whole"], tmp_path)
    last = batches_saved(whole) - 1
    message = f"--resume: this run ended at batch {last}: two evaluations in a row reached --until 0.8"
    assert (status, stdout, stderr) == (2, "", f"seq2seq_copy.py: {message} (see --help)\n")
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before
