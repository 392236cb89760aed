"""The folder of a run: config.json, history.csv, events, pictures, metrics.json and checkpoints/ (see docs/using.md).

Each checkpoint is written under a temporary name, flushed, then renamed. So whenever and however a run is stopped, a
folder below checkpoints/ whose name is a number is whole. The last two stay.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import logging
import os
import shutil
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import filelock

import helpers
import seq2seq_copy
from support import outside, settings
from support.errors import UserError, as_user_error, reason
from support.run.checkpoints import Checkpoint
from support.run.whole_files import NOT_SUPPORTED, PARTIAL, check_writable, flush, flush_all, write_json, write_whole

RUNS = Path("runs")
LOCK = "lock"
SCRIPT = "script_sha256"  # in config.json
BEST = "best"  # the name of a checkpoint
MOST_CHECKPOINTS = 2
ENDED = "ended"  # an empty file, the last one that a run saves

log = logging.getLogger(__name__)


@dataclass
class RunFolder:
    """The folder of a run, by its path."""

    path: Path
    held: filelock.FileLock | None = field(default=None, compare=False)  # while it is, no other process trains the run

    @classmethod
    def create(cls, path, config):
        """Makes the folder of a new run, locks it, and writes its settings into it.

        Args:
          path: pathlib.Path of the folder, new or empty; None for a new one in runs/, named after the time.
          config: a settings.Settings.

        Raises:
          UserError: the folder is not empty, or another process has just made it.
          OSError: it cannot be made or written.
        """
        path = new_path() if path is None else path
        path.mkdir(parents=True, exist_ok=True)
        flush(path.parent)
        folder = cls(path)
        folder.lock()
        check_empty(path)
        write_json(path / "config.json", config.to_json() | {SCRIPT: AT_START})
        return folder

    @classmethod
    def newest(cls):
        """Returns the run in runs/ that was begun last; None if there is none."""
        begun = max(RUNS.glob("*/config.json"), key=lambda path: path.stat().st_mtime_ns, default=None)
        return begun and cls(begun.parent)

    def lock(self):
        """Keeps other processes from training the run, which is then safe to read, until this one ends.

        If the file system has no locks, a warning says so.

        Raises:
          UserError: another process trains the run.
          OSError: the lock cannot be written.
        """
        path = self.path / LOCK
        self.held = filelock.FileLock(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # where there are no locks, filelock checks whether the file exists
                self.held.acquire(timeout=0)
        except filelock.Timeout:
            raise UserError(f"{str(self.path)!r} is being trained by another process") from None
        except OSError as error:
            if error.errno not in NOT_SUPPORTED:
                raise OSError(f"cannot write {str(path)!r}: {reason(error)}") from error
            advice = "make sure that no other process is training this run"
            log.warning("cannot lock %r: %s; %s", str(path), error.strerror, advice)

    def read_settings(self):
        """Returns the settings.Settings of the run.

        Raises:
          UserError: the folder holds no run, or something besides files and folders; or the names of the symbols are
            not those of the newest checkpoint.
        """
        path = self.path / "config.json"
        with as_user_error(f"{str(self.path)!r} holds no run: config.json", ValueError):
            values = outside.read_json(path)
        check_own(self.path)
        with as_user_error(f"{str(path)!r} does not hold the settings of a run", ValueError):
            config = settings.from_json(values)
        for newest in self.checkpoints()[-1:]:
            newest.check_names(config)
        return config

    def warn_of_an_edit(self):
        """Says if the script is not the one that began the run: another model may then use the same weights."""
        began = outside.read_json(self.path / "config.json").get(SCRIPT)  # older runs have none
        if None not in (began, AT_START) and began != AT_START:
            log.warning("the script has changed since %r began; the changed script uses its weights", str(self.path))

    @property
    def has_ended(self):
        """Whether the run has saved all its files, as it does at its end and when it is stopped."""
        return (self.path / ENDED).is_file()

    def mark_ended(self):
        """Makes has_ended true. Raises OSError if that cannot be written."""
        write_whole(self.path / ENDED, b"")

    def checkpoints(self):
        """Returns the whole checkpoints, the oldest first, by the number of batches before each.

        Raises:
          UserError: they cannot be read.
        """
        path = self.path / "checkpoints"
        names = []
        with as_user_error(f"cannot read {str(path)!r}"), contextlib.suppress(FileNotFoundError):
            names = [name for name in os.listdir(path) if name.isdecimal() and name == str(int(name))]
        names.sort(key=int)
        return [Checkpoint(path / name, before) for name, before in zip(names, [None, *names])]

    def checkpoints_to_resume(self):
        """Does the same as checkpoints(). A run that was killed before its first one has no history.

        Raises:
          UserError: they are gone. Training from the start would destroy the history and the figures of the run.
        """
        found, path = self.checkpoints(), self.path / "history.csv"
        if not found and path.exists() and len(path.read_bytes().splitlines()) > 1:
            raise UserError(f"{str(self.path)!r} has a history but no checkpoint to go on from")
        return found

    def final_checkpoint(self):
        """Returns the checkpoint with the best evaluation, with --keep best, else the newest.

        Raises:
          UserError: there is no checkpoint.
        """
        found, best = self.checkpoints(), self.path / "checkpoints" / BEST
        if not found:
            raise UserError(f"{str(self.path)!r} holds no checkpoint")
        return Checkpoint(best, found[-1].path.name) if best.is_dir() else found[-1]

    def restore_final(self, session, saver):
        """Sets all variables to the final weights. Arguments and errors as for Checkpoint.restore()."""
        checkpoint = self.final_checkpoint()
        try:
            checkpoint.restore(session, saver)
        except UserError:
            if self.final_checkpoint().path == checkpoint.path:
                raise
            self.restore_final(session, saver)  # a process that trains the run has replaced it meanwhile

    @contextlib.contextmanager
    def new_checkpoint(self, batches, after, is_best):
        """Yields a Checkpoint to write, and makes it the newest one unless something is raised.

        Args:
          batches: int, the batches before it.
          after: int, the batches before the newest checkpoint until now; None if there is none.
          is_best: bool, whether a copy replaces the best one.

        Raises:
          UserError: the newest checkpoint is another one. No run could resume from the new one.
        """
        folder, earlier = self.path / "checkpoints", self.checkpoints()
        if after != (earlier[-1].batches if earlier else None):
            raise UserError(f"the newest checkpoint of {str(self.path)!r} was removed while it trained", status=1)
        for left_over in folder.glob("*.partial"):
            shutil.rmtree(left_over)
        partial = folder / f"{batches}.partial"
        partial.mkdir(parents=True)
        try:
            yield Checkpoint(partial)
            if is_best:
                copy_to_best(partial)
            flush_all(partial)
            partial.rename(folder / str(batches))
            flush(folder)
            flush(self.path)
        except BaseException:
            for left_over in folder.glob("*.partial"):
                shutil.rmtree(left_over, ignore_errors=True)
            raise
        for old in earlier[: 1 - MOST_CHECKPOINTS]:
            shutil.rmtree(old.path.rename(old.path.with_suffix(".partial")))


def copy_to_best(checkpoint):
    """Copies the folder of a checkpoint to where final_checkpoint() finds it, in place of an earlier one."""
    best = checkpoint.parent / BEST
    partial, old = best.with_suffix(".partial"), best.with_name("old.partial")
    partial.mkdir()
    for file in checkpoint.iterdir():  # shutil.copytree() would put what fails into a list
        shutil.copyfile(file, partial / file.name)
    flush_all(partial)
    if best.exists():
        best.rename(old)
    partial.rename(best)
    shutil.rmtree(old, ignore_errors=True)


def script_sha256():
    """Returns a digest of what the script and helpers.py hold; None where they cannot be read, as in an archive."""
    with contextlib.suppress(OSError):
        contents = b"".join(Path(module.__file__).read_bytes() for module in (seq2seq_copy, helpers))
        return hashlib.sha256(contents.replace(b"\r\n", b"\n")).hexdigest()
    return None


AT_START = script_sha256()  # an edit while this process runs is not what it computes


def new_path():
    """Makes a folder in runs/ that is named after the time, and returns it."""
    RUNS.mkdir(exist_ok=True)
    now = f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for name in itertools.chain([now], (f"{now}-{number}" for number in itertools.count(2))):
        with contextlib.suppress(FileExistsError):
            (RUNS / name).mkdir()
            return RUNS / name


def check_new(path):
    """Raises UserError if a new run cannot have the folder path (None: one in runs/): not empty, or not writable."""
    with as_user_error(f"cannot write in {str(path or RUNS)!r}"):
        if path is None:
            path = RUNS
        elif os.path.abspath(path) == os.path.abspath(RUNS):
            raise UserError(f"{str(path)!r} holds all runs; choose a folder inside it")
        elif path.exists():
            check_empty(path)
        check_writable(path / "config.json")
    if path.exists() and path != RUNS:
        check_own(path)


def check_empty(path):
    """Raises UserError if a folder holds more than a run leaves that is killed while it makes its folder."""
    if not all(file.name == LOCK or file.name.startswith(PARTIAL) for file in path.iterdir()):
        raise UserError(f"{str(path)!r} is not empty; use --resume to continue a run")


def check_own(path):
    """Raises UserError if there is a link in the folder of a run: its target would be read or overwritten."""
    folders = [path]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except FileNotFoundError:  # a process that trains the run has removed it meanwhile
            continue
        except OSError as error:
            raise UserError(f"cannot read {str(error.filename)!r}: {error.strerror}") from None
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif not entry.is_file(follow_symlinks=False) and os.path.lexists(entry):
                raise UserError(f"{entry.path!r} is a link, a pipe or a device; a run holds only files and folders")
