"""One step of each recurrent cell of tf-keras, and its gradients.

    TF_USE_LEGACY_KERAS=1 python -m tests.keras_cell FOLDER

Reads the input, the state and the weights from FOLDER/lstm.npz and gru.npz, and writes FOLDER/lstm-results.npz and
gru-results.npz.
"""

import sys
from pathlib import Path

import numpy as np

from support.tensorflow import tensorflow_v1 as tf


def main(name, folder):
    inputs, *arrays = np.load(folder / f"{name}.npz").values()
    inputs = tf.constant(inputs)
    if name == "lstm":
        cell = tf.nn.rnn_cell.LSTMCell(arrays[0].shape[1], forget_bias=0.0)
        state = [tf.constant(array) for array in arrays[:2]]
        output, next_state = cell(inputs, tf.nn.rnn_cell.LSTMStateTuple(*state))
    else:
        cell = tf.nn.rnn_cell.GRUCell(arrays[0].shape[1])
        state = [tf.constant(arrays[0])]
        output, next_state = cell(inputs, *state)
    gradients = tf.gradients(tf.reduce_sum(output**2), [*cell.weights, inputs, *state])
    with tf.Session() as session:
        for variable, array in zip(cell.weights, arrays[len(state) :]):
            variable.load(array, session)
        results = session.run([output, *tf.nest.flatten(next_state), *gradients])
    np.savez(folder / f"{name}-results.npz", *results)


if __name__ == "__main__":
    for cell in ("lstm", "gru"):
        main(cell, Path(sys.argv[1]))
