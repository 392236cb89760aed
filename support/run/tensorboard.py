"""The events that TensorBoard shows: the graph and the curves.

tf.summary.FileWriter would write the same from a thread of its own, where a full disk ends in a traceback.
"""

import os
import time

from support.graph import tensorflow_v1 as tf


def event_writer(run, graph, batches):
    """Opens a new file of events and writes the graph into it.

    Args:
      run: pathlib.Path of the run's folder.
      graph: the tf.Graph.
      batches: int, the batches done so far. TensorBoard discards what earlier files hold from this batch on.

    Returns:
      A tf.io.TFRecordWriter.
    """
    writer = tf.io.TFRecordWriter(os.fspath(run / f"events.out.tfevents.{time.time():.6f}"))
    write_event(writer, file_version="brain.Event:2")
    write_event(writer, graph_def=graph.as_graph_def(add_shapes=True).SerializeToString())
    write_event(writer, step=batches, session_log=tf.SessionLog(status=tf.SessionLog.START))
    writer.flush()
    return writer


def write_rows(writer, rows):
    """Writes a point of each curve for each history.Row."""
    for row in rows:
        values = {name: value for name, value in row._asdict().items() if name != "batch" and value is not None}
        summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        write_event(writer, step=row.batch, summary=summary)
    writer.flush()


def write_event(writer, **content):
    writer.write(tf.Event(wall_time=time.time(), **content).SerializeToString())
