"""Training steps compiled by XLA, many in one call of the session.

The step is seq2seq_copy.training_step(). XLA compiles it inside a loop over batches, because one call into a compiled
program takes half as long as a step.
"""

import itertools
import types
from functools import partial

import numpy as np

import helpers
from seq2seq_copy import loss_and_gradients, run_in_session
from support.errors import UserError
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.bounded_rnn import loops_of_length
from support.tensorflow.sharing import Made, recording, reusing

MOST_STEPS = 50  # in one call; Ctrl-C and the progress bar wait until it ends
LARGEST_CALL = 2_000_000  # symbols of inputs and answers, times units of all layers


def most_steps(config):
    """Returns how many training steps one call makes, at most. config: a settings.Settings."""
    symbols = config.batch_size * sum(config.sizes[-1])
    return min(MOST_STEPS, max(1, LARGEST_CALL // (symbols * config.encoder_hidden_units * config.layers)))


def run_compiled(step, model):
    """Does the same as seq2seq_copy.run_in_session(), by calling it with many steps at once, which XLA has compiled.

    Without any feed_dict, the function that is returned only compiles.

    Raises:
      tf.errors.OpError: XLA does not compile the step.
    """
    most = most_steps(model.config)
    with tf.name_scope("compiled_steps"):
        count, sizes = tf.placeholder(tf.int32, []), tf.placeholder(tf.int32, [most])
        learning_rates = tf.placeholder(tf.float32, [most])
        stacks = helpers.Batch(*(tf.placeholder(tf.int32, [most, *shape]) for shape in shapes_of_batch(model.config)))

    made = Made(list)  # by the optimizer and the like

    @tf.function(jit_compile=True, autograph=False)
    def compiled_steps(count, sizes, stacks, learning_rates):
        def one_step(done, losses, gradient_norms):
            batch = helpers.Batch(*(stack[done] for stack in stacks))
            compute = partial(compute_for_size, variables=model.variables, size=sizes[done])
            with reusing(made) if made else recording(made):  # a tf.function that makes variables is traced twice
                results = step(batch, learning_rates[done], compute=compute)
            if len(results) != 2:
                raise UserError(f"training_step() returns {len(results)} results; train() and XLA's loop take 2", 1)
            return done + 1, losses.write(done, results[0]), gradient_norms.write(done, results[1])

        start = (tf.constant(0), *(tf.TensorArray(tf.float32, most, element_shape=[]) for _ in range(2)))
        _, *results = tf.while_loop(lambda done, *_: done < count, one_step, start, maximum_iterations=most)
        return [array.stack() for array in results]

    of_many = types.SimpleNamespace(placeholders=stacks, learning_rate=learning_rates, session=model.session)
    with tf.name_scope("compiled_steps"):
        run_many = run_in_session(partial(compiled_steps, count, sizes), of_many)

    def run(feeds):
        feeds = iter(feeds)
        some = list(itertools.islice(feeds, most))
        while True:
            stacked = dict(zip((*stacks, learning_rates, sizes), stack(some, model, most)))
            for losses, gradient_norms in run_many([stacked | {count: len(some)}]):
                yield from zip(losses[: len(some)], gradient_norms[: len(some)])
            some = list(itertools.islice(feeds, most))
            if not some:
                return

    return run


def shapes_of_batch(config):
    """Returns the shapes of the largest batches, like a helpers.Batch."""
    (length, decoder_steps), columns = config.sizes[-1], [config.batch_size]
    return [length, *columns], columns, [decoder_steps, *columns], columns


def stack(feeds, model, most):
    """Stacks the feed_dicts of at most so many steps.

    Returns:
      The arrays of their helpers.Batch, int32 [most, ...], the learning rates, float32 [most], and which of the sizes
      each batch has, int32 [most]. What is left is zero.
    """
    arrays = [np.zeros([most, *shape], np.int32) for shape in shapes_of_batch(model.config)]
    learning_rates, sizes = np.zeros([most], np.float32), np.zeros([most], np.int32)
    for index, feed in enumerate(feeds):
        batch = helpers.Batch(*(feed[placeholder] for placeholder in model.placeholders))
        learning_rates[index], sizes[index] = feed[model.learning_rate], size_that_fits(batch, model.config)
        for array, values in zip(arrays, batch):
            array[(index, *map(slice, values.shape))] = values
    return *arrays, learning_rates, sizes


def size_that_fits(batch, config):
    """Returns the index of the first of config.sizes that has room for a batch. Raises UserError if none has."""
    (time, columns), decoder_time = batch.inputs.shape, len(batch.targets)
    fitting = [index for index, (length, steps) in enumerate(config.sizes) if time <= length and decoder_time <= steps]
    if not fitting or columns != config.batch_size:
        shape = f"{columns} sequences, {time} inputs and {decoder_time} decoder steps"
        sizes = " or ".join(f"{length} inputs and {steps} decoder steps" for length, steps in config.sizes)
        compiled = f"XLA has compiled a step for {config.batch_size} sequences, {sizes}"
        raise UserError(f"a batch has {shape}, but {compiled}; --xla off takes any", status=1)
    return fitting[0]


def compute_for_size(batch, config, parts, variables, size):
    """Does the same as loss_and_gradients(), with a program for each of config.sizes; size int32 [] says which runs."""

    def compute(length, decoder_steps):
        cut = batch._replace(inputs=batch.inputs[:length], targets=batch.targets[:decoder_steps])
        with reusing(variables, read=lambda variable: variable.read_value()):  # not what a loop has cached
            return loss_and_gradients(cut, config, parts._replace(loops=loops_of_length(decoder_steps)))

    if len(config.sizes) == 1:
        return compute(*config.sizes[0])
    return tf.switch_case(size, [partial(compute, *each) for each in config.sizes])
