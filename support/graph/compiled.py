"""The training step compiled by XLA, many steps in one call.

The step is the one of seq2seq_copy.py, connected by the same functions. XLA compiles it inside a loop over batches,
because one call into a compiled program takes half as long as a step.

XLA must know all sizes beforehand. tf.nn.raw_rnn does not know them: its loop runs until every sequence is finished,
and writes into an array that grows. bounded_raw_rnn has the same contract and a loop of known length.
"""

import contextlib
import functools
import logging
import types

import numpy as np

from support.graph import programs
from support.graph import tensorflow_v1 as tf

MOST_STEPS = 50  # in one call; Ctrl-C and the progress bar wait for its end
LARGEST_CALL = 1_000_000  # symbols times units of all layers

log = logging.getLogger(__name__)


def bounded_raw_rnn(cell, loop_fn, steps):
    """Does what tf.nn.raw_rnn does, in a number of steps that is known beforehand.

    Args:
      cell: an RNN cell.
      loop_fn: as for tf.nn.raw_rnn. All shapes that it returns are known, and its loop_state is always None or always
        of the same shape.
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
    """Does what tf.nn.dynamic_rnn does for time-major inputs of known shape, by bounded_raw_rnn."""
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
    """Does what tf.nn.bidirectional_dynamic_rnn does for time-major inputs of known shape, by bounded_raw_rnn."""

    def reverse(tensor):
        return tf.reverse_sequence(tensor, sequence_length, seq_axis=0, batch_axis=1)

    options = {"sequence_length": sequence_length, "dtype": dtype, "time_major": time_major}
    with tf.variable_scope("forward"):
        forward_outputs, forward_state = bounded_dynamic_rnn(forward_cell, inputs, **options)
    with tf.variable_scope("backward"):
        backward_outputs, backward_state = bounded_dynamic_rnn(backward_cell, reverse(inputs), **options)
    return (forward_outputs, reverse(backward_outputs)), (forward_state, backward_state)


def read_once(getter, *arguments, **options):
    """A custom_getter that reads a variable where it is asked for, and not again at each step of a loop."""
    return tf.identity(getter(*arguments, **options))


def bounded_loops(config):
    """Returns what stands in for tf.nn among the parts of the model."""
    return types.SimpleNamespace(
        raw_rnn=functools.partial(bounded_raw_rnn, steps=config.decoder_steps),
        dynamic_rnn=bounded_dynamic_rnn,
        bidirectional_dynamic_rnn=bounded_bidirectional_dynamic_rnn,
    )


def most_steps(config):
    """Returns how many training steps one call makes, at most."""
    size_of_step = config.length_to * config.batch_size * config.encoder_hidden_units * config.layers
    return min(MOST_STEPS, max(1, LARGEST_CALL // size_of_step))


def compile_steps(session, connect, parts, config):
    """Compiles the training step.

    Args:
      session: a tf.Session with initialised variables.
      connect: function from encoder_inputs, encoder_inputs_length, decoder_targets and parts to a Graph, like
        seq2seq_copy.connect(). Its variables exist.
      parts: a seq2seq_copy.Parts.
      config: a settings.Config.

    Returns:
      A function that does for at most most_steps(config) batches what seq2seq_copy.take_steps() does for a session and
      a graph. None if XLA does not compile the step; a warning says why.
    """
    most, batch_size = most_steps(config), config.batch_size
    shapes = ([], [most, config.length_to, batch_size], [most, batch_size], [most, config.decoder_steps, batch_size])
    arguments = [tf.placeholder(tf.int32, shape) for shape in shapes]

    fetches = None

    def take_steps(batches):
        arrays = [np.zeros(argument.shape, np.int32) for argument in arguments[1:]]
        for index, batch in enumerate(batches):
            fill([array[index] for array in arrays], batch)
        feed = dict(zip(arguments, [len(batches), *arrays]))
        return [values[: len(batches)] for values in session.run(fetches, feed)]

    def compile_loop():
        nonlocal fetches
        fetches = compiled_loop(connect, parts._replace(loops=bounded_loops(config)), most)(*arguments)
        take_steps([])

    with warning_if_not_compiled():
        try:
            compile_loop()
        except tf.errors.OpError:
            if not programs.forget():  # else a program that was kept may be to blame
                raise
            compile_loop()
        programs.keep_new()
        return take_steps


def fill(arrays, batch):
    """Writes a helpers.Batch into arrays of zeros of the sizes that XLA knows."""
    for array, values in zip(arrays, batch):
        array[: len(values)] = values


@contextlib.contextmanager
def warning_if_not_compiled():
    """Warns if XLA does not compile what is run inside, and goes on after it."""
    try:
        with tf.silent_compilation():
            yield
    except tf.errors.ResourceExhaustedError:
        raise
    except tf.errors.OpError as error:
        log.warning("XLA cannot compile the step; going on as with --xla off (%s)", str(error).splitlines()[0])


def compiled_loop(connect, parts, most):
    """Returns the function that XLA compiles: a loop that makes a training step with each of the first batches.

    Args:
      connect: as for compile_steps().
      parts: a seq2seq_copy.Parts with bounded loops.
      most: int, how many batches there is room for.

    Returns:
      A tf.function from count int32 [], inputs int32 [most, time, batch], lengths int32 [most, batch] and targets int32
      [most, decoder_time, batch] to the losses, gradient norms and learning rates, each float32 [most].
    """

    @tf.function(jit_compile=True, autograph=False)
    def steps(count, inputs, lengths, targets):
        def step(done, losses, gradient_norms, learning_rates):
            with tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=read_once):
                graph = connect(inputs[done], lengths[done], targets[done], parts=parts)
            return (
                done + 1,
                losses.write(done, graph.loss),
                gradient_norms.write(done, graph.gradient_norm),
                learning_rates.write(done, graph.learning_rate),
            )

        start = (tf.constant(0), *(tf.TensorArray(tf.float32, most, element_shape=[]) for _ in range(3)))
        _, *results = tf.while_loop(lambda done, *_: done < count, step, start, maximum_iterations=most)
        return [array.stack() for array in results]

    return steps
