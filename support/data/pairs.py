"""The user's own data: a file of pairs, INPUT TAB TARGET in each line, white space between symbols, UTF-8.

The file is read once. Its symbols are written as numbers to a temporary file, from which batches are drawn. So memory
holds only the vocabulary, about 40 bytes for each line, and the pairs that are held out.
"""

import array
import functools
import hashlib
import logging
import tempfile
import unicodedata
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import helpers
from helpers import EXTRA_DECODER_STEPS, FIRST_SYMBOL
from support.errors import UserError
from support.settings import LARGEST_VOCABULARY, LONGEST_SEQUENCE, RESERVED

CHUNK = 1_000_000  # numbers
LONGEST_LINE = 10_000_000  # bytes
MOST_WRONG_LINES = 1_000  # after so many, the file is no file of pairs
MOST_WARNINGS = 5

log = logging.getLogger(__name__)


class Pairs(NamedTuple):
    """All pairs of a file.

    The input of line i is symbols[starts[i] : middles[i]], its target is symbols[middles[i] : starts[i + 1]].
    """

    symbols: np.ndarray  # int32 [all symbols], in a temporary file
    starts: np.ndarray  # int64 [lines + 1]
    middles: np.ndarray  # int64 [lines]
    input_hashes: np.ndarray  # int64 [lines], the same for the same input
    names: list  # of str: how the symbols from FIRST_SYMBOL on are written
    sha256: str  # of the file


def read(path):
    """Reads a file of pairs.

    Args:
      path: pathlib.Path.

    Returns:
      Pairs, with at least two different inputs.

    Raises:
      UserError: the file cannot be read, a line holds no pair (the message names the first), there are fewer than 2
        different inputs or too many symbols, or the temporary file cannot be written.
    """
    names, digest = {}, hashlib.sha256()
    numbers, starts, middles, hashes = array.array("i"), array.array("q", [0]), array.array("q"), array.array("q")
    first_problem, wrong_lines = "", 0
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - stays open for as long as its numbers are read
        for line_number, line in enumerate(lines_of(path), start=1):
            digest.update(line)
            try:
                sides = parse(line)
            except ValueError as error:
                first_problem = first_problem or f"line {line_number}: {error}"
                wrong_lines += 1
                if wrong_lines == MOST_WRONG_LINES or len(line) > LONGEST_LINE:
                    break
                continue
            for words in sides:
                numbers.extend(names.setdefault(word, FIRST_SYMBOL + len(names)) for word in words)
            middles.append(starts[-1] + len(sides[0]))
            starts.append(middles[-1] + len(sides[1]))
            hashes.append(hash(tuple(sides[0])))
            if len(names) > LARGEST_VOCABULARY:
                problem = f"more than {LARGEST_VOCABULARY} different symbols"
                raise UserError(f"--data: {str(path)!r} line {line_number}: {problem}")
            if len(numbers) > CHUNK:
                numbers.tofile(file)
                del numbers[:]
        numbers.tofile(file)
        file.flush()
    except OSError as error:
        raise UserError(f"--data: cannot write a temporary file for {str(path)!r}: {error.strerror}") from None
    if wrong_lines:
        more = f", and {wrong_lines - 1} more wrong line{'s' if wrong_lines > 2 else ''}" if wrong_lines > 1 else ""
        raise UserError(f"--data: {str(path)!r} {first_problem}{more}")
    if np.unique(hashes).size < 2:
        raise UserError(f"--data: {str(path)!r} holds fewer than 2 different inputs")
    warn_of_look_alikes(names)
    symbols = np.memmap(file, np.int32, mode="r")
    arrays = (np.array(values) for values in (starts, middles, hashes))
    return Pairs(symbols, *arrays, list(names), digest.hexdigest())


def warn_of_look_alikes(names):
    """Warns of two symbols that differ only in how a letter with an accent is put together."""
    first_of = {}
    for name in names:
        first = first_of.setdefault(unicodedata.normalize("NFC", name), name)
        if first != name:
            log.warning("%s and %s look alike, but are different symbols", ascii(first), ascii(name))


def lines_of(path):
    """Yields the lines of a file as bytes. Raises UserError if it cannot be read."""
    try:
        with open(path, "rb") as lines:
            every_line = iter(functools.partial(lines.readline, LONGEST_LINE + 1), b"")
            yield from tqdm(every_line, desc=f"reading {path}", unit=" lines", disable=None, dynamic_ncols=True)
    except OSError as error:
        raise UserError(f"--data: cannot read {str(path)!r}: {error.strerror}") from None


def parse(line):
    """Returns the words of both sides of a line (bytes), two lists of str. Raises ValueError if it holds no pair."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"longer than {LONGEST_LINE} bytes")
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8") from None
    if not text.strip():
        raise ValueError("empty")
    sides = [side.split() for side in text.split("\t")]
    if len(sides) != 2:
        raise ValueError(f"needs one TAB between input and target, has {len(sides) - 1}")
    for side, words in zip(("input", "target"), sides):
        if not 1 <= len(words) <= LONGEST_SEQUENCE:
            raise ValueError(f"{len(words) or 'no'} symbols in the {side}; there must be 1 to {LONGEST_SEQUENCE}")
        for name in RESERVED:
            if name in words:
                raise ValueError(f"{name} is reserved for the model")
    return sides


def sizes(pairs):
    """Returns what the model must be large enough for, as fields of a settings.Config."""
    lengths, target_lengths = pairs.middles - pairs.starts[:-1], pairs.starts[1:] - pairs.middles
    return {
        "length_from": int(lengths.min()),
        "length_to": int(lengths.max()),
        "vocab_size": FIRST_SYMBOL + len(pairs.names),
        "extra_decoder_steps": EXTRA_DECODER_STEPS + max(0, int((target_lengths - lengths).max())),
    }


def split(pairs, most_held_out, generator):
    """Holds out the pairs of a tenth of all different inputs, chosen at random.

    So no held-out input is trained on, however often a line is repeated.

    Args:
      pairs: Pairs.
      most_held_out: int, of lines; more only if one input has more.
      generator: a np.random.Generator.

    Returns:
      training, held_out: int [...], the pairs of each, by their index in the file.
    """
    _, first_lines, inputs, lines_of_input = np.unique(
        pairs.input_hashes, return_index=True, return_inverse=True, return_counts=True
    )
    in_order = np.argsort(first_lines)  # the inputs as they come in the file
    some = generator.choice(in_order.size, min(most_held_out, max(1, in_order.size // 10)), replace=False)
    chosen = in_order[some]
    chosen = chosen[: max(1, (lines_of_input[chosen].cumsum() <= most_held_out).sum())]
    is_held_out = np.isin(inputs, chosen)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def repeated_inputs(pairs):
    """Returns how many lines have an input that an earlier line has."""
    return pairs.input_hashes.size - np.unique(pairs.input_hashes).size


def untrained_symbols(pairs, held_out):
    """Finds the held-out lines with a symbol that is in no training pair; returns a list of (line number, symbol)."""
    counts = np.zeros(FIRST_SYMBOL + len(pairs.names), np.int64)
    for start in range(0, pairs.symbols.size, CHUNK):
        counts += np.bincount(pairs.symbols[start : start + CHUNK], minlength=counts.size)
    lines = [pairs.symbols[pairs.starts[line] : pairs.starts[line + 1]] for line in held_out]
    for line in lines:
        np.subtract.at(counts, line, 1)
    untrained = [(line_number, line[counts[line] == 0]) for line_number, line in zip(held_out + 1, lines)]
    return [(int(line), pairs.names[symbols[0] - FIRST_SYMBOL]) for line, symbols in untrained if symbols.size]


def batch(pairs, lines, extra_decoder_steps):
    """Makes a batch of pairs.

    Args:
      pairs: Pairs.
      lines: int [batch], the index of each pair in the file.
      extra_decoder_steps: int, by how much a target with EOS and two PADs can be longer than its input.

    Returns:
      A helpers.Batch.
    """
    starts, middles, ends = pairs.starts[lines], pairs.middles[lines], pairs.starts[lines + 1]
    inputs, lengths = helpers.batch([pairs.symbols[start:end] for start, end in zip(starts, middles)])
    targets, target_lengths = helpers.batch([pairs.symbols[start:end] for start, end in zip(middles, ends)])
    steps = len(inputs) + extra_decoder_steps
    return helpers.Batch(inputs, lengths, helpers.decoder_targets(targets, target_lengths, steps))


def examples(pairs, config, generator, held_out_generator):
    """Splits the pairs of a file. Warns of held-out pairs with a symbol that is in no training pair.

    Args:
      pairs: Pairs.
      config: a settings.Config.
      generator: the np.random.Generator that training pairs are drawn by, with replacement.
      held_out_generator: the np.random.Generator that decides what is held out.

    Returns:
      An iterator over endless training batches, and a helpers.Batch of all held-out pairs.
    """
    training, held_out = split(pairs, config.held_out_sequences, held_out_generator)
    untrained = untrained_symbols(pairs, held_out)
    for line_number, name in untrained[:MOST_WARNINGS]:
        log.warning("line %d is held out, and %r is in no training pair", line_number, name)
    if len(untrained) > MOST_WARNINGS:
        log.warning("and %d more such lines", len(untrained) - MOST_WARNINGS)

    def batches():
        while True:
            yield batch(pairs, generator.choice(training, config.batch_size), config.extra_decoder_steps)

    return batches(), batch(pairs, held_out, config.extra_decoder_steps)
