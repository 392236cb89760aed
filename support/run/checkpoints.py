"""Saving and restoring a training run exactly: tf.train.Saver for the variables, JSON for the rest."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

import helpers
from seq2seq_copy import Model
from support import outside
from support.errors import UserError
from support.model import dependence
from support.run import files, tensorboard
from support.run import folder as folders
from support.run import history as histories
from support.tensorflow import tensorflow_v1 as tf

MOST_KEPT_WEIGHTS = 160_000  # after one batch; a page with those after five batches is then about 5 MB


@dataclasses.dataclass
class Run:
    """A run in training, with everything that is saved, restored and kept."""

    config: object  # the settings.Settings
    folder: Path
    lock: object  # while it is kept, no other process trains the run
    held_out: helpers.Batch  # all held-out sequences
    history: histories.History
    model: Model
    saver: tf.train.Saver
    writer: tf.io.TFRecordWriter
    generator: np.random.Generator  # that the training data is drawn from
    kept: int | None  # after how many batches the newest checkpoint was written; None before the first one
    before_keeping: Callable = lambda: None  # called before a checkpoint is written

    def has_ended_early(self):
        """Returns whether the held-out exact match has reached --until, or has run out of --patience."""
        rows, config = self.history.rows, self.config
        return histories.has_reached(rows, config.until) or histories.has_lost_patience(rows, config.patience)

    def keep(self):
        """Writes the history and events since the last checkpoint, and a new checkpoint, to the disk.

        Raises:
          UserError: the newest checkpoint is gone. Nothing is written, because no run could resume from it.
          OSError: something cannot be written. The previous checkpoint is untouched.
        """
        batches = len(self.history.rows)
        if self.kept == batches:
            return
        if folders.batches_kept(self.folder) != self.kept:
            raise UserError(f"the newest checkpoint of {str(self.folder)!r} was removed while it trained", status=1)
        self.before_keeping()
        new_rows = self.history.rows[self.kept or 0 :]
        if batches - 1 in dependence.EARLY_BATCHES:
            self.look_at_memory()
            self.keep_weights()
        with clear_write_errors(self.folder):
            histories.append_rows(self.folder / "history.csv", new_rows)
            tensorboard.write_rows(self.writer, new_rows)
            with folders.new_checkpoint(self.folder, batches) as checkpoint:
                path = os.fspath(checkpoint / "model")
                self.saver.save(self.model.session, path, write_meta_graph=False, write_state=False)
                write_state(checkpoint / "state.json", self.generator.bit_generator.state, self.history, self.config)
                if self.config.keep == "best" and new_rows and histories.is_best(self.history.rows):
                    folders.keep_best(checkpoint)
        self.kept = batches

    def look_at_memory(self):
        """Returns dependence.of_longest() after the last batch, and writes its mean into history and events."""
        found, batch = dependence.of_longest(self.model, self.held_out), self.history.rows[-1].batch
        if batch not in self.history.memory:
            changes = np.mean([changes for _, _, changes in found], axis=0)
            self.history.memory[batch] = changes.round(4).tolist()  # short in JSON
            with clear_write_errors(self.folder):
                tensorboard.write_map(self.writer, batch, changes)
        return found

    def keep_weights(self):
        """Keeps the weights after the last batch for the page that shows how the model grew (see pictures/page.py).

        A run that is resumed from an older checkpoint makes the same steps again, and so the same file.
        """
        count = sum(variable.shape.num_elements() for variable in tf.trainable_variables())
        if count <= MOST_KEPT_WEIGHTS:
            values = [value.ravel() for value in self.model.session.run(tf.trainable_variables())]
            array = io.BytesIO()
            np.save(array, np.concatenate(values))  # float32
            files.write_whole(self.folder / f"early/{self.history.rows[-1].batch}.npy", array.getvalue())

    def early_weights(self):
        """Returns a dict from each early batch to the weights that keep_weights() kept after it, float32 [count].

        Files that are missing or do not fit the model are left out.
        """
        count, found = sum(variable.shape.num_elements() for variable in tf.trainable_variables()), {}
        for batch in dependence.EARLY_BATCHES:
            with contextlib.suppress(OSError, ValueError, EOFError):
                weights = np.load(self.folder / f"early/{batch}.npy", mmap_mode="r")  # looks at the size first
                if (weights.dtype, weights.shape) == (np.float32, (count,)):
                    found[batch] = weights
        return found

    def show_in_tensorboard(self, pictures, names):
        """Writes pictures for TensorBoard, and the embeddings for its projector.

        Args:
          pictures: list of str, the names of PNG files in the folder.
          names: list of str, how each symbol is written.

        Raises:
          OSError: something cannot be written.
        """
        paths = [self.folder / f"{name}.png" for name in pictures]
        weights = tf.train.load_checkpoint(os.fspath(folders.newest_checkpoint(self.folder) / "model"))
        with clear_write_errors(self.folder):
            tensorboard.write_pictures(self.writer, self.history.rows[-1].batch, paths)
            tensorboard.write_embeddings(self.folder, weights.get_tensor("embedding/embeddings"), names)


def open_run(command, model, held_out, generator):
    """Makes the folder of a new run, or goes back to the newest checkpoint of a stopped one.

    Args:
      command: the command.Command.
      model: the seq2seq_copy.Model; its variables are restored from the checkpoint.
      held_out: the helpers.Batch of all held-out sequences.
      generator: the np.random.Generator that the training data is drawn from; its state is restored from the
        checkpoint.

    Returns:
      A Run.

    Raises:
      UserError: the folder cannot be used, another process trains the run, or its files are torn or do not belong
        together. Nothing in it has been touched.
      OSError: something cannot be written.
    """
    history, saver = histories.History(held_out), tf.train.Saver()
    if command.resume:
        folder, lock = command.run, folders.reopen(command.run)
        restore(folder, command.config, model.session, saver, history, generator)
        for name in folders.SAVED_LAST:  # they show when the run was stopped
            (folder / name).unlink(missing_ok=True)
    else:
        load_first_weights(command.config, model.session)
        folder, lock = folders.create(command.run, command.config)
    with clear_write_errors(folder):
        writer = tensorboard.event_writer(folder, model.session.graph, len(history.rows))
    run = Run(
        command.config, folder, lock, held_out, history, model, saver, writer, generator, folders.batches_kept(folder)
    )
    run.keep()
    return run


def restore(folder, config, session, saver, history, generator):
    """Reads and checks everything that a stopped run has left, before anything in its folder is touched.

    Raises:
      UserError: something is torn, is missing, or does not belong together.
    """
    folders.check_restorable(folder)
    if not folders.checkpoints(folder):
        load_first_weights(config, session)
        (folder / "history.csv").unlink(missing_ok=True)  # it has no row
        return
    checkpoint = restore_newest(folder, session, saver)
    read_state(checkpoint / "state.json", generator, history, config)
    history.rows = histories.read_rows(folder / "history.csv", int(checkpoint.name))
    histories.cut_rows(folder / "history.csv", int(checkpoint.name))


def load_first_weights(config, session):
    """Sets the weights to those of another run, if the run starts with them (see load_weights())."""
    if config.started_from:
        load_weights(Path(config.started_from), session)


def load_weights(run, session):
    """Sets the weights to the final ones of another run. The weights of symbols unknown to it stay as they are.

    Raises:
      UserError: they cannot be read, or belong to another model.
    """
    checkpoint = folders.best_checkpoint(run) or folders.newest_checkpoint(run)
    try:
        reader = tf.train.load_checkpoint(os.fspath(checkpoint / "model"))
        for variable in tf.trainable_variables():
            known, values = reader.get_tensor(variable.op.name), session.run(variable)
            values[tuple(map(slice, known.shape))] = known  # symbols come last, in the order of that run
            variable.load(values, session)
    except (tf.errors.OpError, ValueError) as error:
        raise torn_error(checkpoint, f"{type(error).__name__} in TensorFlow") from error


def restore_kept(folder, session, saver):
    """Sets all variables to the final weights of a run: the best, with --keep best, else the newest.

    Arguments and errors are the same as for restore_newest().
    """
    best = folders.best_checkpoint(folder)
    if best is None:
        restore_newest(folder, session, saver)
    else:
        restore_checkpoint(best, session, saver)


def restore_newest(folder, session, saver):
    """Restores all variables of the default graph from a run's newest checkpoint.

    The graph may hold fewer variables than the checkpoint: an export has neither Adam's state nor the step.

    Args:
      folder: pathlib.Path of the run.
      session: a tf.Session.
      saver: a tf.train.Saver of all variables.

    Returns:
      The checkpoint's pathlib.Path.

    Raises:
      UserError: there is no checkpoint, or it cannot be read, is torn, or does not fit the model in config.json.
    """
    checkpoint = folders.newest_checkpoint(folder)
    try:
        restore_checkpoint(checkpoint, session, saver)
    except UserError:
        if folders.newest_checkpoint(folder) == checkpoint:
            raise
        return restore_newest(folder, session, saver)  # a process that trains the run has replaced it meanwhile
    return checkpoint


def restore_checkpoint(checkpoint, session, saver):
    """Restores a given checkpoint, like restore_newest()."""
    path = os.fspath(checkpoint / "model")
    try:
        for file in checkpoint.iterdir():
            file.open("rb").close()
    except OSError as error:
        raise UserError(f"cannot read {error.filename!r}: {error.strerror}") from None
    try:
        saved = tf.train.load_checkpoint(path).get_variable_to_shape_map()
        wrong = [v.op.name for v in tf.global_variables() if saved.get(v.op.name) != v.shape.as_list()]
        if wrong:
            settings = str(checkpoint.parent.parent / "config.json")
            raise UserError(
                f"{settings!r} and the checkpoint {str(checkpoint)!r} are not of the same model: {wrong[0]} differs"
            )
        saver.restore(session, path)
    except (tf.errors.OpError, ValueError) as error:
        raise torn_error(checkpoint, f"{type(error).__name__} in TensorFlow") from error


def write_state(path, generator_state, history, config):
    """Writes the contents of a checkpoint besides the variables.

    These are the generator's state, unseen sequences, early memory, and the settings that a run never changes.
    """
    unseen = np.packbits([key in history.unseen for key in history.fingerprints])
    state = {"generator": generator_state, "unseen": base64.b64encode(unseen).decode(), "memory": history.memory}
    state["settings"] = config.fixed
    path.write_text(json.dumps(state), encoding="utf-8")


def read_state(path, generator, history, config):
    """Sets the state of a generator, and all of a history except its rows, from a file of write_state().

    Raises:
      UserError: the file is torn, or of a run with other settings.
    """
    try:
        state = outside.read_json(path)
        generator.bit_generator.state = state["generator"]
        packed = np.frombuffer(base64.b64decode(state["unseen"]), np.uint8)
        if packed.size != -(-len(history.fingerprints) // 8):
            raise ValueError
        memory = {int(batch): np.array(changes, float) for batch, changes in state["memory"].items()}
        if not memory.keys() <= {*dependence.EARLY_BATCHES} or any(values.ndim != 2 for values in memory.values()):
            raise ValueError
        history.memory = {batch: changes.tolist() for batch, changes in memory.items()}
        settings = dict(state["settings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise torn_error(path.parent, f"{type(error).__name__} in {path.name}") from error
    for name in settings.keys() & config.fixed.keys():
        if settings[name] != config.fixed[name]:
            raise UserError(
                f"{str(path)!r} was written with {name} {settings[name]}, but config.json says {config.fixed[name]}"
            )
    history.unseen = {key for key, unseen in zip(history.fingerprints, np.unpackbits(packed)) if unseen}


def torn_error(checkpoint, reason):
    """Returns the UserError for a checkpoint that cannot be restored."""
    message = f"the checkpoint {str(checkpoint)!r} is torn ({reason})"
    older = folders.checkpoints(checkpoint.parent.parent)[:-1]
    return UserError(f"{message}; delete that folder to go back to checkpoint {older[-1].name}" if older else message)


@contextlib.contextmanager
def clear_write_errors(folder):
    """Turns the errors of writing into an OSError that names the run's folder."""
    try:
        yield
    except (OSError, IndexError, tf.errors.OpError) as error:  # tf.io.TFRecordWriter raises the IndexError
        lines = str(error).splitlines()
        reason = next((line for line in lines if "; " in line), lines[0])  # "FILE; REASON", below a trace of the graph
        raise OSError(f"cannot write into {str(folder)!r}: {reason}") from error
