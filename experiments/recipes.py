"""What makes the model learn: the tutorials' recipe, changed step by step into this script's.

    python -m experiments.recipes

Trains the same graph on the same data with each recipe and seeds 0 to 9, two runs at a time, and prints a Markdown
table: exact match on 10,000 held-out sequences after 3,001 batches of 100.
"""

import argparse
import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
from support.terminal.settings import Config

import helpers
import seq2seq_copy
from seq2seq_copy import Parts
from support.tensorflow import tensorflow_v1 as tf

SEEDS = range(10)


class Recipe(NamedTuple):
    title: str
    learning_rate: float
    one_encoder_cell: bool = False  # for both directions, which then share their weights
    falling: bool = False  # linearly to 0, or constant
    beta2: float = 0.999
    masked_and_clipped: bool = False
    initial: str = "of the tutorials"  # weights: or "scaled", or "of this script", which also remember
    warm_up: float = 0.0


BEST = {"falling": True, "beta2": 0.95, "masked_and_clipped": True}
RECIPES = [
    Recipe("the tutorials: one encoder cell, Adam, learning rate 0.001, all steps count", 0.001, one_encoder_cell=True),
    Recipe("a cell for each direction", 0.001),
    Recipe("and learning rate 0.015", 0.015),
    Recipe("and falling linearly to 0", 0.015, falling=True),
    Recipe("and beta2 = 0.95", 0.015, falling=True, beta2=0.95),
    Recipe("and padding masked, gradients clipped", 0.015, **BEST),
    Recipe("and larger output weights, smaller embeddings at first", 0.015, **BEST, initial="scaled"),
    Recipe("and forget gates open at first", 0.015, **BEST, initial="of this script"),
    Recipe("and learning rate 0.03", 0.03, **BEST, initial="of this script"),
    Recipe("and rising to it: this script with --xla off", 0.03, **BEST, initial="of this script", warm_up=0.1),
]


def encode_with_one_cell(encoder_inputs_embedded, encoder_inputs_length, encoder_hidden_units, parts):
    """Encodes as the tutorials do: they pass one cell twice, which today means one set of weights."""
    with tf.variable_scope("encoder"):
        cell = parts.cell("cell", encoder_hidden_units, encoder_inputs_embedded.shape[2])
    one_cell = parts._replace(cell=lambda *_: cell)
    return seq2seq_copy.encode(encoder_inputs_embedded, encoder_inputs_length, encoder_hidden_units, one_cell)


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
    rate = seq2seq_copy.scheduled_learning_rate(config) if recipe.falling else recipe.learning_rate
    optimizer = tf.train.AdamOptimizer(rate, beta2=recipe.beta2, name="RecipeAdam")
    return optimizer.minimize(unmasked_loss(graph), global_step=step)


def parts_of(recipe):
    """Returns the Parts that a recipe trains."""
    parts = Parts(tf.nn)
    return parts._replace(encode=encode_with_one_cell) if recipe.one_encoder_cell else parts


def load_initial_weights(recipe, session):
    """Changes the initial weights of the script to those of a recipe.

    The tutorials draw embeddings and output weights from [-1, 1]. Their forget gates have a bias of 1 at first, which
    the cell adds, and not 4.
    """
    for weight in tf.trainable_variables():
        value = session.run(weight)
        if recipe.initial == "of the tutorials" and weight.op.name == "embedding/embeddings":
            value = value / 0.2
        elif recipe.initial == "of the tutorials" and weight.op.name == "decoder/output_weights":
            value = value / 2.5
        elif recipe.initial != "of this script" and weight.op.name.endswith("lstm_cell/bias"):
            value = np.zeros_like(value)
        weight.load(value, session)


def exact_match(recipe, seed):
    """Trains with a recipe; returns the share of 10,000 held-out sequences that are repeated exactly."""
    config = Config(seed=seed, learning_rate=recipe.learning_rate, warm_up=recipe.warm_up)
    batches, held_out = helpers.examples(config, *np.random.default_rng(seed).spawn(2))
    graph = seq2seq_copy.build_graph(config, parts_of(recipe))
    train_op = graph.train_op if recipe.masked_and_clipped else train_op_of(recipe, graph, config)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        load_initial_weights(recipe, session)
        for _ in range(config.max_batches):
            session.run(train_op, seq2seq_copy.next_feed(graph, next(batches)))
        decode = functools.partial(seq2seq_copy.predicted, session, graph)
        exact, _ = seq2seq_copy.evaluate(decode, held_out, config.evaluation_batch)
    return exact.mean()


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"| recipe, seeds {SEEDS[0]} to {SEEDS[-1]} | median | worst | best |")
    print("|---|---|---|---|")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        futures = [[processes.submit(exact_match, recipe, seed) for seed in SEEDS] for recipe in RECIPES]
        for recipe, runs in zip(RECIPES, futures):
            shares = [run.result() for run in runs]
            figures = (np.median(shares), min(shares), max(shares))
            print(f"| {recipe.title} | {' | '.join(f'{100 * share:.2f} %' for share in figures)} |", flush=True)


if __name__ == "__main__":
    main()
