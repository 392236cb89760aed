"""Where systems and file systems differ. No Windows is at hand: tests/like_windows has what differs there."""

import errno
import logging
import os
import re
import signal
from pathlib import Path, PureWindowsPath

import pytest
from running import ROOT, SHORT, run, start
from support.terminal.settings import Config

from support.run import files, folder, platforms

LIKE_WINDOWS = {
    "PYTHONPATH": str(ROOT / "tests/like_windows"),
    "PYTHONWARNINGS": "ignore",  # filelock warns that there is no fcntl
    "PYTHONIOENCODING": "cp1252",
}
PAIRS = "eins zwei\t1 2\r\nzwei eins\t2 1\r\nő eins\t9 1\r\nzwei ő\t2 9\r\nő ő\t9 9\r\n" * 3


@pytest.mark.skipif(os.name == "nt", reason="is about what other systems lack")
def test_a_run_like_on_windows_is_killed_resumed_and_asked(tmp_path):
    """Without fcntl, links and opened folders; SIGTERM there ends a process as SIGKILL does here."""
    (tmp_path / "pairs.tsv").write_bytes(PAIRS.encode())
    environment = os.environ | LIKE_WINDOWS
    arguments = [*SHORT, "--data", "pairs.tsv", "--max-batches", "250", "--batches-in-epoch", "1", "--samples", "0"]
    process = start(arguments, tmp_path, env=environment)
    for line in process.stdout:
        if line == "batch 120\n":
            process.kill()
    process.wait()
    newest = tmp_path / "runs/latest"
    assert newest.is_file()
    name = newest.read_text().strip()
    status, stdout, stderr = run(["--resume", "--batches-in-epoch", "1000"], tmp_path, env=environment)
    assert (status, stderr) == (0, "")
    assert re.search(rf"resuming runs/{name} after [12]01 batches\n", stdout)
    status, stdout, stderr = run(["--predict", "ő ő", "--run-dir", "runs/latest"], tmp_path, env=environment)
    assert (status, stderr) == (0, "")
    assert stdout.startswith("input     > [\\u0151 \\u0151]\n")
    for path in tmp_path.rglob("*"):
        assert_valid_on_windows(path.name)


def assert_valid_on_windows(name):
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]|[. ]$', name), name
    assert not PureWindowsPath(name).is_reserved(), name


def test_a_file_stands_in_for_a_link(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EPERM, "a privilege is not held")

    link, partial = tmp_path / "runs/latest", tmp_path / "runs/partial"
    for name in ("runs/one", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    platforms.point(link, tmp_path / "runs/one", partial)
    assert link.is_symlink()
    monkeypatch.setattr(os, "symlink", refuse)
    platforms.point(link, tmp_path / "elsewhere", partial)
    assert link.is_file()
    assert platforms.follow(link).resolve() == tmp_path / "elsewhere"
    monkeypatch.undo()
    platforms.point(link, tmp_path / "runs/one", partial)
    assert (link.resolve(), platforms.follow(link)) == (tmp_path / "runs/one", link)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["latest", "one"]


def test_a_link_that_cannot_be_replaced_is_made_again(tmp_path, monkeypatch):
    """Windows replaces no link to a folder."""
    real = Path.replace

    def replace(self, target):
        if target.is_symlink():
            raise PermissionError(errno.EACCES, "Access is denied")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        platforms.point(tmp_path / "latest", tmp_path / name, tmp_path / "partial")
    assert (tmp_path / "latest").resolve() == tmp_path / "two"


@pytest.mark.parametrize("where", ["runs", "runs/latest/run"])
def test_without_runs_latest_a_run_goes_on(where, tmp_path, monkeypatch, caplog):
    """A read-only working folder, or a folder in place of the link, is no reason to fail."""
    monkeypatch.chdir(tmp_path)
    Path(where).parent.mkdir(parents=True, exist_ok=True)
    Path(where).touch()
    with caplog.at_level(logging.WARNING):
        folder.point_latest_to(Path("run"))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("'runs/latest' does not lead to 'run': ")
    assert Path(where).is_file()
    folder.check_new(Path("run"))


def test_what_a_file_system_cannot_do_is_left_out(tmp_path, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "fsync", refuse)
    files.write_whole(tmp_path / "file", b"text")
    monkeypatch.setattr(platforms.filelock.FileLock, "acquire", refuse)
    with caplog.at_level(logging.WARNING):
        run_folder, _ = folder.create(tmp_path / "run", Config())
    assert "cannot lock" in caplog.messages[0]
    assert {path.name for path in run_folder.iterdir()} >= {"config.json"}


def test_one_process_gets_a_new_folder(tmp_path):
    run_folder, lock = folder.create(tmp_path / "run", Config())
    (tmp_path / "run/config.json").unlink()  # as an editor does that writes another file in its place
    with pytest.raises(folder.RunError, match="is being trained by another process"):
        folder.create(run_folder, Config())
    lock.release()
    folder.create(run_folder, Config())[1].release()


def test_a_file_is_written_through_a_link_and_left_overs_are_removed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.png").symlink_to("there/picture.png")
    for age, name in ((0, "1"), (7200, "2")):
        left_over = tmp_path / f"there/{files.PARTIAL}{name}.partial"
        left_over.touch()
        os.utime(left_over, (left_over.stat().st_mtime - age,) * 2)
    files.check_writable(tmp_path / "link.png")
    files.write_whole(tmp_path / "link.png", b"new")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "there/picture.png").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "there").glob(".*")] == [f"{files.PARTIAL}1.partial"]


def test_the_signals_exist_here():
    assert signal.SIGINT in platforms.SIGNALS
    assert (platforms.HANGUP in platforms.SIGNALS) == hasattr(signal, "SIGHUP")
