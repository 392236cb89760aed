"""What makes the model learn: the tutorials' recipe, changed step by step into this script's.

    python experiments/recipes.py

Trains the same graph on the same data with each recipe and seeds 0, 1, 2 (six minutes on two cores), and prints a
Markdown table: exact match on 10,000 held-out sequences after 3,001 batches of 100.
"""

import functools
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import helpers
import seq2seq_copy as s2s
from config import Config
from tensorflow_v1 import tf

SEEDS = (0, 1, 2)
ENCODE = s2s.encode


class Recipe(NamedTuple):
    title: str
    learning_rate: float
    one_encoder_cell: bool = False  # for both directions, which then share their weights
    falling: bool = False  # linearly to 0, or constant
    beta2: float = 0.999
    masked_and_clipped: bool = False


RECIPES = [
    Recipe("the tutorials: one encoder cell, Adam, learning rate 0.001, all steps count", 0.001, one_encoder_cell=True),
    Recipe("a cell for each direction", 0.001),
    Recipe("and learning rate 0.015", 0.015),
    Recipe("and falling linearly to 0", 0.015, falling=True),
    Recipe("and beta2 = 0.95", 0.015, falling=True, beta2=0.95),
    Recipe("and padding masked, gradients clipped: this script with --xla off", 0.015, False, True, 0.95, True),
]


def encode_with_one_cell(encoder_inputs_embedded, encoder_inputs_length, config, loops):
    """Encodes as the tutorials do: they pass one cell twice, which today means one set of weights."""
    with tf.variable_scope("encoder"):
        cell = s2s.recurrent_cell("lstm", "cell", config.encoder_hidden_units, encoder_inputs_embedded.shape[2])
    with mock.patch.object(s2s, "recurrent_cell", lambda *_, **__: cell):
        return ENCODE(encoder_inputs_embedded, encoder_inputs_length, config, loops)


def unmasked_loss(graph):
    """Averages the cross-entropy over all steps, as the tutorials do.

    They project after the loop; past the end of a sequence, zeros are projected to the bias, which soon says PAD.
    """
    (output_bias,) = tf.trainable_variables("decoder/output_bias")
    lengths = graph.encoder_inputs_length + helpers.EXTRA_DECODER_STEPS
    mask = tf.transpose(tf.sequence_mask(lengths, tf.shape(graph.decoder_targets)[0]))
    logits = tf.where(
        tf.tile(mask[:, :, tf.newaxis], [1, 1, output_bias.shape[0]]),
        graph.decoder_logits,
        tf.zeros_like(graph.decoder_logits) + output_bias,
    )
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=graph.decoder_targets, logits=logits))


def train_op_of(recipe, graph, config):
    step = tf.train.get_or_create_global_step()
    rate = recipe.learning_rate
    if recipe.falling:
        rate = tf.train.polynomial_decay(rate, step, config.max_batches, end_learning_rate=0.0)
    optimizer = tf.train.AdamOptimizer(rate, beta2=recipe.beta2, name="RecipeAdam")
    return optimizer.minimize(unmasked_loss(graph), global_step=step)


def exact_match(recipe, seed):
    """Trains with a recipe; returns the share of 10,000 held-out sequences that are repeated exactly."""
    config = Config(seed=seed)
    batches, held_out = helpers.examples(config, s2s.HELD_OUT_SEQUENCES, *np.random.default_rng(seed).spawn(2))

    with mock.patch.object(s2s, "encode", encode_with_one_cell if recipe.one_encoder_cell else s2s.encode):
        graph = s2s.build_graph(config)
    train_op = graph.train_op if recipe.masked_and_clipped else train_op_of(recipe, graph, config)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(config.max_batches):
            session.run(train_op, s2s.next_feed(graph, next(batches)))
        exact, _ = s2s.evaluate(functools.partial(s2s.predicted, session, graph), held_out)
    return exact.mean()


def main():
    print(f"| recipe | {' | '.join(f'seed {seed}' for seed in SEEDS)} | median |")
    print("|---|" + "---|" * (len(SEEDS) + 1))
    for recipe in RECIPES:
        shares = [exact_match(recipe, seed) for seed in SEEDS]
        print(f"| {recipe.title} | " + " | ".join(f"{share:.2%}" for share in [*shares, np.median(shares)]) + " |")


if __name__ == "__main__":
    main()
