"""The claims of well-known tutorials about this model, measured.

    python -m experiments.claims                   everything
    python -m experiments.claims cells --seeds 3   one question, with fewer seeds

Trains each variant with seeds 0 to 9 (or fewer) on the same data, with the same number of examples (300,100), two runs
at a time. Prints a Markdown table for each question: median, worst and best exact match on 10,000 held-out sequences,
and the time of training steps on the same number of examples, relative to the first variant. `length` also saves
plots/length.png.
"""

import functools
import itertools
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import helpers
import seq2seq_copy
from experiments import common
from seq2seq_copy import PLAIN, LSTMCell, LSTMStateTuple, train
from support.model import variants
from support.pictures import pictures
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

SEEDS = 10
EXAMPLES = 300_100
ROUNDS, EXAMPLES_OF_ROUND = 5, 10_000  # to compare times


@dataclass(frozen=True)
class Variant(Settings):
    """The settings of a run, and changes that the script has no setting for."""

    decoder_units: int = None  # a matrix brings the state to this width
    forget_bias: float = None  # at first
    train_above: float = None  # the probability above which the decoder may read a symbol, in training
    decode_above: float = None  # the same when it predicts


LONG = {"length_to": 30}
QUESTIONS = {  # a claim, and the variants that test it
    "encoder": (
        "A bidirectional encoder is definitively better, every time, though more expensive.",
        {
            "bidirectional, 20 units each way": Variant(),
            "forward, 20 units; so has the decoder": Variant(encoder="forward"),
            "forward, 40 units; so has the decoder": Variant(encoder="forward", encoder_hidden_units=40),
        },
    ),
    "width": (
        "The decoder is twice as wide as the encoder, to change it a little bit.",
        {
            "40 units, the encoder's state": Variant(),
            "20 units, by a matrix from the state": Variant(decoder_units=20),
            "40 units, by a matrix from the state": Variant(decoder_units=40),
            "80 units, by a matrix from the state": Variant(decoder_units=80),
        },
    ),
    "cells": (
        "GRUs cost less and tend to have better results; a forget-gate bias of 1 closes the gap.",
        {
            "LSTM, forget-gate bias of 4 at first": Variant(),
            "LSTM, forget-gate bias of 1 at first": Variant(forget_bias=1.0),
            "LSTM, forget-gate bias of 0 at first": Variant(forget_bias=0.0),
            "GRU": Variant(cell="gru"),
        },
    ),
    "batch": (
        "Larger batches are worse for accuracy, smaller ones slightly more expensive.",
        {
            f"{size} in a batch": Variant(batch_size=size, max_batches=EXAMPLES // size)
            for size in (100, 25, 50, 200, 400)
        },
    ),
    "attention": (
        "Picking the argmax is attention.",
        {
            "argmax, no attention": Variant(),
            "Bahdanau": Variant(attention="bahdanau"),
            "Luong": Variant(attention="luong"),
        },
    ),
    "feedback": (
        "The decoder reads its own argmax, in training too.",
        {
            "its own argmax": Variant(),
            "the true symbols (teacher forcing)": Variant(feedback="teacher"),
            "scheduled sampling": Variant(feedback="scheduled"),
        },
    ),
    "threshold": (
        "One could feed any symbol above a probability threshold instead of the best one.",
        {
            "the best symbol": Variant(),
            "any above 0.1, in training": Variant(train_above=0.1),
            "any above 0.3, in training": Variant(train_above=0.3),
            "any above 0.1, when decoding": Variant(decode_above=0.1),
            "any above 0.3, when decoding": Variant(decode_above=0.3),
        },
    ),
    "task": (
        "This exact code can learn reversed sequences, and the alphabet: just switch out the data.",
        {
            "copy": Variant(),
            "reverse": Variant(task="reverse"),
            "alphabet": Variant(task="alphabet", vocab_size=28),
        },
    ),
    "rate": (
        "Learning rates are guess-and-check.",
        {f"{rate}": Variant(learning_rate=rate) for rate in (0.03, 0.004, 0.008, 0.015, 0.06, 0.12)},
    ),
    "length": (
        "How far does the final state carry? (Nobody says.)",
        {
            "no attention, 20 units": Variant(**LONG),
            "no attention, 40 units": Variant(**LONG, encoder_hidden_units=40),
            "Bahdanau, 20 units": Variant(**LONG, attention="bahdanau"),
            "Luong, 20 units": Variant(**LONG, attention="luong"),
        },
    ),
}


# Variants that the script has no setting for: they replace parts of the plain model.


def cell_with_forget_bias(bias):
    """Returns a part that replaces LSTMCell: its forget gates start with another bias."""

    def get_variable(getter, name, *arguments, shape, **options):
        if name.endswith("lstm_cell/bias"):
            options["initializer"] = tf.constant_initializer(np.repeat([0.0, 0.0, bias, 0.0], shape[0] // 4))
        return getter(name, *arguments, shape=shape, **options)

    def cell(name, units, input_size):
        with tf.variable_scope(tf.get_variable_scope(), custom_getter=get_variable):
            return LSTMCell(name, units, input_size)

    return cell


def bridge(units):
    """Returns a part that replaces concatenate_states: a matrix brings c and h to another width."""

    def concatenate_and_bridge(forward_state, backward_state):
        state = seq2seq_copy.concatenate_states(forward_state, backward_state)
        with tf.variable_scope("bridge"):
            matrices = [tf.get_variable(name, [state.h.shape[1], units]) for name in state._fields]
            return LSTMStateTuple(*map(tf.matmul, state, matrices))

    return concatenate_and_bridge


def feed_any_above(threshold, seed):
    """Returns a part that replaces make_loop_fn: the decoder predicts and reads any symbol above a probability.

    Each of these is equally likely. If there is none, it takes the best one.
    """

    def make_feeding_loop_fn(encoded, decoder_lengths, decoder_targets):
        loop_fn = seq2seq_copy.make_loop_fn(encoded, decoder_lengths, decoder_targets)

        def feeding_loop_fn(time, cell_output, cell_state, loop_state):
            finished, next_input, next_state, emit, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
            if cell_output is not None:
                logits, best = emit["decoder_logits"], emit["decoder_prediction"]
                seeds = [seed, tf.cast(tf.train.get_global_step(), tf.int32) * 1000 + time]
                is_likely = (tf.nn.softmax(logits) > threshold) | tf.one_hot(best, logits.shape[1], True, False)
                draw = tf.where(is_likely, tf.random.stateless_uniform(tf.shape(logits), seeds), -tf.ones_like(logits))
                chosen = tf.argmax(draw, axis=1, output_type=tf.int32)
                next_input = tf.where(finished, next_input, tf.nn.embedding_lookup(encoded.embeddings, chosen))
                emit = emit | {"decoder_prediction": chosen}
            return finished, next_input, next_state, emit, loop_state

        return feeding_loop_fn

    return make_feeding_loop_fn


def parts_of(variant):
    """Returns the Parts that a Variant predicts with, and the Parts that it is trained with."""
    parts = PLAIN
    if variant.decoder_units is not None:
        parts = parts._replace(concatenate_states=bridge(variant.decoder_units))
    if variant.forget_bias is not None:
        parts = parts._replace(cell=cell_with_forget_bias(variant.forget_bias))
    return [
        parts if threshold is None else parts._replace(make_loop_fn=feed_any_above(threshold, variant.seed))
        for threshold in (variant.decode_above, variant.train_above)
    ]


# Training, and the tables.


def measure(variant):
    """Trains a Variant; returns the lengths of 10,000 held-out sequences, and which of them are exact."""
    _, held_out = helpers.examples(variant, helpers.generators(variant.seed))
    _, _, exact = common.train_model(variant, *parts_of(variant))
    return held_out.lengths, exact


def compare_times(*some):
    """Returns the time of training steps on as many examples, relative to the first Variant.

    The variants take turns, so that a slow minute of the machine slows all of them.
    """
    trainers = [variants.open_trainer(variant, *parts_of(variant)) for variant in some]
    rounds = [[seconds(trainer) for trainer in trainers] for _ in range(ROUNDS)]
    return np.median([np.array(of_round) / of_round[0] for of_round in rounds], axis=0)


def seconds(trainer):
    """Returns how long training takes on EXAMPLES_OF_ROUND examples."""
    config = trainer.model.config
    batches = helpers.task_batches(config, config.batch_size, config.seed)
    batches = list(itertools.islice(batches, EXAMPLES_OF_ROUND // config.batch_size))
    start = time.perf_counter()
    for _ in train(trainer, batches):
        pass
    return time.perf_counter() - start


def draw_lengths(titles, results):
    """Draws the exact match over the length: the median of the seeds, and their range."""
    title = f"Trained on 3 to 30 symbols: median and range of {len(results[0])} seeds"
    labels = {"xlabel": "length of the sequence", "ylabel": "held-out exact match [%]", "title": title}
    figure, axes = common.new_axes(7, 4, **labels)
    for style, title, runs in zip(("-", "-", "-", "--"), titles, results):  # the last two coincide
        lengths = np.unique(runs[0][0])
        shares = [[100 * exact[of == length].mean() for length in lengths] for of, exact in runs]
        common.plot_spread(axes, lengths, shares, style, marker=".", label=title)
    axes.legend()
    return figure


def main():
    parser = common.parser(__doc__, SEEDS)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=" ".join(QUESTIONS), default=list(QUESTIONS))
    arguments = parser.parse_args()
    wanted, seeds = arguments.questions, range(arguments.seeds)
    if unknown := set(wanted) - set(QUESTIONS):
        parser.error(f"{unknown.pop()!r} is not one of {' '.join(QUESTIONS)}")
    head = [f"seeds 0 to {seeds[-1]}", "median", "worst", "best", "time"]
    with common.two_processes() as processes:
        once = functools.cache(functools.partial(processes.submit, measure))
        for question in wanted:
            claim, compared = QUESTIONS[question]
            futures = [[once(replace(variant, seed=seed)) for seed in seeds] for variant in compared.values()]
            results = [[future.result() for future in runs] for runs in futures]
            times = processes.submit(compare_times, *compared.values()).result()
            print(f"## {question}\n\n{claim}\n")
            rows = [
                [title, *common.spread([exact.mean() for _, exact in runs]), f"{multiple:.2f}"]
                for title, runs, multiple in zip(compared, results, times)
            ]
            common.print_table(head, rows)
            if question == "length":
                pictures.save(draw_lengths(compared, results), Path("plots/length.png"))


if __name__ == "__main__":
    main()
