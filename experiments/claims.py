"""What the well-known tutorials say about this model, measured.

    python experiments/claims.py            everything, half an hour on two cores
    python experiments/claims.py cells      one question

Trains each variant with seeds 0, 1, 2 on the same data, with the same number of examples (300,100), two runs at a time.
Prints a Markdown table for each question: exact match on 10,000 held-out sequences, and the seconds of the training
steps, evaluation and compiling left out. `length` also saves plots/length.png.
"""

import argparse
import functools
import itertools
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import compiled
import helpers
import pictures
import seq2seq_copy as s2s
from config import Config
from tensorflow_v1 import tf

SEEDS = (0, 1, 2)
EXAMPLES = 300_100
ENCODE = s2s.encode

LONG = {"length_to": 30}
QUESTIONS = {  # a title and the settings of each variant
    "encoder": {
        "bidirectional, 20 units each way": {},
        "forward, 20 units; so has the decoder": {"encoder": "forward"},
        "forward, 40 units; so has the decoder": {"encoder": "forward", "encoder_hidden_units": 40},
    },
    "width": {
        "40 units, the encoder's state": {},
        "20 units, by a matrix from the state": {"decoder_units": 20},
        "40 units, by a matrix from the state": {"decoder_units": 40},
        "80 units, by a matrix from the state": {"decoder_units": 80},
    },
    "cells": {
        "LSTM, 1 added to the forget gate": {},
        "LSTM, nothing added": {"forget_bias": 0.0},
        "GRU": {"cell": "gru"},
    },
    "batch": {
        f"{size} in a batch": {} if size == 100 else {"batch_size": size, "max_batches": EXAMPLES // size}
        for size in (25, 50, 100, 200, 400)
    },
    "attention": {name: {"attention": name} if name != "none" else {} for name in ("none", "bahdanau", "luong")},
    "feedback": {name: {"feedback": name} if name != "argmax" else {} for name in ("argmax", "teacher", "scheduled")},
    "task": {name: {"task": name} if name != "copy" else {} for name in helpers.TASKS},
    "rate": {
        f"{rate}": {} if rate == Config.learning_rate else {"learning_rate": rate}
        for rate in (0.004, 0.008, 0.015, 0.03, 0.06)
    },
    "length": {
        "no attention, 20 units": LONG,
        "no attention, 40 units": LONG | {"encoder_hidden_units": 40},
        "bahdanau, 20 units": LONG | {"attention": "bahdanau"},
        "luong, 20 units": LONG | {"attention": "luong"},
    },
}


def encode_to(units, *arguments):
    """Encodes, and brings the final state to another width by a matrix for each of its parts."""
    encoder_outputs, state = ENCODE(*arguments)
    with tf.variable_scope("bridge"):
        parts = [
            tf.matmul(part, tf.get_variable(name, [part.shape[1], units])) for name, part in state._asdict().items()
        ]
    return encoder_outputs, type(state)(*parts)


def train(settings, seed):
    """Returns the lengths of 10,000 held-out sequences, which of them are exact, and the seconds of the steps."""
    settings = dict(settings)
    patches = {}
    if "decoder_units" in settings:
        patches["encode"] = functools.partial(encode_to, settings.pop("decoder_units"))
    if "forget_bias" in settings:
        lstm = functools.partial(tf.nn.rnn_cell.LSTMCell, forget_bias=settings.pop("forget_bias"))
        patches["CELLS"] = {"lstm": lstm}
    config = Config(seed=seed, **settings)
    training, held_out = np.random.default_rng(seed).spawn(2)
    batches = helpers.examples(config, config.batch_size, training)
    held_out = next(helpers.examples(config, s2s.HELD_OUT_SEQUENCES, held_out))
    with mock.patch.multiple(s2s, encode=patches.get("encode", ENCODE), CELLS=patches.get("CELLS", s2s.CELLS)):
        graph = s2s.build_graph(config)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            steps = compiled.compile_steps(session, graph, s2s.connect, config, otherwise=None)
            start, left = time.perf_counter(), config.max_batches
            while left:
                some = list(itertools.islice(batches, min(left, compiled.most_steps(config))))
                steps(some)
                left -= len(some)
            seconds = time.perf_counter() - start
            exact, _ = s2s.evaluate(functools.partial(s2s.predicted, session, graph), held_out)
    return held_out.lengths, exact, seconds


def table(variants, results):
    """Returns the Markdown table of a question."""
    head = "| | " + " | ".join(f"seed {seed}" for seed in SEEDS) + " | median | seconds |"
    lines = [head, "|---|" + "---|" * (len(SEEDS) + 2)]
    for title, runs in zip(variants, results):
        shares = [exact.mean() for _, exact, _ in runs]
        seconds = np.median([seconds for _, _, seconds in runs])
        figures = " | ".join(f"{100 * share:.2f} %" for share in [*shares, np.median(shares)])
        lines.append(f"| {title} | {figures} | {seconds:.0f} |")
    return "\n".join(lines)


def by_length(variants, results):
    """Draws the exact match over the length: the median of the seeds, and their range."""
    figure = pictures.Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for title, runs in zip(variants, results):
        lengths = np.unique(runs[0][0])
        shares = [[100 * exact[of == length].mean() for length in lengths] for of, exact, _ in runs]
        axes.plot(lengths, np.median(shares, axis=0), marker=".", label=title)
        axes.fill_between(lengths, np.min(shares, axis=0), np.max(shares, axis=0), alpha=0.2)
    axes.set_xlabel("length of the sequence")
    axes.set_ylabel("held-out exact match [%]")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def main():
    parser = argparse.ArgumentParser(description="The claims of the tutorials, measured.")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=" ".join(QUESTIONS), default=[])
    wanted = parser.parse_args().questions or list(QUESTIONS)
    if unknown := set(wanted) - set(QUESTIONS):
        parser.error(f"{unknown.pop()!r} is not one of {' '.join(QUESTIONS)}")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        once = functools.cache(lambda settings, seed: processes.submit(train, settings, seed))
        futures = {
            question: [
                [once(tuple(sorted(settings.items())), seed) for seed in SEEDS]
                for settings in QUESTIONS[question].values()
            ]
            for question in wanted
        }
        for question in wanted:
            results = [[future.result() for future in runs] for runs in futures[question]]
            print(f"{question}\n\n{table(QUESTIONS[question], results)}\n", flush=True)
            if question == "length":
                pictures.save(by_length(QUESTIONS[question], results), Path("plots/length.png"))


if __name__ == "__main__":
    main()
