"""What TensorBoard shows: the graph, the curves, the pictures, and the embeddings in its projector.

tf.summary.FileWriter would write the same events from its own thread, where a full disk ends in a traceback.
"""

import io
import os
import time
from functools import partial

import numpy as np

from support.pictures.heat_maps import label_names
from support.pictures.pictures import paths
from support.run.whole_files import clear_write_errors, write_whole
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


class TensorBoard:
    """Writes what TensorBoard shows into the folder of a run."""

    def __init__(self, run):
        """Opens a new file of events, and writes the graph into the first one of a run.

        TensorBoard discards what earlier files hold from the next batch on.

        Raises:
          OSError: something cannot be written, here and in each method.
        """
        self.folder, self.maps = run.folder.path, set(run.history.maps)  # which maps have been written
        has_graph = any(self.folder.glob("events.out.tfevents.*"))
        with self.clear_errors():
            self.writer = tf.io.TFRecordWriter(os.fspath(self.folder / f"events.out.tfevents.{time.time():.6f}"))
            self.write(file_version="brain.Event:2")
            if not has_graph:
                self.write(graph_def=run.model.session.graph.as_graph_def(add_shapes=True).SerializeToString())
            self.write(step=len(run.history.rows), session_log=tf.SessionLog(status=tf.SessionLog.START))
            self.writer.flush()

    def before_checkpoint(self, run):
        """Writes a point of each curve for each new batch, and the new maps."""
        with self.clear_errors():
            for row in run.new_rows:
                values = {tag: value for tag, value in row._asdict().items() if tag != "batch" and value is not None}
                self.write_values(row.batch, [{"tag": tag, "simple_value": value} for tag, value in values.items()])
            self.write_maps(run.history.maps)
            self.writer.flush()

    def saves(self, run, metrics):
        """Returns functions that write the pictures and the embeddings of a finished run."""
        return [partial(self.write_pictures, run), partial(self.write_projector, run)]

    def write_pictures(self, run):
        """Writes the pictures that lie in the folder."""
        with self.clear_errors():
            self.write_maps(run.history.maps)
            for path in [self.folder / f"{name}.png" for name in paths(run.config) if name != "model"]:
                if path.is_file():
                    png = path.read_bytes()
                    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))  # its header
                    self.write_image(run.final_batch, f"pictures/{path.stem}", png, height, width)
            self.writer.flush()

    def write_projector(self, run):
        """Writes the embeddings for the projector. An edited script may have none."""
        for embeddings in tf.trainable_variables("embedding/")[:1]:
            rows = io.StringIO()
            np.savetxt(rows, run.model.session.run(embeddings)[:MOST_PROJECTED], fmt="%.7g", delimiter="\t")
            symbols = "".join(f"{name}\n" for name in label_names(run.config)[:MOST_PROJECTED])
            write_whole(self.folder / "projector/embeddings.tsv", rows.getvalue().encode())
            write_whole(self.folder / "projector/symbols.tsv", symbols.encode())
            write_whole(self.folder / "projector_config.pbtxt", PROJECTOR_CONFIG.encode())

    def clear_errors(self):
        return clear_write_errors(self.folder, IndexError, tf.errors.OpError)  # tf.io.TFRecordWriter raises the first

    def write_maps(self, maps):
        """Writes the occlusion maps that have not been written, as the image "memory". maps: see history.History."""
        for batch in maps.keys() - self.maps:
            self.write_image(batch, "memory", *png_of(maps[batch]))
            self.maps.add(batch)

    def write_image(self, batch, tag, png, height, width):
        image = tf.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self.write_values(batch, [{"tag": tag, "image": image}])

    def write_values(self, batch, values):
        self.write(step=batch, summary=tf.Summary(value=[tf.Summary.Value(**value) for value in values]))

    def write(self, **content):
        self.writer.write(tf.Event(wall_time=time.time(), **content).SerializeToString())


def png_of(values):
    """Returns a map of values in 0 ... 1, [rows, columns], as the bytes of a PNG file, with its height and width."""
    from matplotlib import image

    cells, png = np.kron(values, np.ones([CELL, CELL])), io.BytesIO()
    image.imsave(png, cells, cmap="Blues", vmin=0, vmax=1, format="png")
    return png.getvalue(), *cells.shape
