"""A run in training: everything that is saved on the way, and restored when it is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import helpers
from seq2seq_copy import Model
from support.data.pairs import Pairs
from support.run.history import History, append_rows, best_row, cut_rows, early_end, read_rows
from support.run.run_folder import BEST, ENDED, RunFolder
from support.run.whole_files import clear_write_errors
from support.tensorflow import tensorflow_v1 as tf


class HeldOut(NamedTuple):
    """What is not trained on."""

    validation: helpers.Batch  # chooses weights and the end of a run, is drawn in pictures; at most EVALUATION_BATCH
    test: helpers.Batch | None  # random sequences, for the final report; None with own data
    pairs: Pairs | None = None  # the own data; its lines say which are which


class Run:
    """A run in training.

    config: the settings.Settings.
    folder: the RunFolder, locked.
    model: the seq2seq_copy.Model.
    held_out: the HeldOut.
    generator: the np.random.Generator that the training data is drawn from.
    history: the history.History.
    saved: int, the batches before the newest checkpoint; None if there is none.
    before_checkpoint: list of functions of the Run that are called before each checkpoint after a batch. If one raises,
      there is none.
    at_end: list of functions of the Run and its final figures, a dict as in metrics.json. Each returns functions that
      save files. An OSError of one does not keep the others from being called.
    """

    def __init__(self, config, folder, model: Model, held_out: HeldOut, generator):
        self.config, self.folder, self.model = config, folder, model
        self.held_out, self.generator, self.history = held_out, generator, History(held_out.test)
        self.saver = tf.train.Saver()
        self.saved = None
        self.before_checkpoint, self.at_end = [], []

    @property
    def new_rows(self):
        """The rows of the history since the newest checkpoint."""
        return self.history.rows[self.saved or 0 :]

    @property
    def final_batch(self):
        """The batch that the final weights are from: the best evaluation's, with --keep best, else the last."""
        rows = self.history.rows
        is_best = self.config.keep == "best" and self.folder.final_checkpoint().path.name == BEST
        return (best_row(rows) if is_best else rows[-1]).batch

    def early_end(self):
        """Returns the line that says why --until or --patience ends the run; None if they do not."""
        return early_end(self.history.rows, self.config)

    def save(self):
        """Writes the rows since the newest checkpoint, and a new checkpoint, to the disk.

        Raises:
          UserError: the newest checkpoint is gone, so no run could resume from a new one, and none is written.
          OSError: something cannot be written. The earlier checkpoints are untouched.
        """
        batches, rows = len(self.history.rows), self.new_rows
        if self.saved == batches:
            return
        for look in self.before_checkpoint:
            look(self)
        is_best_now = self.config.keep == "best" and bool(rows) and best_row(self.history.rows) is rows[-1]
        with (
            clear_write_errors(self.folder.path, tf.errors.OpError),
            self.folder.new_checkpoint(batches, self.saved, is_best_now) as checkpoint,
        ):
            append_rows(self.folder.path / "history.csv", rows)
            checkpoint.save(self.model.session, self.saver)
            weights = [variable.op.name for made in self.model.variables.values() for variable in made]
            checkpoint.write_state(self.generator, self.history, self.config, weights)
        self.saved = batches


def begin(path, config, model, held_out, generator):
    """Begins a new run; returns a Run with a checkpoint. path is None for a new folder in runs/, the rest as in Run.

    Raises:
      UserError: the folder cannot be used, or the weights of the other run, which it starts with, cannot be read.
      OSError: something cannot be written.
    """
    load_first_weights(config, model.session)
    run = Run(config, RunFolder.create(path, config), model, held_out, generator)
    run.save()
    return run


def resume(path, config, model, held_out, generator):
    """Goes back to the newest checkpoint of a stopped run.

    Arguments and result are those of begin(). The variables and the state of the generator are restored.

    Raises:
      UserError: another process trains the run, or its files are damaged or do not belong together. Nothing in its
        folder has been touched.
      OSError: something cannot be written.
    """
    run = Run(config, RunFolder(path), model, held_out, generator)
    run.folder.lock()
    history = path / "history.csv"
    if checkpoints := run.folder.checkpoints_to_resume():
        checkpoints[-1].restore(model.session, run.saver)
        checkpoints[-1].read_state(generator, run.history, config)
        run.saved = checkpoints[-1].batches
        run.history.rows = read_rows(history, run.saved)
        cut_rows(history, run.saved)
    else:
        load_first_weights(config, model.session)
        history.unlink(missing_ok=True)  # it has no row
    (path / ENDED).unlink(missing_ok=True)
    run.save()
    return run


def load_first_weights(config, session):
    """Sets the weights to the final ones of another run, if the run starts with them."""
    if config.started_from:
        other = RunFolder(Path(config.started_from))
        symbols = other.read_settings().vocab_size, config.vocab_size
        other.final_checkpoint().load_weights(session, symbols)
