"""Other cells: the GRU, for --cell gru, and layers of cells, for --layers."""

from collections import namedtuple

from support.tensorflow import tensorflow_v1 as tf

GRUStateTuple = namedtuple("GRUStateTuple", "h")  # [batch, units]; there is no c, and h is also the cell's output


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


class StackedState(tuple):
    """The states of all layers, the lowest first.

    Like the state of a single cell it has an h, here the output of the top layer. TensorFlow's loops take any subclass
    of tuple apart, and put it together again as type(state)(states).
    """

    @property
    def h(self):
        return self[-1].h  # [batch, units]


class StackedCell:
    """Layers of cells that make a step together, in the form that TensorFlow's loops expect.

    The lowest layer reads the input. Each further layer reads the output of the one below.

    Source: Sutskever et al., "Sequence to sequence learning with neural networks", 2014: a deep LSTM (section 2), with
    four layers (section 3.4). There the encoder reads in one direction.
    """

    def __init__(self, cells):
        """cells: the cell of each layer, the lowest first."""
        self.cells = cells
        self.output_size = cells[-1].output_size
        self.state_size = StackedState(cell.state_size for cell in cells)

    def zero_state(self, batch_size, dtype):
        return StackedState(cell.zero_state(batch_size, dtype) for cell in self.cells)

    def __call__(self, inputs, state):
        """Makes one step; inputs [batch, input_size]. Returns the output [batch, units] and the next StackedState."""
        next_states = []
        for cell, cell_state in zip(self.cells, state):
            inputs, next_state = cell(inputs, cell_state)
            next_states.append(next_state)
        return inputs, StackedState(next_states)


def with_layers(parts, depth):
    """Stacks the cells of the encoder, in each direction, and of the decoder.

    Each layer of the decoder starts from the encoder's final state in the same layer.
    """

    def cell(name, units, input_size):
        input_sizes = [input_size] + (depth - 1) * [units]
        return StackedCell([parts.cell(f"{name}/layer_{layer}", units, size) for layer, size in enumerate(input_sizes)])

    def concatenate_states(*states):
        return StackedState(map(parts.concatenate_states, *states))

    return parts._replace(cell=cell, concatenate_states=concatenate_states)
