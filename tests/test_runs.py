"""Nothing is lost: runs that are stopped, killed, or cannot write, against an undisturbed one."""

import json
import re
import shutil
import signal
import types

import numpy as np
import pytest
from same_end import assert_same_end, stopped_copy

from support.errors import UserError
from support.run.checkpoints import Checkpoint
from support.run.run_folder import RunFolder
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf
from tests.running import ENDLESS, QUICK, batches_saved, files, long, only_run, posix, run, start, succeed

ARGUMENTS = ["--max-batches", "60", "--batch-size", "20", "--samples", "0", "--xla", "off"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    stdout = succeed([*ARGUMENTS, "--run-dir", "whole"], folder, settings=QUICK)
    assert "the run in whole\n" in stdout
    return folder / "whole"


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the whole run, stopped after 51 batches as if by kill -9: with a longer history."""
    stopped_copy(whole, tmp_path / "copy")
    (tmp_path / "copy/metrics.json").write_text('{"batches": 37}')  # of an interruption before
    return tmp_path / "copy"


@pytest.mark.short
def test_a_run_folder_holds_all_there_is_to_know(whole):
    names = {path.name.split(".tfevents")[0] for path in whole.iterdir()}
    saved = {"config.json", "history.csv", "metrics.json", "checkpoints", "early", "lock", "ended"}
    shown = {"loss.png", "memory.png", "model.html", "events.out", "projector", "projector_config.pbtxt"}
    assert names == saved | shown
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == ["51", "60"]
    assert json.loads((whole / "config.json").read_text())["max_batches"] == 60


def test_metrics_say_what_was_reached_and_with_what(whole):
    metrics = json.loads((whole / "metrics.json").read_text())
    assert (metrics["batches"], metrics["seed"], metrics["tensorflow"]) == (60, 0, tf.__version__)


def test_the_history_has_a_row_for_each_batch(whole):
    history = np.genfromtxt(whole / "history.csv", delimiter=",", names=True)
    assert history["batch"].tolist() == list(range(60))
    rise = np.minimum(np.arange(1, 61) / 6, 1)  # in a tenth of the batches
    np.testing.assert_allclose(history["learning_rate"], 0.03 * rise * (1 - np.arange(60) / 60), rtol=1e-4)
    assert history["loss"][-1] == pytest.approx(json.loads((whole / "metrics.json").read_text())["loss"])
    assert np.flatnonzero(~np.isnan(history["validation_exact_match"])).tolist() == list(range(0, 60, 10))


def test_each_run_has_a_folder_and_pictures_of_its_own(tmp_path):
    """Even a run of one batch."""
    for seed in ("1", "2"):
        assert run(["--max-batches", "1", "--seed", seed, "--xla", "off"], tmp_path, settings=QUICK)[0] == 0
    older, newer = sorted((tmp_path / "runs").iterdir())
    assert [json.loads((folder / "config.json").read_text())["seed"] for folder in (older, newer)] == [1, 2]
    assert batches_saved(newer) == 1
    newest = (tmp_path / "plots/loss.png").read_bytes()
    assert newest == (newer / "loss.png").read_bytes() != (older / "loss.png").read_bytes()


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, long(signal.SIGTERM)])
def test_an_interrupted_run_reports_and_goes_on_to_the_same_end(number, whole, tmp_path):
    options = {"settings": QUICK, "before": "tests.in_fork:report_slowly"}
    process = start([*ARGUMENTS, "--batches-in-epoch", "1"], tmp_path, **options)
    assert "batch 20\n" in process.stdout
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (128 + number, "")
    run_folder = only_run(tmp_path)
    kept = json.loads((run_folder / "metrics.json").read_text())["batches"]
    assert 20 < kept < 60
    assert re.search(rf"training interrupted\nloss [\d.]+ after {20 * kept} examples", stdout)
    assert f"\nloss curve in plots/loss.png, the run in runs/{run_folder.name}\n" in stdout
    assert stdout.endswith(f"\nto go on: python seq2seq_copy.py --resume runs/{run_folder.name}\n")
    assert files(tmp_path) == ["plots/loss.png", "plots/memory.png", "plots/model.html"]
    stdout = succeed(["--resume", "--batches-in-epoch", "1000", "--samples", "1"], tmp_path)
    assert stdout.startswith(f"resuming runs/{run_folder.name} after {kept} batches\n\nbatch 59\n")
    assert stdout.count("\n  sample 1:\n") == stdout.count("\nbatch ") == 1
    assert only_run(tmp_path) == run_folder and RunFolder(run_folder).has_ended
    settings = json.loads((run_folder / "config.json").read_text())
    assert settings.pop("batches_in_epoch") == 1
    shutil.copy(whole / "config.json", run_folder)
    assert_same_end(whole, run_folder)


@pytest.mark.short
def test_what_a_killed_run_wrote_after_its_checkpoint_is_taken_back(whole, copy):
    status, stdout, _ = run(["--resume", str(copy)], copy.parent)
    assert status == 0
    assert stdout.endswith(
        f", the run in {copy}\nmemory in plots/memory.png\nlook inside: plots/model.html\n"
    )  # as typed, not relative
    assert_same_end(whole, copy)


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    """A run whose weights are a larger file than its events."""
    folder = tmp_path_factory.mktemp("heavy") / "heavy"
    arguments = "--xla off --max-batches 20 --batch-size 5 --encoder-hidden-units 70 --run-dir heavy"
    assert run(arguments.split(), folder.parent, settings=QUICK)[0] == 0
    return folder


@posix
def test_a_write_that_fails_loses_nothing_older(heavy, tmp_path):
    stopped = tmp_path / "stopped"
    stopped_copy(heavy, stopped)
    before = {path: path.read_bytes() for path in stopped.rglob("checkpoints/*/*")}
    for file, largest_file in (("events.out.tfevents", 300_000), ("model", 700_000)):
        for events in stopped.glob("events.out.*"):
            events.unlink()  # so that it writes the graph
        status, _, stderr = run(["--resume", "stopped"], tmp_path, largest_file=largest_file)
        assert status == 1
        assert re.fullmatch(rf"seq2seq_copy.py: cannot write into 'stopped': .*{file}.*\n", stderr), stderr
        assert {path: path.read_bytes() for path in stopped.rglob("checkpoints/*/*")} == before
    assert run(["--resume", "stopped"], tmp_path)[0] == 0
    assert_same_end(heavy, stopped)


def test_a_run_killed_before_its_first_checkpoint_starts_over(whole, copy):
    shutil.rmtree(copy / "checkpoints")
    header, _ = (copy / "history.csv").read_text().split("\n", 1)
    (copy / "history.csv").write_text(f"{header}\n")
    assert run(["--resume", "copy"], copy.parent)[0] == 0
    assert_same_end(whole, copy)


@pytest.mark.long
def test_a_run_from_elsewhere_writes_its_pictures_into_its_own_folder(copy):
    """Unless --plot is typed: what config.json says is data."""
    (copy / "early/0.npy").write_bytes(b"\x93NUMPY of something else")
    shutil.copy(copy / "early/0.npy", copy / "early/1000.npy")
    there = copy.parent / "elsewhere/loss.png"
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"plot": str(there)}))
    again = shutil.copytree(copy, copy.parent / "again")
    stdout = succeed(["--resume", "copy"], copy.parent)
    assert stdout.endswith(
        "loss curve in copy/loss.png, the run in copy\nmemory in copy/memory.png\nlook inside: copy/model.html\n"
    )
    assert not there.parent.exists() and not (copy.parent / "plots").exists()
    assert run(["--resume", "again", "--plot", "typed/loss.png"], again.parent)[0] == 0
    assert (again.parent / "typed/loss.png").exists() and not there.parent.exists()


@posix
def test_checkpoints_that_are_removed_while_it_trains_end_a_run(tmp_path):
    """Otherwise it would write rows into its history twice."""
    options = {"settings": QUICK, "before": "tests.in_fork:report_slowly"}
    process = start([*ENDLESS, "--batches-in-epoch", "1", "--samples", "0", "--run-dir", "run"], tmp_path, **options)
    checkpoints_of_run, ended = tmp_path / "run/checkpoints", False
    assert "batch 15\n" in process.stdout
    message = "seq2seq_copy.py: 'run' is being trained by another process\n"
    assert run(["--resume", "run"], tmp_path) == (2, "", message)
    while not ended:  # between two checkpoints
        process.send_signal(signal.SIGSTOP)
        if ended := not list(checkpoints_of_run.glob("*.partial")):
            shutil.rmtree(checkpoints_of_run)
        process.send_signal(signal.SIGCONT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr == "seq2seq_copy.py: the newest checkpoint of 'run' was removed while it trained\n"
    history = (tmp_path / "run/history.csv").read_text().splitlines()
    assert len(history) == len(set(history)) > 10


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_no_error(tmp_path):
    tf.reset_default_graph()
    variable = tf.get_variable("variable", [])
    saver, restored = tf.train.Saver(), []

    class ReplacedMeanwhile:
        def restore(self, session, path):
            if not restored:
                (tmp_path / "checkpoints/1").rename(tmp_path / "checkpoints/2")
            restored.append(path)
            saver.restore(session, path)

    with tf.Session() as session:
        session.run(variable.assign(7.0))
        (tmp_path / "checkpoints/1").mkdir(parents=True)
        saver.save(session, str(tmp_path / "checkpoints/1/model"), write_meta_graph=False, write_state=False)
        session.run(variable.assign(0.0))
        RunFolder(tmp_path).restore_final(session, ReplacedMeanwhile())
        assert (len(restored), session.run(variable)) == (2, 7.0)
        assert restored[-1] == str(tmp_path / "checkpoints/2/model")


def test_a_checkpoint_with_other_weights_than_the_script_is_refused(tmp_path):
    """As after an edit that adds a layer, and after taking it back. Variables of the training step are no weights."""
    checkpoint = Checkpoint(tmp_path / "run/checkpoints/1")
    checkpoint.path.mkdir(parents=True)

    def with_variables(*names):
        for name in names:
            tf.get_variable(name, [])
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        return session, tf.train.Saver()

    with tf.Graph().as_default():
        checkpoint.save(*with_variables("decoder/weights", "decoder/hidden", "decoder/mean"))
    generator, history = np.random.default_rng(0), types.SimpleNamespace(state={})
    checkpoint.write_state(generator, history, Settings(), ["decoder/weights", "decoder/hidden"])
    with tf.Graph().as_default():
        checkpoint.restore(*with_variables("decoder/weights", "decoder/hidden"))
    for names, said in (
        (["decoder/weights"], "decoder/hidden is only in the checkpoint; was the script edited since?"),
        (["decoder/weights", "decoder/hidden", "decoder/more"], "decoder/more is not in the checkpoint; was"),
    ):
        with tf.Graph().as_default():
            session, saver = with_variables(*names)
            with pytest.raises(UserError, match=said):
                checkpoint.restore(session, saver)
            with pytest.raises(UserError, match=said):
                checkpoint.load_weights(session, (3, 3))
