"""Models that the experiments train in their own process, without the files of a run."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from support.terminal.settings import Config

import helpers
import seq2seq_copy
from seq2seq_copy import Graph, Parts
from support.graph import compiled, sessions, variants
from support.tensorflow import tensorflow_v1 as tf


class Model(NamedTuple):
    """A model that can be trained and asked."""

    config: Config
    graph: Graph
    session: tf.Session
    take_steps: Callable  # from a list of batches
    batches: Iterator  # over training batches
    held_out: helpers.Batch


def build(config, decoding_parts=None, training_parts=None):
    """Builds a model and compiles its training step.

    Args:
      config: a settings.Config. Its variants are put around the parts.
      decoding_parts: the seq2seq_copy.Parts that the model is asked with; None for those of the plain model.
      training_parts: those that it is trained with; None for the same.

    Returns:
      A Model with its initial weights.

    Raises:
      SystemExit: XLA does not compile the step.
    """
    decoding_parts = decoding_parts or Parts(tf.nn)
    training_parts = variants.replace_parts(training_parts or decoding_parts, config, training=True)
    batches, held_out = helpers.examples(config, *np.random.default_rng(config.seed).spawn(2))
    graph = seq2seq_copy.build_graph(config, variants.replace_parts(decoding_parts, config))
    session = sessions.open_session(config)
    session.run(tf.global_variables_initializer())
    connect = functools.partial(seq2seq_copy.connect, config=config, optimizer=graph.optimizer)
    take_steps = compiled.compile_steps(session, connect, training_parts, config)
    if take_steps is None:
        raise SystemExit("the experiments need XLA")
    return Model(config, graph, session, take_steps, batches, held_out)


def take(model, count):
    """Makes training steps; returns their seconds, without those for the data."""
    seconds = 0
    while count:
        batches = list(itertools.islice(model.batches, min(count, compiled.most_steps(model.config))))
        start = time.perf_counter()
        model.take_steps(batches)
        seconds += time.perf_counter() - start
        count -= len(batches)
    return seconds


def evaluate(model, batch):
    """Returns which sequences of a helpers.Batch are exact, and how many of their tokens are right; each [batch]."""
    decode = functools.partial(seq2seq_copy.predicted, model.session, model.graph)
    return seq2seq_copy.evaluate(decode, batch, model.config.evaluation_batch)
