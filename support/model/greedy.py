"""Greedy decoding when a user asks the model: an answer ends at its EOS and contains no PAD.

In training and evaluation the decoder makes a given number of steps, and PAD before EOS is an error like any other. A
person who asks wants symbols, so here the decoder never chooses PAD. The logits stay as the model gives them, and so do
the probabilities of the chosen symbols.
"""

import numpy as np

from helpers import EOS, EXTRA_DECODER_STEPS, PAD, Batch, batch
from support.tensorflow import tensorflow_v1 as tf


def question(sequences, config, steps=None):
    """Returns a helpers.Batch of sequences without an answer. Nothing may read its targets.

    Args:
      sequences: list of int32 [length].
      config: a settings.Settings, which says how long an answer may become.
      steps: int, how many steps to decode instead.
    """
    inputs, lengths = batch(sequences)
    steps = config.answer_steps(lengths) if steps is None else np.full_like(lengths, steps)
    return Batch(inputs, lengths, np.zeros([steps.max(), lengths.size], np.int32), steps - EXTRA_DECODER_STEPS)


def answer(parts):
    """Puts the rules for answers around the decoder's loop_fn; returns a seq2seq_copy.Parts."""

    def make_loop_fn(encoded, *arguments):
        choosing = encoded._replace(choose=lambda logits: encoded.choose(without_pad(logits)))
        loop_fn = parts.make_loop_fn(choosing, *arguments)

        def answering_loop_fn(time, cell_output, cell_state, loop_state):
            finished, next_input, next_state, emit, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
            if cell_output is not None:
                finished |= tf.equal(emit["decoder_prediction"], EOS)
            return finished, next_input, next_state, emit, loop_state

        return answering_loop_fn

    return parts._replace(make_loop_fn=make_loop_fn)


def without_pad(scores):
    """Returns scores, float32 [..., vocab_size], in which that of PAD is -inf."""
    return tf.where_v2(tf.equal(tf.range(tf.shape(scores)[-1]), PAD), -np.inf, scores)
