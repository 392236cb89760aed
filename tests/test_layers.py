"""Layers of cells: what a stack adds to the graph, its state in TensorFlow's loops, and the real command.

tests/test_variants.py compares the model with NumPy, and the compiled step with the plain one.
"""

import pytest
from same_end import assert_same_end, stopped_copy

from seq2seq_copy import LSTMStateTuple
from support.model.cells import StackedState
from support.tensorflow import tensorflow_v1 as tf
from tests.running import SHORT, run


def test_a_state_of_layers_keeps_its_kind_and_its_h():
    state = StackedState([LSTMStateTuple(1, 2), LSTMStateTuple(3, 4)])
    tripled = tf.nest.map_structure(lambda value: 3 * value, state)
    assert type(tripled) is StackedState
    assert tripled == StackedState([LSTMStateTuple(3, 6), LSTMStateTuple(9, 12)])
    assert tripled.h == 12
    assert tf.nest.flatten(state) == [1, 2, 3, 4]


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        "--xla on --dropout 0.2 --attention bahdanau --feedback scheduled --task reverse",
        "--xla off --cell gru --encoder forward --attention bahdanau",
    ],
)
def test_a_run_with_layers_and_more_is_resumed_and_asked(settings, tmp_path):
    status, stdout, stderr = run([*SHORT, *settings.split(), "--layers", "2", "--run-dir", "whole"], tmp_path)
    assert (status, stderr) == (0, "")
    stopped_copy(tmp_path / "whole", tmp_path / "stopped")
    assert run(["--resume", "stopped"], tmp_path)[::2] == (0, "")
    assert_same_end(tmp_path / "whole", tmp_path / "stopped")

    status, stdout, stderr = run(["--predict", "4 8 5", "--run-dir", "stopped"], tmp_path)
    assert (status, stderr) == (0, "")
    assert stdout.startswith("input     > [4 8 5]\npredicted > [")
