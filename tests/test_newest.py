"""The newest run: the one in runs/ whose config.json is newest. No link leads to it."""

import json
import os
import shutil

import pytest

from support.run.run_folder import RUNS, RunFolder
from tests.running import refusal


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Returns a function that makes a run some seconds after the start of an hour, and returns its path in runs/."""
    monkeypatch.chdir(tmp_path)

    def begin(name, second):
        (RUNS / name).mkdir(parents=True)
        (RUNS / name / "config.json").touch()
        os.utime(RUNS / name / "config.json", (3600 + second,) * 2)
        return RUNS / name

    return begin


def test_the_run_that_was_begun_last_is_the_newest(begin):
    assert RunFolder.newest() is None
    first = begin("z", 1)
    assert RunFolder.newest() == RunFolder(first)
    second = begin("a", 2)
    begin("m", 1.5)
    assert RunFolder.newest() == RunFolder(second)
    (first / "history.csv").touch()  # an older run that continues training stays the older one
    assert RunFolder.newest() == RunFolder(second)


def test_what_is_no_run_is_not_the_newest(begin):
    run_folder = begin("a", 1)
    (RUNS / "b/checkpoints").mkdir(parents=True)  # killed while the folder was made
    (RUNS / "config.json").touch()
    (RUNS / "c").touch()
    assert RunFolder.newest() == RunFolder(run_folder)
    shutil.rmtree(run_folder)
    assert RunFolder.newest() is None


@pytest.fixture
def two_runs(stopped, tmp_path):
    """A folder with two stopped runs: the one with seed 7 started last, the other one was saved last."""
    older, newer = (shutil.copytree(stopped, tmp_path / f"runs/{name}") for name in ("b-older", "a-newer"))
    settings = json.loads((newer / "config.json").read_text()) | {"seed": 7}
    (newer / "config.json").write_text(json.dumps(settings))
    os.utime(older / "config.json", (3600, 3600))
    (older / "history.csv").touch()
    return tmp_path


def test_resume_predict_and_export_take_the_newest_run(two_runs, monkeypatch, capsys):
    monkeypatch.chdir(two_runs)
    message = "seq2seq_copy.py: --resume: in this run --seed is 7, not 9 (see --help)\n"
    assert refusal(["--resume", "--seed", "9"], capsys) == message
    (two_runs / "runs/a-newer/checkpoints").rename(two_runs / "checkpoints")
    for arguments in ("--predict 3", "--export new"):
        message = "seq2seq_copy.py: --run-dir: 'runs/a-newer' holds no checkpoint; --run-dir names another run"
        assert refusal(arguments.split(), capsys) == f"{message} (see --help)\n"
    (two_runs / "runs/a-newer/config.json").write_text("broken")
    for arguments, flag in (("--predict 3", "--run-dir"), ("--export new", "--run-dir"), ("--resume", "--resume")):
        stderr = refusal(arguments.split(), capsys)
        assert stderr.count("\n") == 1
        assert stderr.startswith(f"seq2seq_copy.py: {flag}: 'runs/a-newer' holds no run: config.json: ")
        assert stderr.endswith(f"; {flag} names another run (see --help)\n")
