"""The training step compiled by XLA, many steps in one call.

The step is the same as in seq2seq_copy.py, made by the same functions; only the plain model's loops are rewritten, with
their gradients (backpropagation.py). XLA compiles the step inside a loop over batches, because one call into a compiled
program takes half as long as a step.
"""

import contextlib
import logging
from functools import partial

import numpy as np

from helpers import EXTRA_DECODER_STEPS
from seq2seq_copy import PLAIN, Model, apply_gradients, build_model, compute_gradients
from support.tensorflow import backpropagation, compile_cache, startup
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.bounded_rnn import bounded_loops

MOST_STEPS = 50  # in one call; Ctrl-C and the progress bar wait until it ends
LARGEST_CALL = 1_000_000  # symbols times units of all layers

log = logging.getLogger(__name__)


def most_steps(config):
    """Returns how many training steps one call makes, at most."""
    size_of_step = config.length_to * config.batch_size * config.encoder_hidden_units * config.layers
    return min(MOST_STEPS, max(1, LARGEST_CALL // size_of_step))


class CompiledModel(Model):
    """A Model whose training steps XLA compiles. Its plain graph has no gradients; it only predicts.

    Raises:
      tf.errors.OpError: XLA does not compile the step.
    """

    def __init__(self, config, parts, training_parts):
        super().__init__(config, parts, training_parts)
        with startup.silent_compilation():
            self.take_steps([], [])  # compiles

    def add_train_op(self):
        """Adds a loop that makes a training step with each of the first batches; take_steps() feeds it."""
        config, most, batch_size = self.config, most_steps(self.config), self.config.batch_size
        shapes = ([config.length_to, batch_size], [batch_size], [config.decoder_steps, batch_size], [batch_size])
        with tf.name_scope("compiled_steps"):
            self.count = tf.placeholder(tf.int32, [])
            self.batches = [tf.placeholder(tf.int32, [most, *shape]) for shape in shapes]
            self.learning_rates = tf.placeholder(tf.float32, [most])

        @tf.function(jit_compile=True, autograph=False)
        def steps(count, inputs, lengths, targets, target_lengths, learning_rates):
            def step(done, losses, gradient_norms):
                batch = (inputs[done], lengths[done], targets[done], target_lengths[done])
                loss, *gradients = self.loss_and_gradients(*batch)
                train_op, gradient_norm = apply_gradients(gradients, learning_rates[done], config)
                with tf.control_dependencies([train_op]):
                    return done + 1, losses.write(done, loss), gradient_norms.write(done, gradient_norm)

            start = (tf.constant(0), *(tf.TensorArray(tf.float32, most, element_shape=[]) for _ in range(2)))
            _, *results = tf.while_loop(lambda done, *_: done < count, step, start, maximum_iterations=most)
            return [array.stack() for array in results]

        with tf.name_scope("compiled_steps"):
            self.losses_and_gradient_norms = steps(self.count, *self.batches, self.learning_rates)

    def loss_and_gradients(self, inputs, lengths, targets, target_lengths):
        """Builds the model once for each size of batch; the smallest size that holds a batch is run."""

        def compute(length, decoder_steps):
            batch = (inputs[:length], lengths, targets[:decoder_steps], target_lengths)
            with reading_once():
                if self.training_parts == PLAIN and backpropagation.is_up_to_date():
                    loss = backpropagation.plain_loss(*batch, self.config)
                else:
                    loss = build_model(*batch, self.config, self.training_parts, bounded_loops(decoder_steps))["loss"]
                return [loss, *compute_gradients(loss)]

        sizes = self.config.sizes
        if len(sizes) == 1:
            return compute(*sizes[0])
        longest = [tf.reduce_max(lengths), tf.reduce_max(target_lengths) + EXTRA_DECODER_STEPS]
        too_small = tf.reduce_any(tf.less(sizes, longest), axis=1)  # [sizes]; each has room for the ones before
        return tf.switch_case(tf.reduce_sum(tf.cast(too_small, tf.int32)), [partial(compute, *size) for size in sizes])

    def open_session(self):
        # A session with its own options forgets which devices are visible.
        options = tf.ConfigProto(device_count={"GPU": len(tf.config.get_visible_devices("GPU"))})
        # TensorFlow's own optimizer gives constants random names, so that XLA would not recognise a cached program.
        options.graph_options.rewrite_options.disable_meta_optimizer = True
        return tf.Session(config=options)

    def take_steps(self, batches, learning_rates):
        """Does the same as Model.take_steps(), for at most most_steps(config) batches."""
        arrays = [np.zeros(placeholder.shape, np.int32) for placeholder in self.batches]
        for index, batch in enumerate(batches):
            fill([array[index] for array in arrays], batch)
        rates = np.zeros(self.learning_rates.shape, np.float32)
        rates[: len(batches)] = learning_rates
        feed = dict(zip((self.count, *self.batches, self.learning_rates), (len(batches), *arrays, rates)))
        return [values[: len(batches)] for values in self.session.run(self.losses_and_gradient_norms, feed)]


def compile_model(config, parts, training_parts):
    """Returns a CompiledModel, or None if XLA does not compile the step; a warning says why."""
    with warning_if_not_compiled():
        try:
            return CompiledModel(config, parts, training_parts)
        except tf.errors.OpError:
            if not compile_cache.forget():  # a cached program may be to blame
                raise
            return CompiledModel(config, parts, training_parts)


def fill(arrays, batch):
    """Writes a helpers.Batch into arrays of zeros of the sizes that XLA knows."""
    for array, values in zip(arrays, batch):
        array[: len(values)] = values


def reading_once():
    """Returns a variable scope that reuses the model's variables, and reads each one where it is requested.

    Without it, a variable would be read again at each step of a loop.
    """

    def read_once(getter, *arguments, **options):
        return tf.identity(getter(*arguments, **options))

    return tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=read_once)


@contextlib.contextmanager
def warning_if_not_compiled():
    """Warns if XLA does not compile the code inside, and continues after it."""
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise
    except tf.errors.OpError as error:
        log.warning("XLA cannot compile the step; continuing as with --xla off (%s)", str(error).splitlines()[0])
