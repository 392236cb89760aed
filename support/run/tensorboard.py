"""What TensorBoard shows: the graph, the curves, the pictures, and the embeddings in its projector.

tf.summary.FileWriter would write the same events from its own thread, where a full disk ends in a traceback.
"""

import io
import os
import time

import numpy as np

from support.run import files
from support.tensorflow import tensorflow_v1 as tf

CELL = 24  # pixels of a cell of a map
MOST_PROJECTED = 10_000  # symbols; the projector is slow with more
PROJECTOR_CONFIG = """\
embeddings {
  tensor_name: "embeddings"
  tensor_path: "projector/embeddings.tsv"
  metadata_path: "projector/symbols.tsv"
}
"""


def event_writer(run, graph, batches):
    """Opens a new file of events, and writes the graph into the first one of a run.

    Args:
      run: pathlib.Path of the run's folder.
      graph: the tf.Graph.
      batches: int, the batches done so far. TensorBoard discards what earlier files hold from this batch on.

    Returns:
      A tf.io.TFRecordWriter.
    """
    has_graph = any(run.glob("events.out.tfevents.*"))
    writer = tf.io.TFRecordWriter(os.fspath(run / f"events.out.tfevents.{time.time():.6f}"))
    write_event(writer, file_version="brain.Event:2")
    if not has_graph:
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


def write_map(writer, batch, values):
    """Writes a map of values in 0 ... 1, [rows, columns], as the image "memory" after a batch."""
    from matplotlib import image

    cells = np.kron(values, np.ones([CELL, CELL]))
    png = io.BytesIO()
    image.imsave(png, cells, cmap="Blues", vmin=0, vmax=1, format="png")
    write_image(writer, batch, "memory", png.getvalue(), *cells.shape)
    writer.flush()


def write_pictures(writer, batch, paths):
    """Writes PNG files as images after a batch."""
    for path in paths:
        png = path.read_bytes()
        width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))  # of its header
        write_image(writer, batch, f"pictures/{path.stem}", png, height, width)
    writer.flush()


def write_embeddings(run, embeddings, names):
    """Writes the files that TensorBoard's projector reads.

    Args:
      run: pathlib.Path of the run's folder.
      embeddings: float32 [vocab_size, input_embedding_size].
      names: list of str, how each symbol is written.
    """
    rows = io.StringIO()
    np.savetxt(rows, embeddings[:MOST_PROJECTED], fmt="%.7g", delimiter="\t")
    (run / "projector").mkdir(exist_ok=True)
    files.write_whole(run / "projector/embeddings.tsv", rows.getvalue().encode())
    symbols = "".join(f"{name}\n" for name in names[:MOST_PROJECTED])
    files.write_whole(run / "projector/symbols.tsv", symbols.encode())
    files.write_whole(run / "projector_config.pbtxt", PROJECTOR_CONFIG.encode())


def write_image(writer, batch, tag, png, height, width):
    image = tf.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    write_event(writer, step=batch, summary=tf.Summary(value=[tf.Summary.Value(tag=tag, image=image)]))


def write_event(writer, **content):
    writer.write(tf.Event(wall_time=time.time(), **content).SerializeToString())
