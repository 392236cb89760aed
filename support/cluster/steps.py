"""The training steps of several workers: each takes some columns of every batch, and they add up their gradients.

All workers then take the same step of Adam on the same weights. Source: Goyal et al., "Accurate, large minibatch SGD:
training ImageNet in 1 hour", 2017, section 4.
"""

import hashlib
import types
from functools import partial

import numpy as np

from helpers import EXTRA_DECODER_STEPS, Batch
from seq2seq_copy import PLAIN, Model, Trainer, loss_and_gradients, run_in_session
from support.cluster.collective import STEP
from support.model.variants import compiled_if_possible, replace_parts
from support.tensorflow import compiled
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import process


class Stop(process.Stop):
    """Ends training on all workers after the same step: status stays 0 until all know that one wants to stop."""

    wish = 0  # the exit status that this worker sends to the others in its next step

    def request(self, status):
        self.wish = self.wish or status


def open_trainer(config, cluster, stop):
    """Returns a seq2seq_copy.Trainer whose run() makes steps with the other workers, without XLA if it must.

    A Stop ends training.
    """
    columns = share_of_batch(config.batch_size, cluster.size, cluster.index)

    def build(config):
        model = Model(config, replace_parts(PLAIN, config), cluster.open_session)
        parts = replace_parts(PLAIN, config, training=True, columns=columns)
        return Trainer(model, parts, partial(run_together, cluster=cluster, columns=columns, stop=stop))

    return compiled_if_possible(config, build)


def run_together(step, model, cluster, columns, stop):
    """Does the same as seq2seq_copy.run_in_session(), by calling it, with all workers. XLA compiles the gradients only.

    columns is a slice, those of each batch that this worker takes. Without any feed_dict, the result only compiles.
    """
    wish, own_losses, all_wishes = tf.placeholder(tf.float32, []), [], []

    def compute(batch, config, parts):
        own = compute_compiled(batch, config, parts, model.variables, columns) if config.xla == "on" else None
        own_loss, own_gradients = own or loss_and_gradients(batch, config, parts)
        (loss, *gradients), wishes = add_up(cluster, batch, [own_loss, *own_gradients], wish)
        own_losses.append(own_loss)
        all_wishes.append(wishes)
        return loss, gradients

    def run_session(results, feed):
        own = {placeholder: feed[placeholder][..., columns] for placeholder in model.placeholders}
        results, (wishes,) = cluster.run(model.session, [results, all_wishes], feed | own | {wish: stop.wish})
        stop.status = int(next(filter(None, wishes), 0))  # the first worker with a wish decides
        return results

    of_all = types.SimpleNamespace(
        placeholders=model.placeholders,
        learning_rate=model.learning_rate,
        session=types.SimpleNamespace(run=run_session),
    )
    run_all = run_in_session(partial(step, compute=compute), of_all)

    def run(feeds):
        result = None
        for result in run_all(feeds):
            yield result
        if result is None:
            width = [columns.stop - columns.start]
            nothing = Batch(*(np.zeros(shape, np.int32) for shape in ([1, *width], width, [1, *width], width)))
            model.session.run(own_losses, model.feed(nothing))

    return run


def compute_compiled(batch, config, parts, variables, columns):
    """Does the same as seq2seq_copy.loss_and_gradients(), compiled by XLA, for this worker's columns of a batch."""
    too_small = [tf.less(size, [tf.shape(batch.inputs)[0], tf.shape(batch.targets)[0]]) for size in config.sizes]
    size = tf.reduce_sum(tf.cast(tf.reduce_any(too_small, axis=1), tf.int32))
    length, decoder_steps = config.sizes[-1]
    width = [columns.stop - columns.start]
    largest = Batch(*map(pad, batch, ([length, *width], width, [decoder_steps, *width], width)))

    def compute(batch, size):  # no partial(): tf.function would take what it holds for inputs, and trace the variables
        return compiled.compute_for_size(batch, config, parts, variables, size)

    return tf.function(compute, jit_compile=True, autograph=False)(largest, size=size)


def add_up(cluster, batch, means, wish):
    """Turns means over this worker's steps into means over the whole batch. Returns them, and all wishes to stop."""
    steps = tf.reduce_sum(tf.cast(batch.target_lengths + EXTRA_DECODER_STEPS, tf.float32))
    sums = [tf.reshape(mean * steps, [-1]) for mean in means]
    wishes = tf.one_hot(cluster.index, cluster.size) * wish
    added_up = cluster.all_reduce(tf.concat([*sums, [steps], wishes], axis=0), STEP)
    *sums, steps, wishes = tf.split(added_up, [*map(tf.size, sums), 1, cluster.size])
    return [tf.reshape(total / steps, tf.shape(mean)) for total, mean in zip(sums, means)], wishes


def share_variables(cluster, session):
    """Sets all variables to their values on worker 0."""
    for variable in tf.global_variables():
        value = np.atleast_1d(session.run(variable))
        bits = value.view(np.int32).ravel()  # the sum with zeros is exact
        bits = cluster.add(bits if cluster.index == 0 else np.zeros_like(bits))
        variable.load(bits.view(value.dtype).reshape(variable.shape), session)


def check_variables(cluster, session, has_ended=False):
    """Raises UserError unless all workers have the same weights, bit for bit. Returns has_ended of worker 0."""
    values = session.run(tf.global_variables())
    digest = hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()
    (first, has_ended), *others = cluster.exchange([digest, has_ended])
    for worker, (other, _) in enumerate(others, start=1):
        if other != first:
            unsaved = "nothing was saved since the last checkpoint; do all workers have the same kind of processor?"
            cluster.refuse(f"worker {worker} has other weights than worker 0, so {unsaved}", status=1)
    return has_ended


def pad(tensor, shape):
    """Fills up an int32 tensor with PAD to a shape, which XLA must know."""
    missing = [[0, size - now] for size, now in zip(shape, tf.unstack(tf.shape(tensor), len(shape)))]
    return tf.ensure_shape(tf.pad(tensor, missing), shape)


def share_of_batch(batch_size, workers, index):
    """Returns the columns of a batch that a worker takes, a slice. The sizes differ by at most one."""
    return slice(batch_size * index // workers, batch_size * (index + 1) // workers)
