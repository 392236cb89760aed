"""The folder of a run: config.json, history.csv, events, pictures, metrics.json and checkpoints/ (see docs/using.md).

Each checkpoint is written under a temporary name, flushed, then renamed. So whenever and however a run is stopped, a
folder below checkpoints/ whose name is a number is whole. The last two are kept.
"""

import contextlib
import datetime
import itertools
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from support import outside
from support.errors import UserError, reason
from support.run import files, platforms

RUNS = Path("runs")
LOCK = "lock"
BEST = "best"  # the name of a checkpoint
KEPT_CHECKPOINTS = 2
SAVED_LAST = ("metrics.json", "loss.png")  # in this order; a run without them has not finished saving


def create(path, config):
    """Makes the folder of a new run and writes its settings into it.

    Args:
      path: pathlib.Path of the folder, new or empty; None for a new one in runs/, named after the time.
      config: a settings.Settings.

    Returns:
      path: the folder's pathlib.Path.
      lock: while it is kept, no other process can train the run.

    Raises:
      UserError: the folder is not empty, or another process has just made it.
      OSError: it cannot be made or written.
    """
    path = _new_path() if path is None else path
    path.mkdir(parents=True, exist_ok=True)
    platforms.flush(path.parent)
    lock = reopen(path)
    check_new(path)
    write_json(path / "config.json", plain(asdict(config)))
    return path, lock


def _new_path():
    """Makes a folder in runs/ that is named after the time, and returns it."""
    RUNS.mkdir(exist_ok=True)
    now = f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for name in itertools.chain([now], (f"{now}-{number}" for number in itertools.count(2))):
        with contextlib.suppress(FileExistsError):
            (RUNS / name).mkdir()
            return RUNS / name


def reopen(run):
    """Keeps other processes from training a run, which is then safe to read; returns the lock.

    Raises:
      UserError: another process trains the run.
      OSError: the lock cannot be written.
    """
    try:
        return platforms.lock(run / LOCK)
    except BlockingIOError:
        raise UserError(f"{str(run)!r} is being trained by another process") from None
    except OSError as error:
        raise OSError(f"cannot write {str(run / LOCK)!r}: {reason(error)}") from error


def newest():
    """Returns the run in runs/ that was begun last, a pathlib.Path; None if there is none."""
    begun = [path.parent for path in RUNS.glob("*/config.json")]
    return max(begun, key=lambda run: (run / "config.json").stat().st_mtime_ns, default=None)


def has_ended(run):
    """Returns whether a run has saved its figures and pictures, as it does at its end and when it is stopped."""
    return all((run / name).exists() for name in SAVED_LAST)


def check_restorable(run):
    """Raises UserError if the checkpoints of a run are gone. A run that was killed before its first one has no history.

    Training it from the start would destroy its history and its figures.
    """
    path = run / "history.csv"
    if not checkpoints(run) and path.exists() and len(path.read_bytes().splitlines()) > 1:
        raise UserError(f"{str(run)!r} has a history but no checkpoint to go on from")


def check_new(path):
    """Raises UserError if the folder of a new run cannot be path: it is not empty, or cannot be written.

    Args:
      path: pathlib.Path of the folder; None for a new one in runs/.
    """
    try:
        if path is None:
            path = RUNS
        elif os.path.abspath(path) == os.path.abspath(RUNS):
            raise UserError(f"{str(path)!r} holds all runs; choose a folder inside it")
        elif path.exists() and not all(_is_left_over(file) for file in path.iterdir()):
            raise UserError(f"{str(path)!r} is not empty; use --resume to continue a run")
        files.check_writable(path / "config.json")
    except OSError as error:
        raise UserError(f"cannot write in {str(path)!r}: {error.strerror}") from None
    if path.exists() and path != RUNS:
        check_own(path)


def _is_left_over(file):
    """Returns whether a file was left by a run that was killed while it made its folder."""
    return file.name == LOCK or file.name.startswith(files.PARTIAL)


def read_settings(run):
    """Returns the settings of a run as config.json holds them.

    Raises:
      UserError: the folder holds no run, or something besides files and folders.
    """
    try:
        settings = outside.read_json(run / "config.json")
    except (OSError, ValueError) as error:
        raise UserError(f"{str(run)!r} holds no run: config.json: {reason(error)}") from None
    check_own(run)
    return settings


def check_own(run):
    """Raises UserError if there is a link in the folder of a run: its target would be read or overwritten."""
    folders = [run]
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


def newest_checkpoint(run):
    """Returns the newest whole checkpoint of a run, a pathlib.Path whose name is its number of batches.

    Raises:
      UserError: there is none.
    """
    folders = checkpoints(run)
    if not folders:
        raise UserError(f"{str(run)!r} holds no checkpoint")
    return folders[-1]


def checkpoints(run):
    """Returns the whole checkpoints of a run, the oldest first. Raises UserError if they cannot be read."""
    path = run / "checkpoints"
    try:
        names = [name for name in os.listdir(path) if name.isdecimal() and name == str(int(name))]
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise UserError(f"cannot read {str(path)!r}: {error.strerror}") from None
    return [path / name for name in sorted(names, key=int)]


def best_checkpoint(run):
    """Returns the checkpoint with the best evaluation of a run, a pathlib.Path; None if the run keeps none."""
    path = run / "checkpoints" / BEST
    return path if path.is_dir() else None


def keep_best(checkpoint):
    """Copies a checkpoint that is being written to where best_checkpoint() finds it, in place of an earlier one."""
    best = checkpoint.parent / BEST
    partial = best.with_suffix(".partial")
    shutil.copytree(checkpoint, partial)
    for path in [*partial.iterdir(), partial]:
        platforms.flush(path)
    if best.exists():
        shutil.rmtree(best.rename(best.with_name("old.partial")))
    partial.rename(best)


def batches_kept(run):
    """Returns the number of batches before the newest checkpoint of a run, or None if there is none."""
    folders = checkpoints(run)
    return int(folders[-1].name) if folders else None


@contextlib.contextmanager
def new_checkpoint(run, batches):
    """Yields a folder to write a checkpoint into, and makes it the newest one unless something is raised."""
    for left_over in (run / "checkpoints").glob("*.partial"):
        shutil.rmtree(left_over)
    partial = run / "checkpoints" / f"{batches}.partial"
    partial.mkdir(parents=True)
    try:
        yield partial
        for path in [*partial.iterdir(), partial]:
            platforms.flush(path)
        partial.rename(partial.with_suffix(""))
        platforms.flush(partial.parent)
        platforms.flush(run)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in checkpoints(run)[:-KEPT_CHECKPOINTS]:
        shutil.rmtree(old.rename(old.with_suffix(".partial")))


def write_json(path, value):
    """Writes a JSON file, whole or not at all."""
    files.write_whole(path, f"{json.dumps(value, indent=2)}\n".encode())


def plain(settings):
    """Returns a dict of settings in the types of JSON."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
