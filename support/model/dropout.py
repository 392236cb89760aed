"""Dropout in training: a random share of the inputs of the cells and of the projection is set to 0.

It applies to the connections into each layer and out of the top one, but not from one step to the next: Zaremba et al.,
"Recurrent neural network regularization", 2014. All steps of a sequence share the same coins: Gal and Ghahramani,
"A theoretically grounded application of dropout in recurrent neural networks", 2016, section 4.
"""

import zlib

from support.tensorflow import tensorflow_v1 as tf


def with_dropout(parts, config, columns=None):
    """Puts dropout in front of each cell and of the projection. Layers and attention are then added around them.

    columns is a slice, which columns of each batch the model gets; None for all.
    """

    def cell(name, units, input_size):
        return DroppingCell(parts.cell(name, units, input_size), keep_some(name, input_size, config, columns))

    def make_loop_fn(encoded, decoder_lengths, decoder_targets):
        loop_fn = parts.make_loop_fn(encoded, decoder_lengths, decoder_targets)
        kept = keep_some("projection", encoded.final_state.h.shape[1], config, columns)

        def dropping_loop_fn(time, cell_output, cell_state, loop_state):
            return loop_fn(time, None if cell_output is None else cell_output * kept, cell_state, loop_state)

        return dropping_loop_fn

    return parts._replace(cell=cell, make_loop_fn=make_loop_fn)


class DroppingCell:
    """A cell that reads only some of its inputs, in the form that TensorFlow's loops expect."""

    def __init__(self, cell, kept):
        """cell: the cell. kept: float32 [batch, input_size], what its inputs are multiplied by."""
        self.cell, self.kept = cell, kept
        self.output_size, self.state_size, self.zero_state = cell.output_size, cell.state_size, cell.zero_state

    def __call__(self, inputs, state):
        return self.cell(inputs * self.kept, state)


def keep_some(name, size, config, columns=None):
    """Tosses coins for a batch; returns float32 [batch, size]: 0 for what is dropped, else scaled to a mean of 1.

    They depend only on the seed, the batch and the name of the place, but XLA and TensorFlow toss different coins.
    """
    with tf.init_scope():  # outside of what XLA compiles, so that a compiled program is the same for all seeds
        seed = tf.constant(config.seed)
    place = zlib.crc32(name.encode()) >> 1  # 31 bits
    batch = tf.cast(tf.train.get_global_step(), tf.int32)
    seeds = tf.stack([tf.bitwise.bitwise_xor(seed, place), batch])
    coins = tf.random.stateless_uniform([config.batch_size, int(size)], seeds)
    coins = coins if columns is None else coins[columns]
    return tf.cast(coins >= config.dropout, tf.float32) / (1 - config.dropout)
