"""A run in training: everything that is saved on the way, and restored when it is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import helpers
from seq2seq_copy import Model
from support.data.pairs import Pairs
from support.run.history import History, append_rows, best_batch, cut_rows, early_end, is_best, read_rows
from support.run.run_folder import BEST, ENDED, RunFolder
from support.run.whole_files import clear_write_errors
from support.tensorflow import tensorflow_v1 as tf


class HeldOut(NamedTuple):
    """What is not trained on."""

    validation: helpers.Batch  # chooses weights and the end of a run, is drawn in pictures; at most EVALUATION_BATCH
    test: helpers.Batch | None  # random sequences, for the final report; None with own data
    pairs: Pairs | None = None  # the own data; its lines say which are which


class Listener:
    """Looks at a Run on its way."""

    def before_checkpoint(self, run):
        """Is called before each checkpoint after a batch. If it raises, there is none."""

    def at_end(self, run, metrics):
        """Returns functions that each save files, for the final figures, a dict as in metrics.json.

        They are called in order. An OSError of one does not keep the others from being called.
        """
        return []


class Run:
    """A run in training.

    config: the settings.Settings.
    folder: the RunFolder, locked.
    model: the seq2seq_copy.Model.
    held_out: the HeldOut.
    generator: the np.random.Generator that the training data is drawn from.
    history: the history.History.
    saved: int, the batches before the newest checkpoint; None if there is none.
    listeners: list of Listener, in the order in which they are called.
    """

    def __init__(self, config, folder, model: Model, held_out: HeldOut, generator):
        self.config, self.folder, self.model = config, folder, model
        self.held_out, self.generator, self.history = held_out, generator, History(held_out.test)
        self.saver = tf.train.Saver()
        self.saved = None
        self.listeners = []

    @property
    def new_rows(self):
        """The rows of the history since the newest checkpoint."""
        return self.history.rows[self.saved or 0 :]

    @property
    def final_batch(self):
        """The batch that restore_final()'s weights are from: the best evaluation's, with --keep best, else the last."""
        rows = self.history.rows
        is_best = self.config.keep == "best" and self.folder.final_checkpoint().path.name == BEST
        return best_batch(rows) if is_best else rows[-1].batch

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
        for listener in self.listeners:
            listener.before_checkpoint(self)
        is_best_now = self.config.keep == "best" and bool(rows) and is_best(self.history.rows)
        with (
            clear_write_errors(self.folder.path, tf.errors.OpError),
            self.folder.new_checkpoint(batches, self.saved, is_best_now) as checkpoint,
        ):
            append_rows(self.folder.path / "history.csv", rows)
            checkpoint.save(self.model.session, self.saver)
            weights = [variable.op.name for made in self.model.variables.values() for variable in made]
            checkpoint.write_state(self.generator, self.history, self.config, weights)
        self.saved = batches

    def restore(self, checkpoint):
        """Goes back to a Checkpoint. Raises UserError if something is torn, is missing, or does not belong together."""
        checkpoint.restore(self.model.session, self.saver)
        checkpoint.read_state(self.generator, self.history, self.config)
        self.history.rows = read_rows(self.folder.path / "history.csv", checkpoint.batches)
        self.saved = checkpoint.batches

    def restore_final(self):
        """Sets all variables to the final weights: the best, with --keep best, else the last."""
        self.folder.restore_final(self.model.session, self.saver)


def begin(path, config, model, held_out, generator):
    """Begins a new run.

    Args:
      path: pathlib.Path of its folder, new or empty; None for a new one in runs/.
      config: the settings.Settings.
      model: the seq2seq_copy.Model.
      held_out: the HeldOut.
      generator: the np.random.Generator that the training data is drawn from.

    Returns:
      A Run with a checkpoint.

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
      UserError: another process trains the run, or its files are torn or do not belong together. Nothing in its folder
        has been touched.
      OSError: something cannot be written.
    """
    run = Run(config, RunFolder(path), model, held_out, generator)
    run.folder.lock()
    history = path / "history.csv"
    if checkpoints := run.folder.checkpoints_to_resume():
        run.restore(checkpoints[-1])
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
