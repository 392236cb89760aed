"""The work that every peer does, and how the benchmarks talk to a peer. Needs only NumPy.

    python -m benchmarks.peer_NAME WORK FORM job|LOSSES

A peer is a process that gets a file with initial weights and batches. With a number it reports the losses of so many
first steps on these batches. Then it takes as many further steps as each line asks for, and reports their seconds. With
job it does the work that a user waits for: it trains on 3,001 fresh batches and decodes 10,000 held-out sequences.
"""

import itertools
import json
import resource
import sys
import time
from typing import NamedTuple

import numpy as np

import helpers
from helpers import EXTRA_DECODER_STEPS
from support.limits import EVALUATION_BATCH
from support.settings import Settings

BETA1, EPSILON = 0.9, 1e-8  # of Adam, as TensorFlow sets them; a Settings holds all other settings
BATCHES = 100  # different ones in the file; then they repeat
CHECKED_LOSSES = 50
STEPS_AT_ONCE = 50  # how many batches a peer is given together


class Work(NamedTuple):
    """What all peers start from: the initial weights of the script."""

    config: Settings
    weights: dict  # of float32 arrays; gates in the order i, j, f, o
    batches: list  # of BATCHES helpers.Batch, all of the same shape


def make(path, config):
    """Writes a file of work for a Settings."""
    vocab_size, embedding_size, units = config.vocab_size, config.input_embedding_size, config.encoder_hidden_units
    generator = np.random.default_rng(config.seed)

    def uniform(*shape, limit):
        return generator.uniform(-limit, limit, shape).astype(np.float32)

    def glorot(rows, columns):
        return uniform(rows, columns, limit=np.sqrt(6 / (rows + columns)))

    weights, context_size = {"embeddings": uniform(vocab_size, embedding_size, limit=0.2)}, 0
    if config.attention == "luong":
        context_size = 2 * units
        weights["encoder_weights"] = glorot(2 * units, 2 * units)
        weights["combining_weights"] = glorot(4 * units, 2 * units)
    for name, size, more in (("forward", units, 0), ("backward", units, 0), ("decoder", 2 * units, context_size)):
        weights[f"{name}_kernel"] = glorot(embedding_size + more + size, 4 * size)
        weights[f"{name}_bias"] = np.repeat([0, 0, 4, 0], size).astype(np.float32)
    weights["output_weights"] = uniform(2 * units, vocab_size, limit=2.5)
    weights["output_bias"] = np.zeros(vocab_size, np.float32)

    batches = itertools.islice(helpers.task_batches(config, config.batch_size, generator), BATCHES)
    arrays = dict(zip(helpers.Batch._fields, map(np.stack, zip(*batches))))
    changed = {name: value for name, value in vars(config).items() if value != getattr(Settings, name)}
    np.savez(path, settings=json.dumps(changed), **arrays, **weights)


def read_config(path):
    """Returns the settings.Settings of a file of work."""
    return Settings(**json.loads(str(np.load(path)["settings"])))


def load(path):
    """Reads a file of work; returns a Work."""
    arrays = dict(np.load(path))
    del arrays["settings"]
    batches = list(map(helpers.Batch, *(arrays.pop(name) for name in helpers.Batch._fields)))
    return Work(read_config(path), arrays, batches)


def peak_memory():
    """Returns the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(prepare):
    """Does the work that is asked of a peer.

    Args:
      prepare: function from a Work and the form of the peer to take_steps and decode.
        take_steps: function from a list of at most STEPS_AT_ONCE helpers.Batch to the losses of a training step with
          each, once these steps are done.
        decode: function from a helpers.Batch to the model's answers, int [decoder_time, batch]. Past a sequence's end
          they may hold anything.
    """
    path, form, task = sys.argv[1:]
    after_import = peak_memory()
    work = load(path)
    take_steps, decode = prepare(work, form)
    if task == "job":
        return whole_job(work.config, take_steps, decode)
    batches = itertools.cycle(work.batches)

    def take(count):
        return [float(loss) for call in calls(batches, count) for loss in take_steps(call)]

    serve(take, {"losses": take(int(task)), "after_import": after_import})


def serve(take_steps, first_answer):
    """Sends the first answer, then takes as many steps as each line of standard input says, until it is closed."""
    say(first_answer)
    for line in sys.stdin:
        start = time.perf_counter()
        take_steps(int(line))
        say({"seconds": time.perf_counter() - start, "memory": peak_memory()})


def whole_job(config, take_steps, decode):
    """Trains and decodes like seq2seq_copy.py, with the same batches.

    Reports the losses of the first steps as soon as they are done, and the share of exact answers at the end.
    """
    batches, held_out = helpers.examples(config, helpers.generators(config.seed))
    say({"losses": list(map(float, take_steps(list(itertools.islice(batches, CHECKED_LOSSES)))))})
    for call in calls(batches, config.max_batches - CHECKED_LOSSES):
        take_steps(call)
    exact = []
    for start in range(0, held_out.lengths.size, EVALUATION_BATCH):
        part = helpers.take(held_out, start, start + EVALUATION_BATCH)
        is_step = np.arange(len(part.targets))[:, np.newaxis] < part.lengths + EXTRA_DECODER_STEPS
        exact += list(((decode(part) == part.targets) | ~is_step).all(axis=0))
    say({"exact": float(np.mean(exact)), "decoded": len(exact)})


def calls(batches, count):
    """Yields the next count batches of an iterator, in lists for take_steps()."""
    for done in range(0, count, STEPS_AT_ONCE):
        yield list(itertools.islice(batches, min(STEPS_AT_ONCE, count - done)))


def say(answer):
    print(json.dumps(answer), flush=True)
