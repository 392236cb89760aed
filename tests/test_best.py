"""--keep best and --patience: the weights of the best evaluation, and an early end without a better one."""

import csv
import errno
import json
import os
import re
import shutil

import pytest
from same_end import assert_same_end, stopped_copy

import helpers
from seq2seq_copy import evaluate
from support.model import variants
from support.pictures import pictures
from support.run.history import EARLY_BATCHES, Row, best_row, has_lost_patience
from support.run.run_folder import RunFolder
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf
from tests.running import QUICK, run

# So high a learning rate that the last evaluation is not the best one.
SETTINGS = ["--max-batches", "400", "--learning-rate", "0.3", "--batch-size", "20", "--samples", "0", "--xla", "off"]
SETTINGS += ["--keep", "best"]


def rows(*evaluations):
    return [Row(batch, 1.0, 1.0, 0.1, *evaluation) for batch, evaluation in enumerate(evaluations)]


def test_the_best_evaluation_by_hand():
    assert best_row(rows((0.5,), (), (0.6,))).batch == 2
    assert best_row(rows((0.5,), (0.5,))).batch == 0
    assert best_row(rows((0.5,), ())).batch == 0
    assert best_row(rows((0.5, 2.0), (0.5, 1.9))).batch == 1, "the loss decides between equal shares"
    assert best_row(rows(())) is None


def test_patience_by_hand():
    few = rows((0.5,), (0.7,), (), (0.6,), (0.7,))
    assert [has_lost_patience(few, patience) for patience in (None, 1, 2, 3)] == [False, True, True, False]
    assert not has_lost_patience(rows((), ()), 1)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("best")
    return folder, run([*SETTINGS, "--run-dir", "run"], folder, settings=QUICK)


def shares(folder):
    with open(folder / "history.csv", newline="") as file:
        return [float(row["validation_exact_match"]) for row in csv.DictReader(file) if row["validation_exact_match"]]


def test_the_report_and_the_answers_are_those_of_the_best_weights(learned):
    folder, (status, _, stderr) = learned
    assert (status, stderr) == (0, "")
    found = shares(folder / "run")
    assert max(found) > found[-1]
    metrics, config = json.loads((folder / "run/metrics.json").read_text()), RunFolder(folder / "run").read_settings()
    model = variants.open_model(config)
    with model.session as session:
        tf.train.Saver().restore(session, str(folder / "run/checkpoints/best/model"))
        exact, _ = evaluate(model, helpers.examples(config, helpers.generators(config.seed))[1])
    assert metrics["exact_match"] == {"share": exact.mean(), "exact": exact.sum(), "sequences": 200}
    assert RunFolder(folder / "run").final_checkpoint().path == folder / "run/checkpoints/best"
    lines = [" ".join(map(str, [2 + i % 8, 2 + i // 8 % 8, 2 + i // 64])) for i in range(400)]
    answers = run(["--predict", "-", "--run-dir", "run"], folder, "\n".join(lines))
    shutil.copytree(folder / "run", folder / "last")
    shutil.rmtree(folder / "last/checkpoints/best")
    assert run(["--predict", "-", "--run-dir", "last"], folder, "\n".join(lines)) != answers


@pytest.mark.long
def test_the_last_weights_may_be_the_best(tmp_path):
    """However few batches there are, and whatever the distance between two evaluations."""
    arguments = ["--max-batches", "3", "--batch-size", "2", "--xla", "off", "--samples", "0", "--run-dir", "few"]
    for keep, evaluated in (("best", [0, 2]), ("last", [0])):
        assert run([*arguments, "--keep", keep], tmp_path, settings=QUICK)[0] == 0
        rows = (tmp_path / "few/history.csv").read_text().splitlines()[1:]
        assert [number for number, row in enumerate(rows) if row.split(",")[4]] == evaluated
        shutil.rmtree(tmp_path / "few")


def test_page_pictures_and_tensorboard_name_the_batch_of_the_best_weights(learned):
    run_folder = learned[0] / "run"
    found = shares(run_folder)
    best = 10 * found.index(max(found))
    early = [batch for batch in EARLY_BATCHES if batch < best]
    text = (run_folder / "model.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="run">(.*?)</script>', text, re.DOTALL)[1])
    assert [moment["batch"] for moment in data["moments"]] == [*early, best]
    assert f"; after batch {best}; " in data["about"]
    (path,) = run_folder.glob("events.out.tfevents.*")
    events = [tf.Event.FromString(event) for event in tf.io.tf_record_iterator(str(path))]
    steps = {"memory": set(), "pictures/memory": set()}
    for event in events:
        for value in event.summary.value:
            steps.get(value.tag, set()).add(event.step)
    assert steps == {"memory": {0, 100, 300, best}, "pictures/memory": {best}}


def test_a_curve_ends_where_the_best_weights_are_from():
    figures = {"exact_match": {"share": 0.7, "sequences": 9}}
    _, error_axes = pictures.loss_curve(rows((0.5,), (0.7,), (0.6,)), figures, Settings(), final_batch=1).axes
    assert error_axes.get_lines()[-1].get_xdata() == [1]


def test_a_resumed_run_keeps_the_same_weights(learned):
    folder, _ = learned
    stopped_copy(folder / "run", folder / "stopped")
    assert run(["--resume", "stopped"], folder)[0] == 0
    assert_same_end(folder / "run", folder / "stopped")


def test_training_ends_without_a_better_evaluation(tmp_path):
    status, stdout, _ = run([*SETTINGS, "--patience", "4", "--run-dir", "run"], tmp_path, settings=QUICK)
    assert status == 0
    line = re.search(r"^ended at batch (\d+): --patience 4, and no later evaluation was better$", stdout, re.M)
    end = int(line[1])
    found = shares(tmp_path / "run")
    assert len(found) == end // 10 + 1
    assert found.index(max(found)) == len(found) - 1 - 4
    message = f"seq2seq_copy.py: --resume: this run {line[0]} (see --help)\n"
    assert run(["--resume", "run"], tmp_path) == (2, "", message)


def test_without_torn_best_weights_the_newest_are_left(learned, tmp_path):
    torn = shutil.copytree(learned[0] / "run", tmp_path / "run")
    newest = RunFolder(torn).checkpoints()[-1].path.name
    (torn / "checkpoints/best/model.index").write_bytes(b"torn")
    status, _, stderr = run(["--predict", "3", "--run-dir", "run"], tmp_path)
    assert status == 2
    assert stderr.endswith(f"; delete that folder to go back to checkpoint {newest}\n"), stderr
    shutil.rmtree(torn / "checkpoints/best")
    assert run(["--predict", "3", "--run-dir", "run"], tmp_path)[0] == 0


def test_a_full_disk_while_the_best_weights_are_copied_is_one_line(tmp_path, monkeypatch):
    def full(source, target, **_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with (
        pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '.*'$"),
        RunFolder(tmp_path).new_checkpoint(1, None, is_best=True) as checkpoint,
    ):
        (checkpoint.path / "model.index").touch()
    assert not list((tmp_path / "checkpoints").iterdir())
