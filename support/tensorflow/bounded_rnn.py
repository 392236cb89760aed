"""TensorFlow's recurrent loops with lengths that are known in advance, for XLA.

tf.nn.raw_rnn does not know its length: it runs until every sequence is finished, and writes into an array that grows.
XLA must know all sizes. bounded_raw_rnn has the same contract and a loop of known length; the other two use it.
"""

import functools
import types

from support.tensorflow import tensorflow_v1 as tf


def bounded_raw_rnn(cell, loop_fn, steps):
    """Does the same as tf.nn.raw_rnn, in a number of steps that is known in advance.

    Args:
      cell: an RNN cell.
      loop_fn: as for tf.nn.raw_rnn. All shapes that it returns must be known, and its loop_state must be always None or
        always of the same shape.
      steps: int, as many as the longest sequence can need.

    Returns:
      emit: a TensorArray [steps] for each tensor that loop_fn emits, zero past the end of a sequence.
      state: the state of the cell after the last step of each sequence.
      loop_state: the last one.
    """
    map_structure = tf.nest.map_structure
    with tf.variable_scope("rnn"):
        finished, cell_input, state, emit_structure, loop_state = loop_fn(tf.constant(0), None, None, None)
        has_loop_state = loop_state is not None
        zeros = map_structure(lambda emit: tf.zeros([finished.shape[0], *emit.shape], emit.dtype), emit_structure)
        # Lists, because the gradient of a write into a TensorArray would copy the whole array at each step.
        emit = map_structure(
            lambda zero: tf.raw_ops.EmptyTensorList(
                element_shape=zero.shape, max_num_elements=steps, element_dtype=zero.dtype
            ),
            zeros,
        )

        def step(time, finished, cell_input, state, loop_state, emit):
            cell_output, cell_state = cell(cell_input, state)
            now_finished, next_input, next_state, emit_output, loop_state = loop_fn(
                time + 1, cell_output, cell_state, loop_state
            )
            keep_if_finished = functools.partial(tf.where, finished)
            next_state = map_structure(keep_if_finished, state, next_state)
            emit_output = map_structure(keep_if_finished, map_structure(tf.zeros_like, zeros), emit_output)
            emit = map_structure(
                lambda emitted, output: tf.raw_ops.TensorListPushBack(input_handle=emitted, tensor=output),
                emit,
                emit_output,
            )
            loop_state = loop_state if has_loop_state else ()
            return time + 1, finished | now_finished, next_input, next_state, loop_state, emit

        start = (tf.constant(0), finished, cell_input, state, loop_state if has_loop_state else (), emit)
        *_, state, loop_state, emit = tf.while_loop(
            lambda time, *_: time < steps, step, start, maximum_iterations=steps
        )

        def array(emitted, zero):
            stacked = tf.raw_ops.TensorListStack(
                input_handle=emitted, element_shape=zero.shape, element_dtype=zero.dtype, num_elements=steps
            )
            return tf.TensorArray(zero.dtype, steps).unstack(stacked)

        return map_structure(array, emit, zeros), state, loop_state if has_loop_state else None


def bounded_dynamic_rnn(cell, inputs, sequence_length, dtype, time_major):
    """Does the same as tf.nn.dynamic_rnn, for time-major inputs of known shape."""
    assert time_major
    steps, batch_size, _ = inputs.shape
    read = tf.TensorArray(dtype, steps, clear_after_read=False).unstack(inputs).read

    def loop_fn(time, cell_output, cell_state, loop_state):
        if cell_output is None:
            cell_state, cell_output = cell.zero_state(batch_size, dtype), tf.zeros([cell.output_size], dtype)
        return time >= sequence_length, read(tf.minimum(time, steps - 1)), cell_state, cell_output, None

    outputs, state, _ = bounded_raw_rnn(cell, loop_fn, steps)
    return outputs.stack(), state


def bounded_bidirectional_dynamic_rnn(forward_cell, backward_cell, inputs, sequence_length, dtype, time_major):
    """Does the same as tf.nn.bidirectional_dynamic_rnn, for time-major inputs of known shape."""

    def reverse(tensor):
        return tf.reverse_sequence(tensor, sequence_length, seq_axis=0, batch_axis=1)

    options = {"sequence_length": sequence_length, "dtype": dtype, "time_major": time_major}
    with tf.variable_scope("forward"):
        forward_outputs, forward_state = bounded_dynamic_rnn(forward_cell, inputs, **options)
    with tf.variable_scope("backward"):
        backward_outputs, backward_state = bounded_dynamic_rnn(backward_cell, reverse(inputs), **options)
    return (forward_outputs, reverse(backward_outputs)), (forward_state, backward_state)


def bounded_loops(decoder_steps):
    """Returns a replacement for tf.nn, for a decoder that makes at most decoder_steps steps."""
    return types.SimpleNamespace(
        raw_rnn=functools.partial(bounded_raw_rnn, steps=decoder_steps),
        dynamic_rnn=bounded_dynamic_rnn,
        bidirectional_dynamic_rnn=bounded_bidirectional_dynamic_rnn,
    )
