"""What the well-known tutorials say about this model, measured.

    python -m experiments.claims                   everything
    python -m experiments.claims cells --seeds 3   one question, with fewer seeds

Trains each variant with seeds 0 to 9 (or fewer) on the same data, with the same number of examples (300,100), two runs
at a time. Prints a Markdown table for each question: median, worst and best exact match on 10,000 held-out sequences,
and the time of training steps with the same number of examples, as a multiple of that of the first variant. `length`
also saves plots/length.png.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from support.terminal.settings import Config, whole_number

from experiments import training
from seq2seq_copy import LSTMCell, Parts
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import pictures

SEEDS = 10
EXAMPLES = 300_100
ROUNDS, EXAMPLES_OF_ROUND = 5, 10_000  # to compare times


class Question(NamedTuple):
    """A claim, and what is compared to judge it: the settings of each variant, {} for the defaults."""

    claim: str
    settings_of: dict  # by the title of the variant


LONG = {"length_to": 30}
QUESTIONS = {
    "encoder": Question(
        "A bidirectional encoder is definitively better, every time, though more expensive.",
        {
            "bidirectional, 20 units each way": {},
            "forward, 20 units; so has the decoder": {"encoder": "forward"},
            "forward, 40 units; so has the decoder": {"encoder": "forward", "encoder_hidden_units": 40},
        },
    ),
    "width": Question(
        "The decoder is twice as wide as the encoder, to change it a little bit.",
        {
            "40 units, the encoder's state": {},
            "20 units, by a matrix from the state": {"decoder_units": 20},
            "40 units, by a matrix from the state": {"decoder_units": 40},
            "80 units, by a matrix from the state": {"decoder_units": 80},
        },
    ),
    "cells": Question(
        "GRUs cost less and tend to have better results; a forget-gate bias of 1 closes the gap.",
        {
            "LSTM, forget-gate bias of 4 at first": {},
            "LSTM, forget-gate bias of 1 at first": {"forget_bias": 1.0},
            "LSTM, forget-gate bias of 0 at first": {"forget_bias": 0.0},
            "GRU": {"cell": "gru"},
        },
    ),
    "batch": Question(
        "Larger batches are worse for accuracy, smaller ones slightly more expensive.",
        {"100 in a batch": {}}
        | {f"{size} in a batch": {"batch_size": size, "max_batches": EXAMPLES // size} for size in (25, 50, 200, 400)},
    ),
    "attention": Question(
        "Picking the argmax is attention.",
        {"argmax, no attention": {}, "Bahdanau": {"attention": "bahdanau"}, "Luong": {"attention": "luong"}},
    ),
    "feedback": Question(
        "The decoder reads its own argmax, in training too.",
        {
            "its own argmax": {},
            "the true symbols (teacher forcing)": {"feedback": "teacher"},
            "scheduled sampling": {"feedback": "scheduled"},
        },
    ),
    "threshold": Question(
        "One could feed any symbol above a probability threshold instead of the best one.",
        {
            "the best symbol": {},
            "any above 0.1, in training": {"train_above": 0.1},
            "any above 0.3, in training": {"train_above": 0.3},
            "any above 0.1, when decoding": {"decode_above": 0.1},
            "any above 0.3, when decoding": {"decode_above": 0.3},
        },
    ),
    "task": Question(
        "This exact code can learn reversed sequences, and the alphabet: just switch out the data.",
        {"copy": {}, "reverse": {"task": "reverse"}, "alphabet": {"task": "alphabet", "vocab_size": 28}},
    ),
    "rate": Question(
        "Learning rates are guess-and-check.",
        {"0.03": {}} | {f"{rate}": {"learning_rate": rate} for rate in (0.004, 0.008, 0.015, 0.06, 0.12)},
    ),
    "length": Question(
        "How far does the final state carry? (Nobody says.)",
        {
            "no attention, 20 units": LONG,
            "no attention, 40 units": LONG | {"encoder_hidden_units": 40},
            "Bahdanau, 20 units": LONG | {"attention": "bahdanau"},
            "Luong, 20 units": LONG | {"attention": "luong"},
        },
    ),
}


# ---------------------------------------------------------------------------------------------------
# Variants that the script has no setting for: parts that replace those of the plain model.


def cell_with_forget_bias(bias):
    """Returns an LSTMCell with another forget-gate bias at first: 3 are learned from there, and the cell adds 1."""
    return type("LSTMCell", (LSTMCell,), {"forget_bias": bias - 3.0})


def bridge(encode, units):
    """Returns an encode() that brings the final state to another width by a matrix for each of its parts."""

    def encode_and_bridge(*arguments):
        encoder_outputs, state = encode(*arguments)
        with tf.variable_scope("bridge"):
            parts_of_state = [
                tf.matmul(part, tf.get_variable(name, [part.shape[1], units])) for name, part in state._asdict().items()
            ]
        return encoder_outputs, type(state)(*parts_of_state)

    return encode_and_bridge


def feed_any_above(make_loop_fn, threshold, seed):
    """Returns a make_loop_fn() whose decoder predicts and reads any symbol above a probability, each equally likely.

    If there is none, it takes the best one.
    """

    def make_feeding_loop_fn(embeddings, *arguments, **unread):
        loop_fn = make_loop_fn(embeddings, *arguments, **unread)

        def feeding_loop_fn(time, cell_output, cell_state, loop_state):
            finished, next_input, next_state, emit, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
            if cell_output is not None:
                logits, best = emit
                step = [seed, tf.cast(tf.train.get_or_create_global_step(), tf.int32) * 1000 + time]
                is_likely = (tf.nn.softmax(logits) > threshold) | tf.one_hot(best, logits.shape[1], True, False)
                draw = tf.where(is_likely, tf.random.stateless_uniform(tf.shape(logits), step), -tf.ones_like(logits))
                chosen = tf.argmax(draw, axis=1, output_type=tf.int32)
                next_input = tf.where(finished, next_input, tf.nn.embedding_lookup(embeddings, chosen))
                emit = (logits, chosen)
            return finished, next_input, next_state, emit, loop_state

        return feeding_loop_fn

    return make_feeding_loop_fn


def parts_of(seed, decoder_units=None, forget_bias=None, above=None):
    """Returns the Parts of a variant."""
    parts = Parts(tf.nn)
    if decoder_units is not None:
        parts = parts._replace(encode=bridge(parts.encode, decoder_units))
    if forget_bias is not None:
        parts = parts._replace(cell=cell_with_forget_bias(forget_bias))
    if above is not None:
        parts = parts._replace(make_loop_fn=feed_any_above(parts.make_loop_fn, above, seed))
    return parts


# ---------------------------------------------------------------------------------------------------
# Training, and the tables.


def build(settings, seed):
    """Returns a training.Model; settings as in a Question."""
    settings = dict(settings)
    train_above, decode_above = settings.pop("train_above", None), settings.pop("decode_above", None)
    changes = {name: settings.pop(name) for name in ("decoder_units", "forget_bias") if name in settings}
    decoding_parts, training_parts = (parts_of(seed, **changes, above=above) for above in (decode_above, train_above))
    return training.build(Config(seed=seed, **settings), decoding_parts, training_parts)


def train(settings, seed):
    """Trains a variant; returns the lengths of 10,000 held-out sequences, and which of them are exact."""
    model = build(settings, seed)
    training.take(model, model.config.max_batches)
    exact, _ = training.evaluate(model, model.held_out)
    return model.held_out.lengths, exact


def times(many_settings):
    """Returns the time of training steps with as many examples, as a multiple of that of the first variant.

    The variants take turns, so that what slows the machine for a while slows them alike.
    """
    built = [build(settings, seed=0) for settings in many_settings]
    rounds = [
        [training.take(model, EXAMPLES_OF_ROUND // model.config.batch_size) for model in built] for _ in range(ROUNDS)
    ]
    return np.median([np.array(seconds) / seconds[0] for seconds in rounds], axis=0)


def table(titles, results, multiples):
    """Returns the Markdown table of a question."""
    lines = [f"| seeds 0 to {len(results[0]) - 1} | median | worst | best | time |", "|---|---|---|---|---|"]
    for title, runs, multiple in zip(titles, results, multiples):
        shares = [exact.mean() for _, exact in runs]
        figures = " | ".join(f"{100 * share:.2f} %" for share in (np.median(shares), min(shares), max(shares)))
        lines.append(f"| {title} | {figures} | {multiple:.2f} |")
    return "\n".join(lines)


def by_length(titles, results):
    """Draws the exact match over the length: the median of the seeds, and their range."""
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for line, (title, runs) in zip(("-", "-", "-", "--"), zip(titles, results)):  # the last two coincide
        lengths = np.unique(runs[0][0])
        shares = [[100 * exact[of == length].mean() for length in lengths] for of, exact in runs]
        axes.plot(lengths, np.median(shares, axis=0), line, marker=".", label=title)
        axes.fill_between(lengths, np.min(shares, axis=0), np.max(shares, axis=0), alpha=0.2)
    axes.set_xlabel("length of the sequence")
    axes.set_ylabel("held-out exact match [%]")
    axes.set_title(f"Trained on 3 to 30 symbols: median and range of {len(results[0])} seeds")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def main():
    parser = argparse.ArgumentParser(description="The claims of the tutorials, measured.")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=" ".join(QUESTIONS), default=list(QUESTIONS))
    parser.add_argument("--seeds", type=whole_number(1, 1000), default=SEEDS, metavar="N", help=f"default: {SEEDS}")
    arguments = parser.parse_args()
    wanted, seeds = arguments.questions, range(arguments.seeds)
    if unknown := set(wanted) - set(QUESTIONS):
        parser.error(f"{unknown.pop()!r} is not one of {' '.join(QUESTIONS)}")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        once = functools.cache(lambda settings, seed: processes.submit(train, settings, seed))
        for question in wanted:
            claim, settings_of = QUESTIONS[question]
            many_settings = [tuple(sorted(settings.items())) for settings in settings_of.values()]
            futures = [[once(settings, seed) for seed in seeds] for settings in many_settings]
            results = [[future.result() for future in runs] for runs in futures]
            multiples = processes.submit(times, many_settings).result()
            print(f"## {question}\n\n{claim}\n\n{table(settings_of, results, multiples)}\n", flush=True)
            if question == "length":
                pictures.save(by_length(settings_of, results), Path("plots/length.png"))


if __name__ == "__main__":
    main()
