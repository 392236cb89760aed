"""What training leaves behind besides the weights: history.csv, held-out sequences it has met, early occlusion maps."""

from __future__ import annotations

import base64
import csv
import itertools
import os
from typing import NamedTuple

import numpy as np

import helpers
from support.errors import UserError, as_user_error
from support.run.whole_files import flush

EARLY_BATCHES = (0, 100, 300, 1000)  # after which an occlusion map is drawn, besides at the end


class Row(NamedTuple):
    """The figures of one batch: the columns of history.csv."""

    batch: int
    loss: np.float32  # nats per step, before the update
    gradient_norm: np.float32  # before clipping
    learning_rate: np.float32
    validation_exact_match: float | None = None  # share in 0 ... 1, after the update; only for some batches
    validation_loss: float | None = None  # nats per step, after the update; for the same batches, only with own data


class History:
    """The history of a run. It grows with each batch.

    rows: list of Row, one for each batch.
    fingerprints: list of bytes, one for each held-out random sequence.
    unseen: set of the fingerprints that have not occurred in training.
    maps: dict from an early batch to the occlusion map that was drawn after it, lists of float in 0 ... 1.
    """

    def __init__(self, held_out=None):
        """held_out: the helpers.Batch of all held-out random sequences; None with own data."""
        self.rows = []
        self.fingerprints = [] if held_out is None else helpers.fingerprints(held_out)
        self.unseen = set(self.fingerprints)
        self.maps = {}

    def record(self, batch, loss, gradient_norm, learning_rate):
        """Adds a helpers.Batch that was trained on, and the results of its step.

        Raises:
          FloatingPointError: the loss or the gradient norm is not finite.
        """
        batch_number = len(self.rows)
        if not np.isfinite([loss, gradient_norm]).all():
            reason = f"the loss is {loss} and the gradient norm {gradient_norm}"
            raise FloatingPointError(f"{reason} at batch {batch_number}; a smaller --learning-rate may help")
        self.rows.append(Row(batch_number, loss, gradient_norm, np.float32(learning_rate)))
        if self.unseen:
            self.unseen.difference_update(helpers.fingerprints(batch))

    def record_evaluation(self, share, loss=None):
        """Adds the evaluation after the last batch: the share of the validation set that is exact, and its loss."""
        self.rows[-1] = self.rows[-1]._replace(validation_exact_match=float(share), validation_loss=loss)

    @property
    def state(self):
        """All except the rows, a dict in the types of JSON."""
        unseen = np.packbits(np.array([key in self.unseen for key in self.fingerprints], bool))
        return {"unseen": base64.b64encode(unseen).decode(), "memory": self.maps}

    def restore(self, state):
        """Sets all except the rows to what state held. Raises ValueError, among others, if it holds something else."""
        packed = np.frombuffer(base64.b64decode(state["unseen"]), np.uint8)
        if packed.size != -(-len(self.fingerprints) // 8):
            raise ValueError
        maps = {int(batch): np.array(changes, float) for batch, changes in state["memory"].items()}
        if not maps.keys() <= {*EARLY_BATCHES} or any(changes.ndim != 2 for changes in maps.values()):
            raise ValueError
        self.unseen = {key for key, unseen in zip(self.fingerprints, np.unpackbits(packed)) if unseen}
        self.maps = {batch: changes.tolist() for batch, changes in maps.items()}


def has_reached(rows, share):
    """Returns whether the last two evaluations both found at least this share exact; False if share is None."""
    if share is None:
        return False
    shares = (row.validation_exact_match for row in reversed(rows) if row.validation_exact_match is not None)
    last_two = list(itertools.islice(shares, 2))
    return len(last_two) == 2 and min(last_two) >= share


def best_row(rows):
    """Returns the row of the best evaluation, the first of equal ones; None if there is none.

    The loss decides between equal shares.
    """
    evaluated = (row for row in rows if row.validation_exact_match is not None)
    return max(evaluated, key=lambda row: (row.validation_exact_match, -(row.validation_loss or 0)), default=None)


def has_lost_patience(rows, patience):
    """Returns whether `patience` evaluations have passed since the best one; False if patience is None."""
    best = best_row(rows)
    if patience is None or best is None:
        return False
    return sum(row.validation_exact_match is not None for row in rows if row.batch > best.batch) >= patience


def early_end(rows, config):
    """Returns the line that says why --until or --patience ends training after the last row; None if they do not."""
    if has_reached(rows, config.until):
        return f"ended at batch {rows[-1].batch}: two evaluations in a row reached --until {config.until}"
    if has_lost_patience(rows, config.patience):
        return f"ended at batch {rows[-1].batch}: --patience {config.patience}, and no later evaluation was better"
    return None


def append_rows(path, rows):
    """Writes further rows to history.csv and flushes them to the disk."""
    with open(path, "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    flush(path.parent)


def read_rows(path, batches):
    """Reads the first rows of history.csv.

    Args:
      path: pathlib.Path of history.csv.
      batches: int, how many rows to read.

    Returns:
      list of Row.

    Raises:
      UserError: it cannot be read, or its first rows are not those of these batches.
    """
    unreadable = as_user_error(f"{str(path)!r} cannot be read", ValueError, TypeError, csv.Error)
    with unreadable, open(path, newline="", encoding="utf-8") as file:
        records = itertools.islice(csv.reader(file), 1, batches + 1)
        rows = [
            Row(int(batch), *map(np.float32, figures), *(float(text) if text else None for text in (share, loss)))
            for batch, *figures, share, loss in filter(None, records)
        ]
    if not np.isfinite([row[1:4] for row in rows]).all():
        raise UserError(f"{str(path)!r} holds a number that is not finite")
    if [row.batch for row in rows] != list(range(batches)):
        raise UserError(f"{str(path)!r} does not hold the {batches} batches before the checkpoint")
    return rows


def cut_rows(path, batches):
    """Cuts off what a stopped run wrote into history.csv after its last checkpoint. The first rows stay."""
    with open(path, "r+b") as file:
        for _ in range(batches + 1):
            file.readline()
        file.truncate()
