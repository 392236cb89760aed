"""TensorFlow's loops over time with a length that is known in advance, for XLA.

tf.nn.raw_rnn runs until every sequence is finished, and writes into an array that grows. XLA must know all sizes. It
could compile tf.nn.dynamic_rnn, but the gradient of that adds to an array of all inputs at each step.
"""

import functools
import types

from support.tensorflow import tensorflow_v1 as tf


def bounded_raw_rnn(cell, loop_fn, steps, scope=None):
    """Does the same as tf.nn.raw_rnn, in a number of steps that is known in advance.

    Args:
      cell: an RNN cell.
      loop_fn: as for tf.nn.raw_rnn. All shapes that it returns must be known, and its loop_state must be always None or
        always of the same shape.
      steps: int, as many as the longest sequence can need.
      scope: str, of the variables that cell or loop_fn may make.

    Returns:
      emit: a TensorArray [steps] for each tensor that loop_fn emits, zero past the end of a sequence.
      state: the state of the cell after the last step of each sequence.
      loop_state: the last one.
    """
    map_structure = tf.nest.map_structure
    with tf.variable_scope(scope or "rnn"):
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


def usual_options(inputs):
    """Returns the options of a call that bounded loops understand. Others are passed on to TensorFlow's own loops."""
    return {"dtype": inputs.dtype, "time_major": True}


def bounded_dynamic_rnn(cell, inputs, sequence_length=None, *others, scope=None, **options):
    """Does the same as tf.nn.dynamic_rnn, for inputs [time, batch, input_size] whose shape is known in advance."""
    if others or options != usual_options(inputs):
        return tf.nn.dynamic_rnn(cell, inputs, sequence_length, *others, scope=scope, **options)
    (steps, batch_size, input_size), dtype = inputs.shape.as_list(), inputs.dtype
    lengths = tf.fill([batch_size], steps) if sequence_length is None else sequence_length
    # bounded_raw_rnn calls loop_fn once more than the cell, and a list gives its last element first.
    first_comes_last = tf.reverse(tf.pad(inputs, [[0, 1], [0, 0], [0, 0]]), [0])
    of_a_step = {"element_shape": [batch_size, input_size]}
    all_inputs = tf.raw_ops.TensorListFromTensor(tensor=first_comes_last, **of_a_step)

    def loop_fn(time, cell_output, cell_state, unread):
        if cell_output is None:
            cell_output, cell_state = tf.zeros([cell.output_size], dtype), cell.zero_state(batch_size, dtype)
            unread = all_inputs
        unread, next_input = tf.raw_ops.TensorListPopBack(input_handle=unread, element_dtype=dtype, **of_a_step)
        next_input.set_shape([batch_size, input_size])
        return time >= lengths, next_input, cell_state, cell_output, unread

    outputs, state, _ = bounded_raw_rnn(cell, loop_fn, steps, scope)
    return outputs.stack(), state


def bounded_bidirectional_dynamic_rnn(cell_fw, cell_bw, inputs, sequence_length=None, *others, **options):
    """Does the same as tf.nn.bidirectional_dynamic_rnn, for inputs as in bounded_dynamic_rnn()."""
    if others or options != usual_options(inputs):
        return tf.nn.bidirectional_dynamic_rnn(cell_fw, cell_bw, inputs, sequence_length, *others, **options)

    def reverse(sequences):
        if sequence_length is None:
            return tf.reverse(sequences, [0])
        return tf.reverse_sequence(sequences, sequence_length, seq_axis=0, batch_axis=1)

    with tf.variable_scope("bidirectional_rnn"):
        outputs, forward_state = bounded_dynamic_rnn(cell_fw, inputs, sequence_length, scope="fw", **options)
        reversed_outputs, backward_state = bounded_dynamic_rnn(
            cell_bw, reverse(inputs), sequence_length, scope="bw", **options
        )
    return (outputs, reverse(reversed_outputs)), (forward_state, backward_state)


def loops_of_length(decoder_steps):
    """Returns what replaces tf.nn as the loops of seq2seq_copy.Parts, for a decoder of so many steps."""
    return types.SimpleNamespace(
        raw_rnn=functools.partial(bounded_raw_rnn, steps=decoder_steps),
        dynamic_rnn=bounded_dynamic_rnn,
        bidirectional_dynamic_rnn=bounded_bidirectional_dynamic_rnn,
    )
