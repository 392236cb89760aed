"""Training with many settings in one process.

Importing TensorFlow and compiling the step take as long as training does. So what a study searches enters the step as
variables, the knobs. One compiled step serves all trials with the same number of sequences in a batch.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import numpy as np

import seq2seq_copy
from seq2seq_copy import Parts
from support.graph import compiled, variants
from support.tensorflow import tensorflow_v1 as tf

ADAM_KNOBS = ("adam_beta1", "adam_beta2", "adam_epsilon")
KNOBS = ("learning_rate", *ADAM_KNOBS, "clip_norm", "warm_up", "decay_start", "decay_power", "averaging")
FORGET_BIAS = 4  # of the script: 3 in the initial bias, and 1 that the cell adds
SCALES = {"embeddings": "embedding_scale", "output_weights": "output_scale", "kernel": "kernel_scale"}


class Trainer:
    """A model with knobs, and its session."""

    def __init__(self, config):
        """config: the settings.Config of everything that no knob sets."""
        self.config = config
        self.graph = seq2seq_copy.build_graph(config, variants.replace_parts(Parts(tf.nn), config))
        self.weights = tf.trainable_variables()
        with tf.variable_scope("knobs"):
            self.knobs = {name: tf.get_variable(name, [], trainable=False) for name in KNOBS}
        with tf.variable_scope("averages"):
            self.averages = [tf.get_variable(weight.op.name, weight.shape, trainable=False) for weight in self.weights]
        adam = [self.knobs[name].read_value for name in ADAM_KNOBS]
        self.optimizer = tf.train.AdamOptimizer(self.learning_rate, *adam, name="AdamWithKnobs")
        parts = variants.replace_parts(Parts(tf.nn), config, training=True)
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):  # the same weights, and new ones for Adam
            graph = self.connect(*self.graph[:3], parts=parts)
        self.adam_state, self.global_step = self.optimizer.variables(), tf.train.get_global_step()

        self.session = tf.Session()
        self.session.run(tf.variables_initializer(self.knobs.values()))  # Adam's state starts from them
        self.session.run(tf.global_variables_initializer())
        compiled_steps = None
        if config.xla == "on":
            compiled_steps = compiled.compile_steps(self.session, self.connect, parts, config)
        self.take_steps = compiled_steps or functools.partial(seq2seq_copy.take_steps, self.session, graph)

    def learning_rate(self):
        """Returns the learning rate of the next step, float32 [].

        It rises to its peak during a share of the run (warm_up), stays there up to a later share (decay_start), and
        falls to 0 like a power of what is left of the run (decay_power).
        """
        done = tf.cast(tf.train.get_or_create_global_step(), tf.float32)
        rise = (done + 1) / tf.maximum(self.knobs["warm_up"] * self.config.max_batches, 1.0)
        left = (1 - done / self.config.max_batches) / (1 - self.knobs["decay_start"])
        fall = tf.pow(tf.clip_by_value(left, 0.0, 1.0), self.knobs["decay_power"])
        return self.knobs["learning_rate"] * tf.minimum(rise, 1.0) * fall

    def connect(self, *inputs, parts):
        """Does what seq2seq_copy.connect() does, with knobs, and averages the weights after each step.

        Source of the average: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992. Here
        it forgets exponentially, over a share of the run (averaging), and at first over a quarter of what is done.
        """
        config = replace(self.config, clip_norm=self.knobs["clip_norm"].read_value())
        graph = seq2seq_copy.connect(*inputs, config=config, optimizer=self.optimizer, parts=parts)
        with tf.control_dependencies([graph.train_op]):
            done = tf.cast(tf.train.get_or_create_global_step().read_value(), tf.float32)
            batches = tf.maximum(tf.minimum(self.knobs["averaging"] * self.config.max_batches, done / 4), 1.0)
            updates = [
                average.assign_sub((average.read_value() - weight.read_value()) / batches)
                for average, weight in zip(self.averages, self.weights)
            ]
        return graph._replace(train_op=tf.group(graph.train_op, *updates))

    def reset(self, settings, weights):
        """Sets the knobs, and everything else as it is before the first step.

        Args:
          settings: dict with a number for each of KNOBS.
          weights: list of arrays, the initial weights.
        """
        powers = {"beta1_power": settings["adam_beta1"], "beta2_power": settings["adam_beta2"]}
        beginning = [(self.knobs[name], settings[name]) for name in KNOBS]
        beginning += [*zip(self.weights, weights), *zip(self.averages, weights), (self.global_step, 0)]
        for state in self.adam_state:
            beginning.append((state, powers.get(state.op.name.split("/")[-1], np.zeros(state.shape))))
        for variable, value in beginning:
            variable.load(value, self.session)

    def train(self, batches):
        """Makes a step with each helpers.Batch; returns whether all losses were finite."""
        batches = iter(batches)
        while call := list(itertools.islice(batches, compiled.most_steps(self.config))):
            losses, *_ = self.take_steps(call)
            if not np.isfinite(losses).all():
                return False
        return True

    def error(self, batch):
        """Returns the share of a helpers.Batch that the averaged weights do not answer exactly.

        It is at least half a sequence, so that its logarithm is finite.
        """
        weights, averages = self.session.run([self.weights, self.averages])
        self.load_weights(averages)
        decode_batch = functools.partial(seq2seq_copy.predicted, self.session, self.graph)
        exact, _ = seq2seq_copy.evaluate(decode_batch, batch, self.config.evaluation_batch)
        self.load_weights(weights)
        return max(0.5, (~exact).sum()) / exact.size

    def load_weights(self, weights):
        for variable, value in zip(self.weights, weights):
            variable.load(value, self.session)


def initial_weights(config):
    """Returns the initial weights of a run of the script with these settings: a dict of arrays by name, in order."""
    seq2seq_copy.build_graph(config, variants.replace_parts(Parts(tf.nn), config))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return {weight.op.name: session.run(weight) for weight in tf.trainable_variables()}


def scaled(weights, settings):
    """Returns initial weights with other scales and another forget-gate bias, as a list of arrays.

    Args:
      weights: what initial_weights() returned.
      settings: dict with a number for each name in SCALES, by which it multiplies the weights, and for forget_bias,
        which stands in for FORGET_BIAS.
    """
    scaled_weights = []
    for name, weight in weights.items():
        weight = weight * settings.get(SCALES.get(name.split("/")[-1]), 1)
        if name.endswith("lstm_cell/bias"):
            i, j, f, o = np.split(weight, 4)
            weight = np.concatenate([i, j, f + settings["forget_bias"] - FORGET_BIAS, o])
        scaled_weights.append(weight)
    return scaled_weights
