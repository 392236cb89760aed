"""The work that every peer does, and how bench.py talks to a peer. Needs only NumPy.

A peer is a process that gets a file with initial weights and batches. It tells the losses of its first steps from
there, then takes as many further steps as it is asked to, and tells their seconds each time.
"""

import json
import resource
import sys
import time
from typing import NamedTuple

import numpy as np

from helpers import EOS, EXTRA_DECODER_STEPS, FIRST_SYMBOL, PAD

VOCAB_SIZE = 10
EMBEDDING_SIZE = 20
LEARNING_RATE, MAX_BATCHES = 0.015, 3001  # falls linearly to 0
BETA1, BETA2, EPSILON, CLIP_NORM = 0.9, 0.95, 1e-8, 1.0
BATCHES = 100  # different ones; then they come again
CHECKED_LOSSES = 50


class Work(NamedTuple):
    """What all peers start from."""

    weights: dict  # of float32 arrays; gates in the order i, j, f, o; 1 is added to the forget gate
    inputs: np.ndarray  # int32 [BATCHES, time, batch]
    lengths: np.ndarray  # int32 [BATCHES, batch]
    targets: np.ndarray  # int32 [BATCHES, time + 3, batch]


def make(path, batch_size=100, units=20, length_from=3, length_to=8):
    """Writes a file of work."""
    generator = np.random.default_rng(0)

    def uniform(*shape, limit):
        return generator.uniform(-limit, limit, shape).astype(np.float32)

    weights = {"embeddings": uniform(VOCAB_SIZE, EMBEDDING_SIZE, limit=1)}
    for name, size in (("forward", units), ("backward", units), ("decoder", 2 * units)):
        rows, columns = EMBEDDING_SIZE + size, 4 * size
        weights[f"{name}_kernel"] = uniform(rows, columns, limit=np.sqrt(6 / (rows + columns)))
        weights[f"{name}_bias"] = np.zeros(columns, np.float32)
    weights["output_weights"] = uniform(2 * units, VOCAB_SIZE, limit=1)
    weights["output_bias"] = np.zeros(VOCAB_SIZE, np.float32)

    lengths = generator.integers(length_from, length_to, [BATCHES, batch_size], np.int32, endpoint=True)
    inputs = generator.integers(FIRST_SYMBOL, VOCAB_SIZE, [BATCHES, length_to, batch_size], np.int32)
    steps = np.arange(length_to + EXTRA_DECODER_STEPS)[:, np.newaxis]
    inputs = np.where(steps[:length_to] < lengths[:, np.newaxis], inputs, PAD)
    targets = np.pad(inputs, [(0, 0), (0, EXTRA_DECODER_STEPS), (0, 0)])
    targets = np.where(steps == lengths[:, np.newaxis], EOS, targets)
    np.savez(path, inputs=inputs, lengths=lengths, targets=targets.astype(np.int32), **weights)


def load(path):
    """Reads a file of work; returns a Work."""
    arrays = dict(np.load(path))
    return Work(
        inputs=arrays.pop("inputs"), lengths=arrays.pop("lengths"), targets=arrays.pop("targets"), weights=arrays
    )


def peak_memory():
    """Returns the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(take_steps, after_import):
    """Answers bench.py until it closes standard input.

    Args:
      take_steps: function from (first, count) to the losses of the steps with batches first, first + 1, and so on.
      after_import: float, peak_memory() after the imports.
    """
    start = time.perf_counter()
    losses = [float(loss) for loss in take_steps(0, CHECKED_LOSSES)]
    say({"losses": losses, "seconds": time.perf_counter() - start})
    done = CHECKED_LOSSES
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter()
        take_steps(done, count)
        say({"seconds": time.perf_counter() - start, "memory": peak_memory(), "after_import": after_import})
        done += count


def say(answer):
    print(json.dumps(answer), flush=True)
