"""Training that ends when the held-out exact match reaches --until, in the real command."""

import json
import shutil
import signal

import numpy as np
import pytest
from same_end import assert_same_end

from support.run.history import Row, has_reached
from support.run.run_folder import RunFolder
from tests.running import batches_saved, posix, run, start

SHARE = 0.8
SETTINGS = (
    "--max-batches 2000 --vocab-size 5 --length-to 5 --batch-size 50 --learning-rate 0.01 --samples 0 --xla off "
    f"--until {SHARE}"
).split()


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A run that has reached the share, and what it printed."""
    folder = tmp_path_factory.mktemp("ended")
    status, stdout, stderr = run([*SETTINGS, "--run-dir", "whole"], folder)
    assert (status, stderr) == (0, "")
    return folder / "whole", stdout


@pytest.fixture
def copy(ended, tmp_path):
    """A copy of that run, as if killed before it wrote its figures."""
    shutil.copytree(ended[0], tmp_path / "copy")
    (tmp_path / "copy/ended").unlink()
    return tmp_path / "copy"


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


@pytest.mark.long
@posix
def test_a_run_that_is_interrupted_before_goes_on_to_the_same_end(ended, tmp_path):
    process = start([*SETTINGS, "--batches-in-epoch", "1", "--run-dir", "stopped"], tmp_path)
    for line in process.stdout:
        if line == "batch 50\n":
            process.send_signal(signal.SIGTERM)
            break
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert 50 < batches_saved(tmp_path / "stopped") < batches_saved(ended[0])
    status, stdout, stderr = run(["--resume", "stopped", "--batches-in-epoch", "1000"], tmp_path)
    assert (status, stderr) == (0, "")
    assert ": two evaluations in a row reached --until 0.8" in stdout
    shutil.copy(ended[0] / "config.json", tmp_path / "stopped")
    assert_same_end(ended[0], tmp_path / "stopped")


def test_a_run_killed_before_its_last_checkpoint_goes_on_to_the_same_end(ended, copy):
    RunFolder(copy).checkpoints()[-1].path.rename(copy / "gone")
    assert run(["--resume", "copy"], copy.parent)[0] == 0
    shutil.rmtree(copy / "gone")
    assert_same_end(ended[0], copy)


def test_a_run_killed_before_its_report_makes_no_further_batch(ended, copy):
    status, stdout, stderr = run(["--resume", "copy"], copy.parent)
    assert (status, stderr) == (0, "")
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
