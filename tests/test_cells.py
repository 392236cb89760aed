"""The cells written out in the script and in support/, against the cells of tf-keras."""

import os

import numpy as np
import pytest

from seq2seq_copy import LSTMCell, LSTMStateTuple
from support.model.cells import GRUCell, GRUStateTuple
from support.tensorflow import tensorflow_v1 as tf
from tests.running import ROOT, run_process

pytestmark = pytest.mark.short

UNITS, INPUT_SIZE, BATCH = 3, 4, 5
CELLS = {
    "lstm": (LSTMCell, LSTMStateTuple, ["kernel", "bias"], 2),
    "gru": (GRUCell, GRUStateTuple, ["gate_kernel", "gate_bias", "candidate_kernel", "candidate_bias"], 1),
}


def random_arrays(*shapes):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


def results_of(name):
    """Returns random arrays, the output and state after a step with them, and the gradients of weights and inputs."""
    make_cell, make_state, weight_names, parts_of_state = CELLS[name]
    tf.reset_default_graph()
    cell = make_cell("cell", UNITS, INPUT_SIZE)
    weights = [getattr(cell, weight) for weight in weight_names]
    arrays = random_arrays([BATCH, INPUT_SIZE], *[[BATCH, UNITS]] * parts_of_state, *(w.shape for w in weights))
    inputs, *state = map(tf.constant, arrays[: 1 + parts_of_state])
    output, next_state = cell(inputs, make_state(*state))
    gradients = tf.gradients(tf.reduce_sum(output**2), [*weights, inputs, *state])
    with tf.Session() as session:
        for variable, array in zip(weights, arrays[1 + parts_of_state :]):
            variable.load(array, session)
        return arrays, session.run([output, *next_state]), session.run(gradients)


def test_the_cells_equal_those_of_tf_keras_with_their_gradients(tmp_path):
    """tf-keras needs its own process, in which TensorFlow uses it in place of Keras 3."""
    results = {name: results_of(name) for name in CELLS}
    for name, (arrays, *_) in results.items():
        np.savez(tmp_path / f"{name}.npz", *arrays)
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1"}
    assert run_process([str(tmp_path)], ROOT, env=environment, module="tests.keras_cell")[0] == 0
    for name, (_, values, gradients) in results.items():
        expected = list(np.load(tmp_path / f"{name}-results.npz").values())
        assert len(expected) == len(values) + len(gradients)
        for value, keras_value in zip([*values, *gradients], expected):
            assert np.abs(keras_value).max() > 1e-3
            np.testing.assert_allclose(value, keras_value, rtol=1e-5, atol=1e-6, err_msg=name)
