"""The work that every peer does, and how bench.py talks to a peer. Needs only NumPy.

    python -m benchmarks.peer_NAME WORK FORM steps|job

A peer is a process that gets a file with initial weights and batches. With steps it tells the losses of its first steps
with these batches, then takes as many further steps as it is asked to, and tells their seconds each time. With job it
does what a user waits for: it trains on 3,001 fresh batches and decodes 10,000 held-out sequences.
"""

import itertools
import json
import resource
import sys
import time
import types
from typing import NamedTuple

import numpy as np

import helpers
from helpers import EOS, EXTRA_DECODER_STEPS, FIRST_SYMBOL, PAD
from support.data import ahead

SETTINGS = types.SimpleNamespace(  # the defaults of seq2seq_copy.py; settings.py needs more than NumPy
    task="copy",
    vocab_size=10,
    input_embedding_size=20,
    encoder_hidden_units=20,
    length_from=3,
    length_to=8,
    batch_size=100,
    learning_rate=0.03,  # rises to that, then falls linearly to 0
    warm_up=0.1,  # share of the batches in which it rises
    max_batches=3001,
    held_out_sequences=10_000,
    seed=0,
)
BETA1, BETA2, EPSILON, CLIP_NORM = 0.9, 0.95, 1e-8, 1.0
BATCHES = 100  # different ones in the file; then they come again
CHECKED_LOSSES = 50
STEPS_AT_ONCE = 50  # how many batches a peer is given together
DECODED_AT_ONCE = 1000


class Work(NamedTuple):
    """What all peers start from: the initial weights of the script."""

    weights: dict  # of float32 arrays; gates in the order i, j, f, o; 1 is added to the forget gate
    batches: list  # BATCHES times a helpers.Batch, all of the same shape


def make(path, **sizes):
    """Writes a file of work; sizes are as in SETTINGS, and by default those."""
    settings = types.SimpleNamespace(**vars(SETTINGS) | sizes)
    vocab_size, embedding_size = settings.vocab_size, settings.input_embedding_size
    units, length_to = settings.encoder_hidden_units, settings.length_to
    generator = np.random.default_rng(settings.seed)

    def uniform(*shape, limit):
        return generator.uniform(-limit, limit, shape).astype(np.float32)

    weights = {"embeddings": uniform(vocab_size, embedding_size, limit=0.2)}
    for name, size in (("forward", units), ("backward", units), ("decoder", 2 * units)):
        rows, columns = embedding_size + size, 4 * size
        weights[f"{name}_kernel"] = uniform(rows, columns, limit=np.sqrt(6 / (rows + columns)))
        weights[f"{name}_bias"] = np.repeat([0, 0, 3, 0], size).astype(np.float32)
    weights["output_weights"] = uniform(2 * units, vocab_size, limit=2.5)
    weights["output_bias"] = np.zeros(vocab_size, np.float32)

    lengths = generator.integers(
        settings.length_from, length_to, [BATCHES, settings.batch_size], np.int32, endpoint=True
    )
    inputs = generator.integers(FIRST_SYMBOL, vocab_size, [BATCHES, length_to, settings.batch_size], np.int32)
    steps = np.arange(length_to + EXTRA_DECODER_STEPS)[:, np.newaxis]
    inputs = np.where(steps[:length_to] < lengths[:, np.newaxis], inputs, PAD)
    targets = np.pad(inputs, [(0, 0), (0, EXTRA_DECODER_STEPS), (0, 0)])
    targets = np.where(steps == lengths[:, np.newaxis], EOS, targets)
    np.savez(path, inputs=inputs, lengths=lengths, targets=targets.astype(np.int32), **weights)


def load(path):
    """Reads a file of work; returns a Work."""
    arrays = dict(np.load(path))
    batches = list(map(helpers.Batch, *(arrays.pop(name) for name in ("inputs", "lengths", "targets"))))
    return Work(arrays, batches)


def peak_memory():
    """Returns the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(prepare):
    """Does what bench.py asks of a peer.

    Args:
      prepare: function from a Work and the form of the peer to take_steps and decode.
        take_steps: function from a list of at most STEPS_AT_ONCE helpers.Batch to the losses of a training step with
          each, once these steps are done.
        decode: function from a helpers.Batch to what the model answers, int [decoder_time, batch]. Past a sequence's
          end it may hold anything.
    """
    path, form, task = sys.argv[1:]
    after_import = peak_memory()
    data = load(path)
    take_steps, decode = prepare(data, form)
    if task == "job":
        whole_job(take_steps, decode)
    else:
        serve(take_steps, data.batches, after_import)


def serve(take_steps, batches, after_import):
    """Takes the first steps, and then as many as each line of standard input says, until it is closed."""
    endless = itertools.cycle(batches)

    def take(count):
        for size in sizes_of_calls(count):
            yield from take_steps(list(itertools.islice(endless, size)))

    say({"losses": list(map(float, take(CHECKED_LOSSES)))})
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in take(int(line)):
            pass
        seconds = time.perf_counter() - start
        say({"seconds": seconds, "memory": peak_memory(), "after_import": after_import})


def whole_job(take_steps, decode):
    """Trains and decodes like seq2seq_copy.py, with the same batches, drawn by a thread as there.

    Tells the losses of the first steps as soon as they are done, and at the end the share of exact answers.
    """
    generator, held_out_generator = np.random.default_rng(SETTINGS.seed).spawn(2)
    batches, held_out = helpers.examples(SETTINGS, generator, held_out_generator)
    calls = ahead.drawn_ahead(batches, sizes_of_calls(SETTINGS.max_batches), generator)
    for call, (drawn, _) in enumerate(calls):
        losses = take_steps(drawn)
        if call == 0:
            say({"losses": list(map(float, losses))})
    exact = []
    for start in range(0, held_out.lengths.size, DECODED_AT_ONCE):
        part = helpers.columns(held_out, start, start + DECODED_AT_ONCE)
        is_step = np.arange(len(part.targets))[:, np.newaxis] < part.lengths + EXTRA_DECODER_STEPS
        exact += list(((decode(part) == part.targets) | ~is_step).all(axis=0))
    say({"exact": float(np.mean(exact)), "decoded": len(exact)})


def sizes_of_calls(count):
    """Returns how many steps each call of take_steps makes, for count steps in all."""
    return [min(STEPS_AT_ONCE, count - done) for done in range(0, count, STEPS_AT_ONCE)]


def say(answer):
    print(json.dumps(answer), flush=True)
