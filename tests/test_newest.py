"""The newest run: the one in runs/ whose config.json is newest. No link leads to it."""

import json
import os
import shutil

import pytest

from support.terminal.command import read_command
from tests.running import refusal


@pytest.fixture
def two_runs(stopped, tmp_path):
    """A folder with two stopped runs and what is none: the one with seed 7 started last, the other was saved last."""
    older, newer = (shutil.copytree(stopped, tmp_path / f"runs/{name}") for name in ("b-older", "a-newer"))
    settings = json.loads((newer / "config.json").read_text()) | {"seed": 7}
    (newer / "config.json").write_text(json.dumps(settings))
    os.utime(older / "config.json", (3600, 3600))
    os.utime(newer / "config.json", (3601, 3601))
    (older / "history.csv").touch()
    (tmp_path / "runs/z/checkpoints").mkdir(parents=True)  # killed while the folder was made
    (tmp_path / "runs/config.json").touch()
    (tmp_path / "runs/file").touch()
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
    for name in ("a-newer", "b-older"):
        shutil.rmtree(two_runs / "runs" / name)
    assert "there is no run in 'runs'" in refusal(["--resume"], capsys)


def test_what_answers_is_said_where_it_is_not_what_it_seems(two_runs, monkeypatch, caplog):
    """The newest run was stopped, or the script has changed since. A run that was named needs no such line."""
    monkeypatch.chdir(two_runs)
    read_command(["--predict", "3"])
    stopped = "the newest run, 'runs/a-newer', has made only 11 of 21 batches"
    assert caplog.messages == [stopped]
    caplog.clear()
    read_command(["--predict", "3", "--run-dir", "runs/a-newer"])
    assert not caplog.messages
    path = two_runs / "runs/a-newer/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"script_sha256": "0f"}))
    for arguments in ("--predict 3", "--export new", "--resume", "--start-from runs/a-newer"):
        read_command(arguments.split())
    edited = "the script has changed since 'runs/a-newer' began; the changed script uses its weights"
    assert caplog.messages == [edited, stopped, edited, stopped, edited, edited]
