"""The user's own data: a file of pairs, INPUT TAB TARGET in each line, symbols separated by spaces, UTF-8.

The file is read once. Its symbols go as numbers to a temporary file, from which batches are drawn, so that memory
holds only the vocabulary and some 40 bytes for each line, besides the pairs that are held out. Nothing here needs
TensorFlow.
"""

import array
import hashlib
import sys
import tempfile
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import helpers
from helpers import EXTRA_DECODER_STEPS, FIRST_SYMBOL

RESERVED = ("<PAD>", "<EOS>")  # how these two are written; no symbol can be
LARGEST_VOCABULARY = 100_000
LONGEST_SEQUENCE = 10_000
CHUNK = 1_000_000  # numbers
MOST_WARNINGS = 5


class PairsError(Exception):
    """A file cannot be used as data. The message is one line for the user."""


class Pairs(NamedTuple):
    """All pairs of a file.

    The input of line i is symbols[starts[i] : middles[i]], its target is symbols[middles[i] : starts[i + 1]].
    """

    symbols: np.ndarray  # int32 [all symbols], in a temporary file
    starts: np.ndarray  # int64 [lines + 1]
    middles: np.ndarray  # int64 [lines]
    names: list  # of str: how the symbols from FIRST_SYMBOL on are written
    sha256: str  # of the file


def read(path):
    """Reads a file of pairs.

    Args:
      path: pathlib.Path.

    Returns:
      Pairs, at least two.

    Raises:
      PairsError: the file cannot be read, a line holds no pair (the message names the first), there are fewer than 2
        pairs or too many symbols, or the temporary file cannot be written.
    """
    names, digest = {}, hashlib.sha256()
    numbers, starts, middles = array.array("i"), array.array("q", [0]), array.array("q")
    first_wrong, wrong = "", 0
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as its numbers are read
        for number, line in enumerate(lines_of(path), start=1):
            digest.update(line)
            try:
                sides = parse(line)
            except ValueError as error:
                first_wrong = first_wrong or f"line {number}: {error}"
                wrong += 1
                continue
            for words in sides:
                numbers.extend(names.setdefault(word, FIRST_SYMBOL + len(names)) for word in words)
            middles.append(starts[-1] + len(sides[0]))
            starts.append(middles[-1] + len(sides[1]))
            if len(names) > LARGEST_VOCABULARY:
                raise PairsError(f"{str(path)!r} line {number}: more than {LARGEST_VOCABULARY} different symbols")
            if len(numbers) > CHUNK:
                numbers.tofile(file)
                del numbers[:]
        numbers.tofile(file)
        file.flush()
    except OSError as error:
        raise PairsError(f"cannot write a temporary file for {str(path)!r}: {error.strerror}") from None
    if wrong:
        more = f", and {wrong - 1} more wrong lines" if wrong > 1 else ""
        raise PairsError(f"{str(path)!r} {first_wrong}{more}")
    if len(middles) < 2:
        raise PairsError(f"{str(path)!r} holds fewer than 2 pairs")
    symbols = np.memmap(file, np.int32, mode="r")
    return Pairs(symbols, np.array(starts), np.array(middles), list(names), digest.hexdigest())


def lines_of(path):
    """Yields the lines of a file, bytes; raises PairsError if it cannot be read."""
    try:
        with open(path, "rb") as lines:
            yield from tqdm(lines, desc=f"reading {path}", unit=" lines", disable=None)
    except OSError as error:
        raise PairsError(f"cannot read {str(path)!r}: {error.strerror}") from None


def parse(line):
    """Returns the words of both sides of a line (bytes), two lists of str; raises ValueError if it holds no pair."""
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8") from None
    if not text.strip():
        raise ValueError("empty")
    sides = [side.split() for side in text.split("\t")]
    if len(sides) != 2:
        raise ValueError(f"{len(sides) - 1 or 'no'} TAB between input and target; one is needed")
    for side, words in zip(("input", "target"), sides):
        if not 1 <= len(words) <= LONGEST_SEQUENCE:
            raise ValueError(f"{len(words) or 'no'} symbols in the {side}; 1 to {LONGEST_SEQUENCE} are read")
        for name in RESERVED:
            if name in words:
                raise ValueError(f"{name} is the model's own symbol")
    return sides


def sizes(pairs):
    """Returns what the model must be large enough for, as settings of a Config."""
    lengths, answers = pairs.middles - pairs.starts[:-1], pairs.starts[1:] - pairs.middles
    return {
        "length_from": int(lengths.min()),
        "length_to": int(lengths.max()),
        "vocab_size": FIRST_SYMBOL + len(pairs.names),
        "extra_decoder_steps": EXTRA_DECODER_STEPS + max(0, int((answers - lengths).max())),
    }


def split(pairs, largest, generator):
    """Holds out a tenth of the pairs, at random.

    Args:
      pairs: Pairs.
      largest: int, the most to hold out.
      generator: a np.random.Generator.

    Returns:
      training, held_out: int [...], the pairs of each, by their place in the file.
    """
    lines = len(pairs.middles)
    held_out = np.sort(generator.choice(lines, min(largest, max(1, lines // 10)), replace=False))
    return np.delete(np.arange(lines), held_out), held_out


def unknown(pairs, held_out):
    """Returns the held-out lines with a symbol that no training pair holds: list of (line number, symbol)."""
    counts = np.zeros(FIRST_SYMBOL + len(pairs.names), np.int64)
    for start in range(0, pairs.symbols.size, CHUNK):
        counts += np.bincount(pairs.symbols[start : start + CHUNK], minlength=counts.size)
    lines = [pairs.symbols[pairs.starts[line] : pairs.starts[line + 1]] for line in held_out]
    for line in lines:
        np.subtract.at(counts, line, 1)
    firsts = [(number, line[counts[line] == 0][:1]) for number, line in zip(held_out + 1, lines)]
    return [(int(number), pairs.names[first[0] - FIRST_SYMBOL]) for number, first in firsts if first.size]


def batch(pairs, lines, extra_decoder_steps):
    """Makes a batch of pairs.

    Args:
      pairs: Pairs.
      lines: int [batch], their places in the file.
      extra_decoder_steps: int, how much longer than its input a target with EOS and two PADs can be.

    Returns:
      A helpers.Batch.
    """
    starts, middles, ends = pairs.starts[lines], pairs.middles[lines], pairs.starts[lines + 1]
    inputs, lengths = helpers.batch([pairs.symbols[start:end] for start, end in zip(starts, middles)])
    targets, target_lengths = helpers.batch([pairs.symbols[start:end] for start, end in zip(middles, ends)])
    steps = len(inputs) + extra_decoder_steps
    return helpers.Batch(inputs, lengths, helpers.decoder_targets(targets, target_lengths, steps))


def examples(pairs, config, largest, generator, held_out_generator):
    """Splits the pairs of a file, and says what it holds.

    On stderr it says which held-out pairs hold a symbol that no training pair does.

    Args:
      pairs: Pairs.
      config: the Config.
      largest: int, the most pairs to hold out.
      generator: the np.random.Generator that training pairs are drawn by, with replacement.
      held_out_generator: the np.random.Generator that decides what is held out.

    Returns:
      an iterator over endless training batches, and a helpers.Batch of all held-out pairs.
    """
    training, held_out = split(pairs, largest, held_out_generator)
    print(
        f"{len(training)} pairs to learn, {len(held_out)} held out; {len(pairs.names)} symbols; inputs of "
        f"{config.length_from} to {config.length_to}, decoded in up to {config.decoder_steps} steps\n"
    )
    strange = unknown(pairs, held_out)
    for number, name in strange[:MOST_WARNINGS]:
        print(f"seq2seq_copy.py: line {number} is held out, and {name!r} is in no training pair", file=sys.stderr)
    if len(strange) > MOST_WARNINGS:
        print(f"seq2seq_copy.py: and {len(strange) - MOST_WARNINGS} more such lines", file=sys.stderr)

    def batches():
        while True:
            yield batch(pairs, generator.choice(training, config.batch_size), config.extra_decoder_steps)

    return batches(), batch(pairs, held_out, config.extra_decoder_steps)
