"""The data: random integer sequences, padded into time-major batches.

A batch is a matrix [time, batch]: column b is sequence b read from top to bottom, filled up with PAD.

    sequences            batch             decoder_targets
    [5 7 8]              5 6 3             5 6 3
    [6 3]                7 3 0             7 3 1      <- EOS ends a sequence
    [3]                  8 0 0             8 1 0      <- PAD follows
                                           1 0 0
    lengths 3 2 1                          0 0 0
                                           0 0 0

The other tasks have different targets, and the alphabet task different inputs too. This module needs only NumPy.
"""

import string
from typing import NamedTuple

import numpy as np

PAD = 0
EOS = 1
FIRST_SYMBOL = 2

# The decoder makes this many more steps than its target has symbols: one for EOS, two for PAD.
EXTRA_DECODER_STEPS = 3

TASKS = ("copy", "reverse", "alphabet")
LETTERS = string.ascii_lowercase  # the symbols of the alphabet, from FIRST_SYMBOL on
ALPHABET_VOCAB_SIZE = FIRST_SYMBOL + len(LETTERS)


class Batch(NamedTuple):
    """The arrays that one step of the graph is fed."""

    inputs: np.ndarray  # int32 [time, batch]
    lengths: np.ndarray  # int32 [batch]
    targets: np.ndarray  # int32 [longest target + 3, batch]
    target_lengths: np.ndarray  # int32 [batch], without EOS; equal to lengths, except with --data


def random_sequences(length_from, length_to, vocab_lower, vocab_upper, batch_size, seed):
    """Yields endless batches of random sequences.

    Lengths are uniform over length_from ... length_to, both included; symbols are uniform over
    vocab_lower ... vocab_upper - 1, so that vocab_upper is the size of the vocabulary.

    Args:
      length_from: int >= 1, the shortest length.
      length_to: int >= length_from, the longest length.
      vocab_lower: int >= 2, the smallest symbol; 0 is PAD and 1 is EOS.
      vocab_upper: int > vocab_lower, one more than the largest symbol.
      batch_size: int >= 1, sequences in a batch.
      seed: int >= 0, or the np.random.Generator to draw from; no global state is read or changed.

    Yields:
      A list of batch_size int32 arrays [length].
    """
    generator = np.random.default_rng(seed)
    while True:
        lengths = generator.integers(length_from, length_to, size=batch_size, endpoint=True)
        symbols = generator.integers(vocab_lower, vocab_upper, size=lengths.sum(), dtype=np.int32)
        ends = np.cumsum(lengths).tolist()
        yield [symbols[start:end] for start, end in zip([0, *ends], ends)]


def batch(sequences, max_sequence_length=None):
    """Pads sequences into one time-major matrix.

    Args:
      sequences: non-empty list of sequences (lists or 1-D arrays) of integers in 0 ... 2**31 - 1.
      max_sequence_length: int, the number of rows of the matrix; None for the longest length.

    Returns:
      inputs: int32 [time, batch], padded with PAD.
      lengths: int32 [batch], the length of each sequence.

    Raises:
      ValueError: a sequence is empty or too long.
    """
    lengths = np.array([len(sequence) for sequence in sequences], np.int32)
    time = lengths.max() if max_sequence_length is None else max_sequence_length
    if not 1 <= lengths.min() <= lengths.max() <= time:
        raise ValueError(f"a sequence must have 1 to {time} symbols; these have {lengths.min()} to {lengths.max()}")
    batch_major = np.full([lengths.size, time], PAD, dtype=np.int32)
    batch_major[np.arange(time) < lengths[:, np.newaxis]] = np.concatenate(sequences)
    return np.ascontiguousarray(batch_major.T), lengths


def decoder_targets(sequences, lengths):
    """Appends EOS and at least two PADs to every sequence of a padded batch.

    Args:
      sequences: int32 [time, batch], padded with PAD.
      lengths: int32 [batch].

    Returns:
      int32 [time + 3, batch], padded with PAD.
    """
    time, batch_size = sequences.shape
    targets = np.full([time + EXTRA_DECODER_STEPS, batch_size], PAD, dtype=np.int32)
    targets[:time] = sequences
    targets[lengths, np.arange(lengths.size)] = EOS
    return targets


def task_batch(task, sequences, max_sequence_length=None):
    """Turns random sequences into the questions and answers of a task, and pads them.

    copy asks for the sequence itself, reverse for the sequence backwards. alphabet asks for the letters that follow:
    the answer to a b c is d e f, and a follows z. The first symbol of a random sequence decides where the letters
    start.

    Args:
      task: one of TASKS.
      sequences, max_sequence_length: as for batch().

    Returns:
      A Batch.
    """
    questions = answers = sequences
    if task == "reverse":
        answers = [sequence[::-1] for sequence in sequences]
    elif task == "alphabet":
        questions = [alphabet(sequence[0], len(sequence)) for sequence in sequences]
        answers = [alphabet(question[-1] + 1, question.size) for question in questions]
    elif task != "copy":
        raise ValueError(f"task {task!r} is not one of {', '.join(TASKS)}")
    inputs, lengths = batch(questions, max_sequence_length)
    targets, _ = batch(answers, max_sequence_length)
    return Batch(inputs, lengths, decoder_targets(targets, lengths), lengths)


def alphabet(first, length):
    """Returns so many letters from a symbol on, int [length]."""
    return FIRST_SYMBOL + (first - FIRST_SYMBOL + np.arange(length)) % len(LETTERS)


def task_batches(config, batch_size, seed):
    """Yields endless random batches of the task of a Config, all of one shape; seed as for random_sequences()."""
    lengths, symbols = (config.length_from, config.length_to), (FIRST_SYMBOL, config.vocab_size)
    for sequences in random_sequences(*lengths, *symbols, batch_size, seed):
        yield task_batch(config.task, sequences, config.length_to)


def generators(seed):
    """Returns the np.random.Generators that training, test and validation data are drawn from: separate streams."""
    return np.random.default_rng(seed).spawn(3)


def examples(config, generators):
    """Returns endless training batches, and a Batch of config.held_out_sequences, the test: each from its generator."""
    training_generator, test_generator, _ = generators
    held_out = next(task_batches(config, config.held_out_sequences, test_generator))
    return task_batches(config, config.batch_size, training_generator), held_out


def take(batch, start, stop):
    """Returns the sequences start ... stop - 1 of a Batch, as a Batch with no more rows than they need."""
    lengths, target_lengths = batch.lengths[start:stop], batch.target_lengths[start:stop]
    inputs = batch.inputs[: lengths.max(), start:stop]
    targets = batch.targets[: target_lengths.max() + EXTRA_DECODER_STEPS, start:stop]
    return Batch(inputs, lengths, targets, target_lengths)


def fingerprints(batch):
    """Returns each input sequence of a Batch, without its padding, as bytes."""
    return [column[:length].tobytes() for column, length in zip(np.ascontiguousarray(batch.inputs.T), batch.lengths)]
