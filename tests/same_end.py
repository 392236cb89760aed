"""Compares two runs that must have the same result."""

import json
import shutil

from support.run.run_folder import ENDED, RunFolder
from support.tensorflow import tensorflow_v1 as tf


def stopped_copy(run, to):
    """Copies a run to a new folder, as if it had been killed before its last checkpoint."""
    shutil.copytree(run, to)
    shutil.rmtree(RunFolder(to).checkpoints()[-1].path)
    for path in (to / "metrics.json", to / ENDED, to / "model.html", *to.glob("*.png")):
        path.unlink()


def variables(folder):
    reader = tf.train.load_checkpoint(str(RunFolder(folder).checkpoints()[-1].path / "model"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_end(whole, other):
    """Weights, Adam's state, generator, history, figures, memory and page are the same, bit for bit."""
    expected, values = variables(whole), variables(other)
    assert len(expected) > 20
    assert expected.keys() == values.keys()
    for name, value in expected.items():
        assert value.tobytes() == values[name].tobytes(), name
    for name in ("history.csv", "config.json", "memory.png", "model.html"):
        assert (whole / name).read_bytes() == (other / name).read_bytes(), name
    states = [(RunFolder(folder).checkpoints()[-1].path / "state.json").read_text() for folder in (whole, other)]
    assert states[0] == states[1]
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in (whole, other)]
    for figure in figures:
        del figure["batches_per_second"]
    assert figures[0] == figures[1]
