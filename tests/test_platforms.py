"""Differences between systems and file systems. Without Windows at hand, tests/like_windows imitates it."""

import errno
import itertools
import logging
import os
import re
import stat
from pathlib import PureWindowsPath

import pytest

from support.errors import UserError
from support.run import run_folder, whole_files
from support.run.run_folder import RunFolder
from support.settings import Settings
from tests.running import ROOT, SHORT, only_run, start_process, succeed

LIKE_WINDOWS = {
    "PYTHONPATH": str(ROOT / "tests/like_windows"),
    "PYTHONWARNINGS": "ignore",  # filelock warns that there is no fcntl
    "PYTHONIOENCODING": "cp1252",
}
DIGITS = {"eins": "1", "zwei": "2", "ő": "9"}
PAIRS = "".join(
    f"{' '.join(words)}\t{' '.join(DIGITS[word] for word in words)}\r\n"
    for words in [*itertools.product(DIGITS, repeat=2), *itertools.product(DIGITS, repeat=3)]
)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="is about what other systems lack")
def test_a_run_like_on_windows_is_killed_resumed_and_asked(tmp_path):
    """Without fcntl and opened folders; there, SIGTERM ends a process like SIGKILL here."""
    (tmp_path / "pairs.tsv").write_bytes(PAIRS.encode())
    environment = os.environ | LIKE_WINDOWS
    arguments = [*SHORT, "--data", "pairs.tsv", "--plain", "--max-batches", "250", "--batches-in-epoch", "1"]
    process = start_process(arguments, tmp_path, env=environment)
    assert "batch 120\n" in process.stdout
    process.kill()
    process.wait()
    name = only_run(tmp_path).name
    stdout = succeed(["--resume", "--batches-in-epoch", "1000"], tmp_path, start=start_process, env=environment)
    assert re.search(rf"resuming runs/{name} after [12]01 batches\n", stdout)
    stdout = succeed(["--predict", "ő ő"], tmp_path, start=start_process, env=environment)
    assert stdout.startswith("input     > [\\u0151 \\u0151]\n")
    for path in tmp_path.rglob("*"):
        assert_valid_on_windows(path.name)


def assert_valid_on_windows(name):
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f]|[. ]$', name), name
    assert not PureWindowsPath(name).is_reserved(), name


def test_what_a_file_system_cannot_do_is_left_out(tmp_path, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "fsync", refuse)
    whole_files.write_whole(tmp_path / "file", b"text")
    monkeypatch.setattr(run_folder.filelock.FileLock, "acquire", refuse)
    with caplog.at_level(logging.WARNING):
        folder = RunFolder.create(tmp_path / "run", Settings())
    assert "cannot lock" in caplog.messages[0]
    assert {path.name for path in folder.path.iterdir()} >= {"config.json"}


def test_one_process_gets_a_new_folder(tmp_path):
    first = RunFolder.create(tmp_path / "run", Settings())
    (tmp_path / "run/config.json").unlink()  # like an editor that writes a new file in its place
    with pytest.raises(UserError, match="is being trained by another process"):
        RunFolder.create(tmp_path / "run", Settings())
    first.held.release()
    RunFolder.create(tmp_path / "run", Settings()).held.release()


def test_a_file_is_written_through_a_link_and_left_overs_are_removed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.png").symlink_to("there/picture.png")
    for age, name in ((0, "1"), (7200, "2")):
        left_over = tmp_path / f"there/{whole_files.PARTIAL}{name}.partial"
        left_over.touch()
        os.utime(left_over, (left_over.stat().st_mtime - age,) * 2)
    whole_files.check_writable(tmp_path / "link.png")
    whole_files.write_whole(whole_files.behind_link(tmp_path / "link.png"), b"new")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "there/picture.png").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "there").glob(".*")] == [f"{whole_files.PARTIAL}1.partial"]


@pytest.mark.skipif(os.name == "nt", reason="needs links, and the modes of Unix")
def test_no_link_is_followed_where_the_user_typed_no_path(tmp_path):
    """Neither a link with the file's name, nor one with the temporary name that was once used."""
    (tmp_path / "other").write_bytes(b"of another")
    for name in ("file", f"{whole_files.PARTIAL}{os.getpid()}.partial"):
        (tmp_path / name).symlink_to("other")
    earlier = os.umask(0o027)
    try:
        whole_files.write_whole(tmp_path / "file", b"new")
    finally:
        os.umask(earlier)
    assert (tmp_path / "other").read_bytes() == b"of another"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert stat.S_IFMT((tmp_path / "file").lstat().st_mode) == stat.S_IFREG
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_what_has_the_name_that_is_written_first_is_not_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_files.secrets, "token_hex", lambda _: "guessed")
    (tmp_path / "other").write_bytes(b"of another")
    (tmp_path / f"{whole_files.PARTIAL}guessed.partial").hardlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="File exists"):
        whole_files.write_whole(tmp_path / "file", b"new")
    assert not (tmp_path / "file").exists()
    assert (tmp_path / "other").read_bytes() == b"of another"
