"""Saving and restoring a training run exactly: tf.train.Saver for the variables, JSON for the rest."""

import base64
import contextlib
import json
import os
import time

import numpy as np

import runs
from tensorflow_v1 import tf


def event_writer(run, graph, batches):
    """Opens a new file of events for TensorBoard and writes the graph into it.

    tf.summary.FileWriter would write the same from a thread of its own, where a full disk ends in a traceback.

    Args:
      run: pathlib.Path of the run's folder.
      graph: the tf.Graph.
      batches: int; what earlier files tell of this batch and later ones no longer counts.

    Returns:
      A tf.io.TFRecordWriter.
    """
    with clear_write_errors(run):
        writer = tf.io.TFRecordWriter(os.fspath(run / f"events.out.tfevents.{time.time():.6f}"))
        write_event(writer, file_version="brain.Event:2")
        write_event(writer, graph_def=graph.as_graph_def(add_shapes=True).SerializeToString())
        write_event(writer, step=batches, session_log=tf.SessionLog(status=tf.SessionLog.START))
        writer.flush()
    return writer


@contextlib.contextmanager
def clear_write_errors(run):
    """Turns whatever is raised when something cannot be written into an OSError that names the run."""
    try:
        yield
    except (OSError, IndexError, tf.errors.OpError) as error:  # TFRecordWriter raises the IndexError
        lines = str(error).splitlines()
        reason = next((line for line in lines if "; " in line), lines[0])  # "FILE; REASON", below a trace of the graph
        raise OSError(f"cannot write into {str(run)!r}: {reason}") from error


def write_event(writer, **content):
    writer.write(tf.Event(wall_time=time.time(), **content).SerializeToString())


def write_scalars(writer, row):
    values = {name: value for name, value in row._asdict().items() if name != "batch" and value is not None}
    summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
    write_event(writer, step=row.batch, summary=summary)


def keep(run, session, saver, writer, history, keys, generator_state):
    """Brings all that happened since the last checkpoint to the disk: history, events, and a new checkpoint.

    Args:
      run: pathlib.Path of the run's folder.
      session: the tf.Session.
      saver: a tf.train.Saver of all variables.
      writer: what event_writer() returned.
      history: the runs.History.
      keys: list of bytes, the held-out sequences.
      generator_state: dict, the state after the last batch of the generator that the training data is drawn from.

    Raises:
      OSError: something cannot be written; the checkpoint before is untouched.
    """
    batches = len(history.rows)
    kept = runs.batches_kept(run)
    if kept == batches:
        return
    new_rows = history.rows[kept or 0 :]
    unseen = [key in history.unseen for key in keys]
    state = {
        "generator": generator_state,
        "unseen": base64.b64encode(np.packbits(unseen)).decode(),
    }
    with clear_write_errors(run):
        runs.append_history(run, new_rows)
        for row in new_rows:
            write_scalars(writer, row)
        writer.flush()
        with runs.new_checkpoint(run, batches) as folder:
            saver.save(session, os.fspath(folder / "model"), write_meta_graph=False, write_state=False)
            (folder / "state.json").write_text(json.dumps(state))


def restore_variables(checkpoint, session, saver):
    """Loads the weights, Adam's state and the step of a checkpoint into a session.

    Raises:
      runs.RunError: the checkpoint is torn, or of a model of another shape.
    """
    path = os.fspath(checkpoint / "model")
    try:
        saved = tf.train.load_checkpoint(path).get_variable_to_shape_map()
        if saved != {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}:
            raise unusable(checkpoint, "its variables have other names or shapes")
        saver.restore(session, path)
    except (tf.errors.OpError, ValueError) as error:
        raise unusable(checkpoint, f"{type(error).__name__} in TensorFlow") from error


def restore(run, session, saver, keys, generator):
    """Goes back to the newest checkpoint of a run: variables, history, and the generator of the training data.

    Args:
      generator: the np.random.Generator that the training data is drawn from; its state is set.
      others: as in keep().

    Returns:
      rows: list of runs.Row, one for each batch up to the checkpoint.
      unseen: set of held-out sequences, as bytes, that had not occurred in training.

    Raises:
      runs.RunError: the checkpoint or history.csv is torn, or of another model.
    """
    checkpoint = runs.newest_checkpoint(run)
    restore_variables(checkpoint, session, saver)
    try:
        state = json.loads((checkpoint / "state.json").read_text())
        generator.bit_generator.state = state["generator"]
        packed = np.frombuffer(base64.b64decode(state["unseen"]), np.uint8)
        unseen = np.unpackbits(packed, count=len(keys))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unusable(checkpoint, f"{type(error).__name__} in state.json") from error
    rows = runs.cut_history(run, int(checkpoint.name))
    return rows, {key for key, new in zip(keys, unseen) if new}


def unusable(checkpoint, reason):
    message = f"the checkpoint {str(checkpoint)!r} is torn or of another model ({reason})"
    older = runs.checkpoints(checkpoint.parent.parent)[:-1]
    return runs.RunError(f"{message}; without that folder, {older[-1].name} is used" if older else message)
