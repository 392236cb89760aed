"""The folder of a run: config.json, history.csv, events, pictures, metrics.json and checkpoints/ (see docs/using.md).

Each checkpoint is written under a temporary name, flushed, then renamed. So whenever a run is stopped, and however, a
folder below checkpoints/ whose name is a number is whole. The last two are kept.
"""

import contextlib
import datetime
import errno
import fcntl
import itertools
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

RUNS = Path("runs")
LATEST = RUNS / "latest"
KEPT_CHECKPOINTS = 2


class RunError(Exception):
    """A folder cannot be used as a run. The message is one line for the user."""


def create(path, config):
    """Makes the folder of a new run and writes its settings into it.

    Args:
      path: pathlib.Path of the folder, new or empty; None for a new one in runs/, named after the time.
      config: a settings.Config.

    Returns:
      The folder's pathlib.Path.

    Raises:
      RunError: the folder is not empty.
      OSError: it cannot be made or written.
    """
    if path is None:
        now = f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
        names = itertools.chain([now], (f"{now}-{number}" for number in itertools.count(2)))
        path = next(RUNS / name for name in names if not (RUNS / name).exists())
    check_new(path)
    path.mkdir(parents=True, exist_ok=True)
    flush(path.parent)
    write_json(path / "config.json", {name: _plain(value) for name, value in asdict(config).items()})
    _lock(path)
    _point_latest_to(path)
    return path


def reopen(run):
    """Keeps other processes from training a stopped run, which is then safe to read; returns its folder.

    Raises:
      RunError: another process trains the run.
    """
    _lock(run)
    return run


def check_restorable(run):
    """Raises RunError if the checkpoints of a run are gone. A run that was killed before its first one has no history.

    Training it from the start would destroy its history and its figures.
    """
    path = run / "history.csv"
    if not checkpoints(run) and path.exists() and len(path.read_bytes().splitlines()) > 1:
        raise RunError(f"{str(run)!r} has a history but no checkpoint to go on from")


def check_new(path):
    """Raises RunError if the folder of a new run cannot be path: it is not empty, or cannot be written."""
    try:
        # A run that is killed while it makes its folder may leave this one file.
        if path.exists() and {file.name for file in path.iterdir()} - {"config.json.partial"}:
            raise RunError(f"{str(path)!r} is not empty; --resume goes on with a run")
        check_writable(path / "config.json")
    except OSError as error:
        raise RunError(f"cannot write in {str(path)!r}: {error.strerror}") from None


def check_absent(path):
    """Raises OSError if no folder can be made at path: something is there, or it cannot be written."""
    if os.path.lexists(path) or os.path.exists(os.path.realpath(path)):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    check_writable(Path(os.path.realpath(path)))


def check_writable(path):
    """Raises OSError if no file could be written at path, with the folders that it needs. Makes none."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    with contextlib.suppress(FileNotFoundError):
        (existing / path.name).stat()  # raises for a name that is too long
    tempfile.TemporaryFile(dir=existing).close()


def _lock(run):
    """Keeps other processes from training a run until this one ends, however it ends."""
    descriptor = os.open(run / "config.json", os.O_RDONLY)  # open, and so locked, until the process ends
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(f"{str(run)!r} is being trained by another process") from None


def _point_latest_to(run):
    """Makes runs/latest a link to a run, in one step."""
    RUNS.mkdir(exist_ok=True)
    link = RUNS / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(run.resolve(), RUNS.resolve()))
    link.replace(LATEST)
    flush(RUNS)


def read_settings(run):
    """Returns the settings of a run as config.json holds them. Raises RunError if the folder holds no run."""
    try:
        return json.loads((run / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{str(run)!r} holds no run: config.json: {reason(error)}") from None


def newest_checkpoint(run):
    """Returns the newest whole checkpoint of a run, a pathlib.Path whose name is its number of batches.

    Raises:
      RunError: there is none.
    """
    folders = checkpoints(run)
    if not folders:
        raise RunError(f"{str(run)!r} holds no checkpoint")
    return folders[-1]


def checkpoints(run):
    """Returns the whole checkpoints of a run, the oldest first. Raises RunError if they cannot be read."""
    path = run / "checkpoints"
    try:
        names = [name for name in os.listdir(path) if name.isdecimal()]
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise RunError(f"cannot read {str(path)!r}: {error.strerror}") from None
    return [path / name for name in sorted(names, key=int)]


def batches_kept(run):
    """Returns after how many batches the newest checkpoint of a run was written, or None if there is none."""
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
            flush(path)
        partial.rename(partial.with_suffix(""))
        flush(partial.parent)
        flush(run)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in checkpoints(run)[:-KEPT_CHECKPOINTS]:
        shutil.rmtree(old.rename(old.with_suffix(".partial")))


@contextlib.contextmanager
def new_folder(path):
    """Yields a folder to write into. It becomes path, with the folders above that do not exist yet, in one step.

    If something is raised, nothing is left.
    """
    path = Path(os.path.realpath(path))
    highest = next(folder for folder in reversed([path, *path.parents]) if not folder.exists())
    above = highest.parent
    with tempfile.TemporaryDirectory(".partial", ".", above, ignore_cleanup_errors=True) as temporary:
        partial = Path(temporary) / path.relative_to(above)
        partial.mkdir(parents=True)
        yield partial
        for written in Path(temporary).rglob("*"):
            flush(written)
        (Path(temporary) / highest.name).rename(highest)
        flush(above)


def write_json(path, value):
    """Writes a JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path, text):
    """Writes a file in UTF-8, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        flush(partial)
        partial.replace(path)
        flush(path.parent)
    except OSError as error:
        raise OSError(f"cannot write {str(path)!r}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def flush(path):
    """Waits until a file, or the list of files of a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(value):
    return str(value) if isinstance(value, Path) else value


def reason(error):
    """Returns in one line why a file cannot be read."""
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]
