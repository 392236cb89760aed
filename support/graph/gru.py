"""A cell with fewer gates, for --cell gru."""

from __future__ import annotations

from typing import NamedTuple

from support.graph import tensorflow_v1 as tf


class GRUStateTuple(NamedTuple):
    """The state of a GRU. It has no c, but like an LSTM's it has an h, which is the cell's output too."""

    h: tf.Tensor  # [batch, units]


class GRUCell:
    """A gated recurrent unit.

    From the input x and the state h before the step:

        r, u = sigmoid([x, h] gate_kernel + gate_bias)               reset, update
        candidate = tanh([x, r * h] candidate_kernel + candidate_bias)
        h' = u * h + (1 - u) * candidate

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    2014, section 2.3. The gate biases start from 1, as in TensorFlow 1.x, so that at first the cell keeps its state.
    """

    def __init__(self, name, units, input_size):
        """Makes the weights, like seq2seq_copy.LSTMCell."""
        ones, zeros = tf.ones_initializer(), tf.zeros_initializer()
        with tf.variable_scope(f"{name}/gru_cell"):
            self.gate_kernel = tf.get_variable("gates/kernel", [input_size + units, 2 * units])
            self.gate_bias = tf.get_variable("gates/bias", [2 * units], initializer=ones)
            self.candidate_kernel = tf.get_variable("candidate/kernel", [input_size + units, units])
            self.candidate_bias = tf.get_variable("candidate/bias", [units], initializer=zeros)
        self.output_size = units
        self.state_size = GRUStateTuple(h=units)

    def zero_state(self, batch_size, dtype):
        return GRUStateTuple(h=tf.zeros([batch_size, self.output_size], dtype))

    def __call__(self, inputs, state):
        """Makes one step; inputs [batch, input_size]. Returns the output [batch, units] and the next GRUStateTuple."""
        gates = tf.nn.bias_add(tf.matmul(tf.concat([inputs, state.h], axis=1), self.gate_kernel), self.gate_bias)
        r, u = tf.split(tf.sigmoid(gates), 2, axis=1)  # [batch, units] each
        candidate = tf.matmul(tf.concat([inputs, r * state.h], axis=1), self.candidate_kernel)
        candidate = tf.tanh(tf.nn.bias_add(candidate, self.candidate_bias))
        h = u * state.h + (1 - u) * candidate
        return h, GRUStateTuple(h)


def concatenate_states(forward_state, backward_state):
    """Joins the final states of both directions of the encoder, as seq2seq_copy.concatenate_states() does."""
    return GRUStateTuple(h=tf.concat([forward_state.h, backward_state.h], axis=1, name="encoder_final_state_h"))
