"""The loss of the plain model for the compiled step, with backpropagation through time written out.

TensorFlow derives the gradient of a loop from its operations, one by one. Here each loop has its own gradient: the
forward loop keeps what the backward loop needs, and the gradient of a weight is one product over all steps afterwards.
Everything outside the loops is left to TensorFlow.

Source: Werbos, "Backpropagation through time: what it does and how to do it", 1990.
"""

import functools
import hashlib
import inspect
from functools import partial

import seq2seq_copy
from helpers import EOS, EXTRA_DECODER_STEPS
from seq2seq_copy import LSTMCell, embed, masked_loss
from support.tensorflow import tensorflow_v1 as tf

WRITTEN_OUT = ("LSTMCell", "encode", "concatenate_states", "make_loop_fn", "decode", "build_model")
FINGERPRINT = "3f443228e84939aa"  # of their source code


@functools.cache
def is_up_to_date():
    """Returns whether seq2seq_copy.py, which a reader may edit, still holds the functions that are written out here."""
    source = "".join(inspect.getsource(getattr(seq2seq_copy, name)) for name in WRITTEN_OUT)
    return hashlib.sha256(source.encode()).hexdigest()[:16] == FINGERPRINT


def plain_loss(encoder_inputs, encoder_inputs_length, decoder_targets, decoder_targets_length, config):
    """Returns the loss that build_model() returns for the parts PLAIN and tensors of known shape."""
    vocab_size, input_size = config.vocab_size, config.input_embedding_size
    embeddings, _ = embed(encoder_inputs, vocab_size, input_size)

    def split(name, units):
        """Returns what each symbol adds to the gates of a cell, [vocab_size, 4 * units], and the kernel of h."""
        cell = LSTMCell(name, units, input_size)
        return tf.matmul(embeddings, cell.kernel[:input_size]) + cell.bias, cell.kernel[input_size:]

    steps, batch_size = encoder_inputs.shape
    # One-hot, so that the gradient of a look-up is a product. A gather's gradient adds rows in any order on a GPU.
    symbols = tf.reshape(tf.one_hot(encoder_inputs, vocab_size), [-1, vocab_size])
    is_symbol = tf.transpose(tf.sequence_mask(encoder_inputs_length, steps))[:, :, tf.newaxis]
    is_symbol = tf.broadcast_to(is_symbol, [steps, batch_size, config.encoder_hidden_units])
    final_states = []
    with tf.variable_scope("encoder"):
        for direction in config.directions:
            table, kernel = split(direction, config.encoder_hidden_units)
            gates = tf.reshape(tf.matmul(symbols, table), [steps, batch_size, table.shape[1]])
            final_states.append(read(gates, kernel, is_symbol, backwards=direction == "backward"))
    c, h = (tf.concat(parts, axis=1) for parts in zip(*final_states))
    with tf.variable_scope("decoder"):
        output_weights, output_bias = tf.get_variable("output_weights"), tf.get_variable("output_bias")
        table, kernel = split("cell", h.shape[1])
        logits = write(table, kernel, output_weights, output_bias, c, h, decoder_targets.shape[0])
    return masked_loss(logits, decoder_targets, decoder_targets_length + EXTRA_DECODER_STEPS)


def read(input_gates, kernel, is_symbol, backwards):
    """Runs one direction of the encoder; returns its final c and h.

    input_gates [time, batch, 4 * units] is what the symbols add to the gates; is_symbol [time, batch, units].
    """
    steps, shape = input_gates.shape[0], is_symbol.shape[1:]

    @tf.custom_gradient
    def run(input_gates, kernel):
        def step(time, c, h):
            next_c, next_h, kept = step_forwards(input_gates[time] + tf.matmul(h, kernel), c)
            select = partial(tf.where, is_symbol[time])
            return (select(next_c, c), select(next_h, h)), (*kept, h)

        final_state, (*kept, h) = loop(steps, step, (tf.zeros(shape), tf.zeros(shape)), [shape] * 7, backwards)

        def gradient(dc, dh):
            kernels = tf.split(kernel, 4, axis=1)

            def step(time, dc, dh):
                select = partial(tf.where, is_symbol[time])
                zeros = tf.zeros(shape)  # made outside, it gets a random name that the cache does not know
                kept_now = [array[time] for array in kept]
                dgates, earlier_dc = step_backwards(kept_now, select(dc, zeros), select(dh, zeros))
                return (select(earlier_dc, dc), select(gradient_of_h(dgates, kernels), dh)), dgates

            _, dgates = loop(steps, step, (dc, dh), [shape] * 4, not backwards)
            dgates = tf.concat(dgates, axis=2)
            return dgates, gradient_of_weights(h, dgates)

        return final_state, gradient

    return run(input_gates, kernel)


def write(table, kernel, output_weights, output_bias, c, h, steps):
    """Runs the decoder from a state, with its own argmax fed back; returns the logits [steps, batch, vocab_size].

    table [vocab_size, 4 * units] is what each symbol adds to the gates.
    """
    vocab_size, shape = table.shape[0], h.shape
    eos = tf.one_hot(tf.fill(shape[:1], EOS), vocab_size)

    @tf.custom_gradient
    def run(table, kernel, output_weights, output_bias, c, h):
        def step(time, c, h, symbol):
            next_c, next_h, kept = step_forwards(tf.matmul(symbol, table) + tf.matmul(h, kernel), c)
            logits = tf.matmul(next_h, output_weights) + output_bias
            prediction = tf.one_hot(tf.argmax(logits, axis=1, output_type=tf.int32), vocab_size)
            return (next_c, next_h, prediction), (*kept, h, symbol, logits)

        _, arrays = loop(steps, step, (c, h, eos), [shape] * 7 + [eos.shape] * 2)
        *kept, h_before, symbols, logits = arrays
        *_, o, _, tanh_c = kept

        def gradient(dlogits):
            kernels = tf.split(kernel, 4, axis=1)
            rows = tf.reshape(dlogits, [-1, vocab_size])
            dh_from_logits = tf.reshape(tf.matmul(rows, output_weights, transpose_b=True), h_before.shape)

            def step(time, dc, dh):
                dgates, dc = step_backwards([array[time] for array in kept], dc, dh + dh_from_logits[time])
                return (dc, gradient_of_h(dgates, kernels)), dgates

            (dc, dh), dgates = loop(steps, step, (tf.zeros(shape), tf.zeros(shape)), [shape] * 4, backwards=True)
            dgates = tf.concat(dgates, axis=2)
            dtable, dkernel = gradient_of_weights(symbols, dgates), gradient_of_weights(h_before, dgates)
            return dtable, dkernel, gradient_of_weights(o * tanh_c, dlogits), tf.reduce_sum(rows, axis=0), dc, dh

        return logits, gradient

    return run(table, kernel, output_weights, output_bias, c, h)


def loop(steps, step, state, shapes, backwards=False):
    """Runs step(time, *state) at each time; it returns the next state and tensors of these shapes, which are kept.

    Returns the last state and the arrays of what was kept, [steps, *shape] each.
    """
    kept = tuple(tf.TensorArray(tf.float32, steps, element_shape=shape) for shape in shapes)

    def body(done, state, kept):
        time = steps - 1 - done if backwards else done
        state, values = step(time, *state)
        return done + 1, state, tuple(array.write(time, value) for array, value in zip(kept, values))

    start = (tf.constant(0), tuple(state), kept)
    _, state, kept = tf.while_loop(lambda done, *_: done < steps, body, start, maximum_iterations=steps)
    return state, [array.stack() for array in kept]


# A step of LSTMCell, and its gradient. The four gates are separate arrays: inside a loop, XLA turns the slicing of one
# array, or joining into one, into slow code. All are [batch, units].


def step_forwards(gates, c):
    """Makes a step from the gates before their activation, [batch, 4 * units].

    Returns c and h after the step, and what step_backwards() needs.
    """
    i, j, f, o = tf.split(gates, 4, axis=1)
    i, j, f, o = tf.sigmoid(i), tf.tanh(j), tf.sigmoid(f), tf.sigmoid(o)
    next_c = f * c + i * j
    tanh_c = tf.tanh(next_c)
    return next_c, o * tanh_c, (i, j, f, o, c, tanh_c)


def step_backwards(kept, dc, dh):
    """Returns the gradients of the four gates before their activation, and of c before the step."""
    i, j, f, o, c, tanh_c = kept
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    di, dj, df, do = dc * j, dc * i, dc * c, dh * tanh_c
    return (di * i * (1 - i), dj * (1 - j * j), df * f * (1 - f), do * o * (1 - o)), dc * f


def gradient_of_h(dgates, kernels):
    """Returns the gradient of h before a step from those of the four gates."""
    return tf.add_n([tf.matmul(dgate, kernel, transpose_b=True) for dgate, kernel in zip(dgates, kernels)])


def gradient_of_weights(inputs, doutputs):
    """Returns the gradient of a matrix that was multiplied at each step: inputs and doutputs [time, batch, size]."""
    rows = (tf.reshape(tensor, [-1, tensor.shape[2]]) for tensor in (inputs, doutputs))
    return tf.matmul(*rows, transpose_a=True)
