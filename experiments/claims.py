"""What the well-known tutorials say about this model, measured.

    python experiments/claims.py            everything, half an hour on two cores
    python experiments/claims.py cells      one question

Trains each variant with seeds 0, 1, 2 on the same data, with the same number of examples (300,100), two runs at a time.
Prints a Markdown table for each question: exact match on 10,000 held-out sequences, and the time of training steps with
the same number of examples, as a multiple of that of the first variant. `length` also saves plots/length.png.
"""

import argparse
import contextlib
import functools
import itertools
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parent.parent))

import compiled
import helpers
import pictures
import seq2seq_copy as s2s
from config import Config
from tensorflow_v1 import tf

SEEDS = (0, 1, 2)
EXAMPLES = 300_100
ROUNDS, EXAMPLES_OF_ROUND = 5, 10_000  # to compare times
ENCODE, MAKE_LOOP_FN = s2s.encode, s2s.make_loop_fn


class Question(NamedTuple):
    """A claim, and what is compared to judge it: the settings of each variant, {} for the defaults."""

    claim: str
    variants: dict


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
            "LSTM, 1 added to the forget gate": {},
            "LSTM, nothing added": {"forget_bias": 0.0},
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
        {"0.015": {}} | {f"{rate}": {"learning_rate": rate} for rate in (0.002, 0.004, 0.008, 0.03, 0.06)},
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
# What the script has no setting for.


def encode_to(units, *arguments):
    """Encodes, and brings the final state to another width by a matrix for each of its parts."""
    encoder_outputs, state = ENCODE(*arguments)
    with tf.variable_scope("bridge"):
        parts = [
            tf.matmul(part, tf.get_variable(name, [part.shape[1], units])) for name, part in state._asdict().items()
        ]
    return encoder_outputs, type(state)(*parts)


def make_loop_fn_above(threshold, seed, embeddings, *arguments):
    """Makes a loop_fn that predicts and feeds back any symbol of a probability above a threshold, all alike.

    If there is none, the best one. Unless it is finished, a sequence reads what it has predicted.
    """
    loop_fn = MAKE_LOOP_FN(embeddings, *arguments)

    def feeding(time, cell_output, cell_state, loop_state):
        finished, next_input, next_state, emit, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
        if cell_output is not None:
            logits, best = emit
            step = [seed, tf.cast(tf.train.get_or_create_global_step(), tf.int32) * 1000 + time]
            likely = (tf.nn.softmax(logits) > threshold) | tf.one_hot(best, logits.shape[1], True, False)
            draw = tf.where(likely, tf.random.stateless_uniform(tf.shape(logits), step), -tf.ones_like(logits))
            fed = tf.argmax(draw, axis=1, output_type=tf.int32)
            next_input = tf.where(finished, next_input, tf.nn.embedding_lookup(embeddings, fed))
            emit = (logits, fed)
        return finished, next_input, next_state, emit, loop_state

    return feeding


def patched(seed, decoder_units=None, forget_bias=None, above=None):
    """Returns a context in which the script builds a variant."""
    patches = {}
    if decoder_units is not None:
        patches["encode"] = functools.partial(encode_to, decoder_units)
    if forget_bias is not None:
        patches["CELLS"] = {"lstm": functools.partial(tf.nn.rnn_cell.LSTMCell, forget_bias=forget_bias)}
    if above is not None:
        patches["make_loop_fn"] = functools.partial(make_loop_fn_above, above, seed)
    return mock.patch.multiple(s2s, **patches) if patches else contextlib.nullcontext()


# ---------------------------------------------------------------------------------------------------


class Variant(NamedTuple):
    """A model that can be trained and asked."""

    take_steps: Callable  # from a list of batches
    batches: Iterator  # over training batches
    config: Config
    evaluate: Callable  # to the lengths of 10,000 held-out sequences, and which of them are exact


def build(settings, seed):
    """Returns a Variant; settings as in a Question."""
    settings = dict(settings)
    train_above, decode_above = settings.pop("train_above", None), settings.pop("decode_above", None)
    other = {name: settings.pop(name) for name in ("decoder_units", "forget_bias") if name in settings}
    config = Config(seed=seed, **settings)
    batches, held_out = helpers.examples(config, s2s.HELD_OUT_SEQUENCES, *np.random.default_rng(seed).spawn(2))
    with patched(seed, **other, above=decode_above):
        graph = s2s.build_graph(config)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    with patched(seed, **other, above=train_above):
        take_steps = compiled.compile_steps(session, graph, s2s.connect, config)
    if take_steps is None:
        raise SystemExit("claims.py needs XLA")

    def evaluate():
        exact, _ = s2s.evaluate(functools.partial(s2s.predicted, session, graph), held_out)
        return held_out.lengths, exact

    return Variant(take_steps, batches, config, evaluate)


def take(variant, count):
    """Makes training steps; returns their seconds, without those for the data."""
    seconds = 0
    while count:
        some = list(itertools.islice(variant.batches, min(count, compiled.most_steps(variant.config))))
        start = time.perf_counter()
        variant.take_steps(some)
        seconds += time.perf_counter() - start
        count -= len(some)
    return seconds


def train(settings, seed):
    """Trains a variant; returns the lengths of 10,000 held-out sequences, and which of them are exact."""
    variant = build(settings, seed)
    take(variant, variant.config.max_batches)
    return variant.evaluate()


def times(many_settings):
    """Returns the time of training steps with as many examples, as a multiple of that of the first variant.

    The variants take turns, so that what slows the machine for a while slows them alike.
    """
    variants = [build(settings, seed=0) for settings in many_settings]
    rounds = [
        [take(variant, EXAMPLES_OF_ROUND // variant.config.batch_size) for variant in variants] for _ in range(ROUNDS)
    ]
    return np.median([np.array(seconds) / seconds[0] for seconds in rounds], axis=0)


def table(variants, results, multiples):
    """Returns the Markdown table of a question."""
    head = "| | " + " | ".join(f"seed {seed}" for seed in SEEDS) + " | median | time |"
    lines = [head, "|---|" + "---|" * (len(SEEDS) + 2)]
    for title, runs, multiple in zip(variants, results, multiples):
        shares = [exact.mean() for _, exact in runs]
        figures = " | ".join(f"{100 * share:.2f} %" for share in [*shares, np.median(shares)])
        lines.append(f"| {title} | {figures} | {multiple:.2f} |")
    return "\n".join(lines)


def by_length(variants, results):
    """Draws the exact match over the length: the median of the seeds, and their range."""
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for line, (title, runs) in zip(("-", "-", "-", "--"), zip(variants, results)):  # the last two coincide
        lengths = np.unique(runs[0][0])
        shares = [[100 * exact[of == length].mean() for length in lengths] for of, exact in runs]
        axes.plot(lengths, np.median(shares, axis=0), line, marker=".", label=title)
        axes.fill_between(lengths, np.min(shares, axis=0), np.max(shares, axis=0), alpha=0.2)
    axes.set_xlabel("length of the sequence")
    axes.set_ylabel("held-out exact match [%]")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def main():
    parser = argparse.ArgumentParser(description="The claims of the tutorials, measured.")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=" ".join(QUESTIONS), default=list(QUESTIONS))
    wanted = parser.parse_args().questions
    if unknown := set(wanted) - set(QUESTIONS):
        parser.error(f"{unknown.pop()!r} is not one of {' '.join(QUESTIONS)}")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        once = functools.cache(lambda settings, seed: processes.submit(train, settings, seed))
        for question in wanted:
            claim, variants = QUESTIONS[question]
            many_settings = [tuple(sorted(settings.items())) for settings in variants.values()]
            futures = [[once(settings, seed) for seed in SEEDS] for settings in many_settings]
            results = [[future.result() for future in runs] for runs in futures]
            multiples = processes.submit(times, many_settings).result()
            print(f"## {question}\n\n{claim}\n\n{table(variants, results, multiples)}\n", flush=True)
            if question == "length":
                pictures.save(by_length(variants, results), Path("plots/length.png"))


if __name__ == "__main__":
    main()
