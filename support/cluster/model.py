"""The model that several workers train: each takes some columns of every batch, and they add up their gradients.

All workers then take the same step of Adam on the same weights. Source: Goyal et al., "Accurate, large minibatch SGD:
training ImageNet in 1 hour", 2017, section 4.
"""

import dataclasses
import hashlib

import numpy as np

import helpers
from seq2seq_copy import PLAIN, Model, apply_gradients, compute_gradients
from support.cluster.collective import STEP
from support.model.variants import replace_parts
from support.tensorflow import compiled, startup
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import process


class Stop(process.Stop):
    """Ends training on all workers after the same step: status stays 0 until all know that one wants to stop."""

    wish = 0  # the exit status that this worker sends to the others in its next step

    def request(self, status):
        self.wish = self.wish or status


def open_model(config, cluster):
    """Builds the ClusterModel of a settings.Settings. If XLA does not compile it, warns and builds it without XLA."""
    if config.xla == "on":
        with compiled.warning_if_not_compiled():
            return ClusterModel(config, cluster)
    return ClusterModel(dataclasses.replace(config, xla="off"), cluster)


class ClusterModel(Model):
    """A Model that the workers of a collective.Cluster train together, until its stop has a status."""

    loss_and_gradients = compiled.CompiledModel.loss_and_gradients  # reads config and training_parts

    def __init__(self, config, cluster):
        self.cluster, self.open_session, self.stop = cluster, cluster.open_session, Stop()
        self.columns = share_of_batch(config.batch_size, cluster.size, cluster.index)
        training_parts = replace_parts(PLAIN, config, training=True, columns=self.columns)
        super().__init__(config, replace_parts(PLAIN, config), training_parts)
        if config.xla == "on":
            with startup.silent_compilation():
                zeros = np.zeros([1, config.batch_size])[:, self.columns]
                self.session.run(self.own_loss, self.feed([zeros, zeros[0]] * 2))

    def add_train_op(self):
        """Adds the gradients of this worker's columns, one all-reduce, and Adam. XLA can compile only the gradients."""
        if self.config.xla == "on":
            size = self.columns.stop - self.columns.start
            shapes = [self.config.length_to, size], [size], [self.config.decoder_steps, size], [size]
            compute = tf.function(self.loss_and_gradients, jit_compile=True, autograph=False)
            self.own_loss, *gradients = compute(*map(pad, self.placeholders, shapes))
        else:
            with tf.variable_scope(tf.get_variable_scope(), reuse=True):
                self.own_loss = self.connect(self.training_parts)["loss"]
            gradients = compute_gradients(self.own_loss)
        self.loss, *gradients = self.add_up(self.own_loss, *gradients)
        self.train_op, self.gradient_norm = apply_gradients(gradients, self.learning_rate, self.config)

    def add_up(self, *means):
        """Turns means over this worker's steps into means over the whole batch. The sums include the wishes to stop."""
        steps = tf.reduce_sum(tf.cast(self.decoder_targets_length + helpers.EXTRA_DECODER_STEPS, tf.float32))
        self.wish, size = tf.placeholder(tf.float32, []), self.cluster.size
        sums = [tf.reshape(mean * steps, [-1]) for mean in means]
        wishes = tf.one_hot(self.cluster.index, size) * self.wish
        added_up = self.cluster.all_reduce(tf.concat([*sums, [steps], wishes], axis=0), STEP)
        *sums, steps, self.wishes = tf.split(added_up, [*map(tf.size, sums), 1, size])
        return [tf.reshape(total / steps, tf.shape(mean)) for total, mean in zip(sums, means)]

    def take_steps(self, batches, learning_rates):
        """Like Model.take_steps(), with all workers, for one batch. Raises UserError if a worker is lost."""
        (batch,), (rate,) = batches, learning_rates
        feed = self.feed(helpers.take(batch, self.columns.start, self.columns.stop))
        feed |= {self.learning_rate: rate, self.wish: self.stop.wish}
        fetches = [self.loss, self.gradient_norm, self.wishes, self.train_op]
        loss, gradient_norm, wishes, _ = self.cluster.run(self.session, fetches, feed)
        self.stop.status = int(next(filter(None, wishes), 0))  # the first worker with a wish decides
        return [loss], [gradient_norm]

    def share_variables(self):
        """Sets all variables to their values on worker 0."""
        for variable in tf.global_variables():
            value = np.atleast_1d(self.session.run(variable))
            bits = value.view(np.int32).ravel()  # the sum with zeros is exact
            bits = self.cluster.add(bits if self.cluster.index == 0 else np.zeros_like(bits))
            variable.load(bits.view(value.dtype).reshape(variable.shape), self.session)

    def check_variables(self, has_ended=False):
        """Raises UserError unless all workers have the same weights, bit for bit. Returns has_ended of worker 0."""
        values = self.session.run(tf.global_variables())
        digest = hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()
        (first, has_ended), *others = self.cluster.exchange([digest, has_ended])
        for worker, (other, _) in enumerate(others, start=1):
            if other != first:
                unsaved = "nothing was saved since the last checkpoint; do all workers have the same kind of processor?"
                self.cluster.refuse(f"worker {worker} has other weights than worker 0, so {unsaved}", status=1)
        return has_ended


def pad(tensor, shape):
    """Fills up an int32 tensor with PAD to a shape, which XLA must know."""
    missing = [[0, size - now] for size, now in zip(shape, tf.unstack(tf.shape(tensor), len(shape)))]
    return tf.ensure_shape(tf.pad(tensor, missing), shape)


def share_of_batch(batch_size, workers, index):
    """Returns the columns of a batch that a worker takes, a slice. The sizes differ by at most one."""
    return slice(batch_size * index // workers, batch_size * (index + 1) // workers)
