"""Training steps compiled by XLA, many in one call.

The step is that of seq2seq_copy.py, connected by the same functions. XLA compiles it inside a loop over batches,
because a call into a compiled program costs half as much as a step.

XLA must know all sizes beforehand. tf.nn.raw_rnn does not: its loop runs for as long as any sequence is unfinished,
and writes into an array that grows. bounded_raw_rnn keeps its contract in a loop of a known length.
"""

import functools
import sys
import types

import numpy as np

from tensorflow_v1 import silent_stderr, tf

MOST_STEPS = 50  # in one call; Ctrl-C and the progress bar wait for its end
LARGEST_CALL = 1_000_000  # symbols times units
LARGEST_TENSOR = 2**31 - 1  # numbers; XLA counts them in 32 bits, and a step needs a dozen such tensors


def bounded_raw_rnn(cell, loop_fn, steps):
    """Does what tf.nn.raw_rnn does, in a number of steps that is known beforehand.

    Args:
      cell: an RNN cell.
      loop_fn: as for tf.nn.raw_rnn; all shapes that it returns are known, and its loop_state is always None or always
        of one shape.
      steps: int, as many as the longest sequence can need.

    Returns:
      emit: a TensorArray [steps] for each tensor that loop_fn emits, zero past the end of a sequence.
      state: the state of the cell after the last step of each sequence.
      loop_state: the last one.
    """
    each = tf.nest.map_structure
    with tf.variable_scope("rnn"):
        finished, cell_input, state, emit_structure, loop_state = loop_fn(tf.constant(0), None, None, None)
        keeps_state = loop_state is not None
        zeros = each(lambda one: tf.zeros([finished.shape[0], *one.shape], one.dtype), emit_structure)
        # Lists, because the gradient of a write into a TensorArray would copy the whole array at each step.
        emit = each(
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
            unless_finished = functools.partial(tf.where, finished)
            next_state = each(unless_finished, state, next_state)
            emit_output = each(unless_finished, zeros, emit_output)
            emit = each(lambda to, new: tf.raw_ops.TensorListPushBack(input_handle=to, tensor=new), emit, emit_output)
            return time + 1, finished | now_finished, next_input, next_state, loop_state if keeps_state else (), emit

        start = (tf.constant(0), finished, cell_input, state, loop_state if keeps_state else (), emit)
        *_, state, loop_state, emit = tf.while_loop(
            lambda time, *_: time < steps, step, start, maximum_iterations=steps
        )

        def array(emitted, zero):
            stacked = tf.raw_ops.TensorListStack(
                input_handle=emitted, element_shape=zero.shape, element_dtype=zero.dtype, num_elements=steps
            )
            return tf.TensorArray(zero.dtype, steps).unstack(stacked)

        return each(array, emit, zeros), state, loop_state if keeps_state else None


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
    """A custom_getter that reads a variable where it is asked for, not anew at each step of a loop."""
    return tf.identity(getter(*arguments, **options))


def bounded_loops(config):
    """Returns what connect() takes in the place of tf.nn."""
    return types.SimpleNamespace(
        raw_rnn=functools.partial(bounded_raw_rnn, steps=config.decoder_steps),
        dynamic_rnn=bounded_dynamic_rnn,
        bidirectional_dynamic_rnn=bounded_bidirectional_dynamic_rnn,
    )


def most_steps(config):
    """Returns how many training steps one call makes, at most."""
    step = config.length_to * config.batch_size * config.encoder_hidden_units
    return min(MOST_STEPS, max(1, LARGEST_CALL // step))


def compile_steps(session, graph, connect, config):
    """Compiles the training step.

    Args:
      session: a tf.Session with initialised variables.
      graph: the Graph that the variables belong to.
      connect: seq2seq_copy.connect().
      config: the Config.

    Returns:
      A function that does for at most most_steps(config) batches what seq2seq_copy.take_steps() does for a session and
      a graph. If XLA does not compile the step, None, after a line on stderr.

    Raises:
      MemoryError: a tensor would be larger than XLA can handle.
    """
    most, time, batch_size, decoder_time = most_steps(config), config.length_to, config.batch_size, config.decoder_steps
    units = config.encoder_hidden_units * (1 if config.encoder == "forward" else 2)  # of the decoder
    a_step = max(config.vocab_size, 4 * units)
    if config.attention == "bahdanau":
        a_step = max(a_step, time * units)  # what the scores are made of, kept for the gradient
    if decoder_time * batch_size * a_step > LARGEST_TENSOR:
        raise MemoryError
    arguments = [
        tf.placeholder(tf.int32, shape)
        for shape in ([], [most, time, batch_size], [most, batch_size], [most, decoder_time, batch_size])
    ]

    def take_steps(batches):
        inputs, lengths, targets = (np.zeros(argument.shape, np.int32) for argument in arguments[1:])
        for index, batch in enumerate(batches):
            inputs[index, : len(batch.inputs)] = batch.inputs
            lengths[index] = batch.lengths
            targets[index, : len(batch.targets)] = batch.targets
        feed = dict(zip(arguments, [len(batches), inputs, lengths, targets]))
        return [values[: len(batches)] for values in session.run(fetches, feed)]

    try:
        with silent_stderr():  # TensorFlow 2.16 writes there that it uses XLA
            fetches = compiled_loop(graph, connect, config)(*arguments)
            take_steps([])
    except tf.errors.ResourceExhaustedError:
        raise
    except tf.errors.OpError as error:
        reason = str(error).splitlines()[0]
        print(f"seq2seq_copy.py: XLA cannot compile the step; going on as with --xla off ({reason})", file=sys.stderr)
        return None
    return take_steps


def compiled_loop(graph, connect, config):
    """Returns the function that XLA compiles: a loop that makes a training step with each of the first batches.

    Args: as for compile_steps().

    Returns:
      A tf.function from count int32 [], inputs int32 [most, time, batch], lengths int32 [most, batch] and targets int32
      [most, decoder_time, batch] to the losses, gradient norms and learning rates, each float32 [most].
    """
    most, loops = most_steps(config), bounded_loops(config)

    @tf.function(jit_compile=True, autograph=False)
    def steps(count, inputs, lengths, targets):
        def step(done, losses, gradient_norms, learning_rates):
            with tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=read_once):
                one = connect(inputs[done], lengths[done], targets[done], config, graph.optimizer, loops)
            return (
                done + 1,
                losses.write(done, one.loss),
                gradient_norms.write(done, one.gradient_norm),
                learning_rates.write(done, one.learning_rate),
            )

        start = (tf.constant(0), *(tf.TensorArray(tf.float32, most, element_shape=[]) for _ in range(3)))
        _, *each_step = tf.while_loop(lambda done, *_: done < count, step, start, maximum_iterations=most)
        return [array.stack() for array in each_step]

    return steps
