"""The folder of a run: all that resuming it, asking it and looking at it need.

    runs/
      latest -> 20261123-131502
      20261123-131502/
        config.json       the settings
        history.csv       a row for each batch
        events.out.*      the same for TensorBoard, with the graph
        loss.png          the picture; with attention, attention.png
        metrics.json      the final figures, written last
        checkpoints/
          2000/           after 2,000 batches: the weights and Adam's state, and in state.json the rest
          2100/

A checkpoint is written under another name, brought to the disk, and only then renamed: whatever happens and whenever,
a folder with a number for a name is whole. The last two are kept. This module does not need TensorFlow.
"""

import contextlib
import csv
import datetime
import errno
import fcntl
import itertools
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

RUNS = Path("runs")
LATEST = RUNS / "latest"
KEPT_CHECKPOINTS = 2


class RunError(Exception):
    """A folder cannot be used as a run. The message is one line for the user."""


class Row(NamedTuple):
    """What is known of one batch: the columns of history.csv."""

    batch: int
    loss: np.float32  # nats a step, before the update
    gradient_norm: np.float32  # before clipping
    learning_rate: np.float32
    held_out_exact_match: float | None = None  # share in 0 ... 1, after the update, of some batches


@dataclass
class History:
    """What training leaves behind, besides the weights."""

    rows: list  # a Row for each batch
    unseen: set  # held-out sequences, as bytes, that have not occurred in training


def create(path, config):
    """Makes the folder of a new run and writes its settings into it.

    Args:
      path: pathlib.Path of the folder, new or empty; None for a new one in runs/, named after the time.
      config: a Config.

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
    _to_disk(path.parent)
    write_json(path / "config.json", {name: _plain(value) for name, value in asdict(config).items()})
    _lock(path)
    _point_latest_to(path)
    return path


def reopen(run):
    """Prepares the folder of a stopped run for going on with it.

    Returns:
      run.

    Raises:
      RunError: another process trains it.
    """
    _lock(run)
    (run / "metrics.json").unlink(missing_ok=True)  # it tells of where the run was stopped
    if not checkpoints(run):
        (run / "history.csv").unlink(missing_ok=True)
    return run


def check_new(path):
    """Raises RunError if a new run cannot be put into the folder path: it is not empty, or cannot be written."""
    try:
        # A run that is killed while its folder is made may leave that one file.
        if path.exists() and {file.name for file in path.iterdir()} - {"config.json.partial"}:
            raise RunError(f"{str(path)!r} is not empty; --resume goes on with a run")
        check_writable(path / "config.json")
    except OSError as error:
        raise RunError(f"cannot write in {str(path)!r}: {error.strerror}") from None


def check_writable(path):
    """Raises OSError if no file could be made at path, with the folders it needs; makes none."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    there = next(folder for folder in path.absolute().parents if folder.exists())
    with contextlib.suppress(FileNotFoundError):
        (there / path.name).stat()  # raises for a name that is too long
    tempfile.TemporaryFile(dir=there).close()


def _lock(run):
    """Keeps other processes from training a run until this one ends, in whatever way."""
    descriptor = os.open(run / "config.json", os.O_RDONLY)  # stays open as long as the process lives, as the lock does
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
    _to_disk(RUNS)


def read_settings(run):
    """Returns the settings of a run, a dict of str, int and float.

    Raises:
      RunError: the folder holds no run.
    """
    try:
        return json.loads((run / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{str(run)!r} holds no run: config.json: {_reason(error)}") from None


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
    """Returns the whole checkpoints of a run, the oldest first."""
    folders = [path for path in (run / "checkpoints").glob("*") if path.name.isdigit()]
    return sorted(folders, key=lambda path: int(path.name))


def batches_kept(run):
    """Returns the number of batches that the newest checkpoint of a run knows, or None if there is no checkpoint."""
    folders = checkpoints(run)
    return int(folders[-1].name) if folders else None


@contextlib.contextmanager
def new_checkpoint(run, batches):
    """Gives a folder to write a checkpoint into, and makes it the newest one if nothing was raised."""
    for left_over in (run / "checkpoints").glob("*.partial"):
        shutil.rmtree(left_over)
    partial = run / "checkpoints" / f"{batches}.partial"
    partial.mkdir(parents=True)
    try:
        yield partial
        for path in [*partial.iterdir(), partial]:
            _to_disk(path)
        partial.rename(partial.with_suffix(""))
        _to_disk(partial.parent)
        _to_disk(run)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in checkpoints(run)[:-KEPT_CHECKPOINTS]:
        shutil.rmtree(old.rename(old.with_suffix(".partial")))


def append_history(run, rows):
    """Writes further rows to history.csv and brings them to the disk."""
    path = run / "history.csv"
    with open(path, "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    _to_disk(run)


def cut_history(run, batches):
    """Reads the first rows of history.csv and takes away what a stopped run wrote after its last checkpoint.

    Args:
      run: pathlib.Path.
      batches: int, the rows to keep.

    Returns:
      list of Row.

    Raises:
      RunError: there are fewer rows, or other ones.
    """
    path = run / "history.csv"
    try:
        with open(path, newline="") as file:
            records = list(itertools.islice(csv.DictReader(file), batches))
        rows = [
            Row(
                int(record["batch"]),
                *(np.float32(record[name]) for name in ("loss", "gradient_norm", "learning_rate")),
                float(record["held_out_exact_match"]) if record["held_out_exact_match"] else None,
            )
            for record in records
        ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(f"{str(path)!r} cannot be read: {_reason(error)}") from None
    if [row.batch for row in rows] != list(range(batches)):
        raise RunError(f"{str(path)!r} does not hold the {batches} batches before the checkpoint")
    with open(path, "r+b") as file:
        for _ in range(batches + 1):
            file.readline()
        file.truncate()
    return rows


def write_json(path, value):
    """Writes a JSON file whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(json.dumps(value, indent=2) + "\n")
        _to_disk(partial)
        partial.replace(path)
        _to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _to_disk(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(value):
    return str(value) if isinstance(value, Path) else value


def _reason(error):
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]
