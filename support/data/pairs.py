"""The user's own data: a file of pairs, INPUT TAB TARGET in each line, white space between symbols, UTF-8.

The file is read once. Its symbols are written as numbers to a temporary file, from which batches are drawn. So memory
holds only the vocabulary, about 40 bytes per line, and the held-out pairs.
"""

import array
import contextlib
import functools
import hashlib
import logging
import re
import tempfile
import unicodedata
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import helpers
from helpers import EXTRA_DECODER_STEPS, FIRST_SYMBOL
from support import outside
from support.errors import UserError, counted
from support.settings import LARGEST_VOCABULARY, LONGEST_SEQUENCE, RESERVED, UNKNOWN_NAME

SPACE = "\u2423"  # how a space is written where each character is a symbol
FEWEST_LINES = 10  # of a file that can look unspaced
UNKNOWN = -1  # a symbol that is not in the vocabulary
CHUNK = 1_000_000  # numbers
LONGEST_LINE = 10_000_000  # bytes
MOST_WRONG_LINES = 1_000  # with so many, it is not a file of pairs
MOST_WARNINGS = 5
MOST_BUCKETS = 4  # of similar lengths; XLA compiles a program for each
LEAST_SAVING = 0.1  # the share of all steps that one more bucket must save
DISTINCT_LENGTHS = 100  # at most, after rounding up, when the buckets are chosen

log = logging.getLogger(__name__)


class Pairs(NamedTuple):
    """All pairs of the files of a run: --data, then --validation-data, then --test-data.

    The input of line i is symbols[starts[i] : middles[i]], its target is symbols[middles[i] : starts[i + 1]].
    """

    symbols: np.ndarray  # int32 [all symbols], in a temporary file; UNKNOWN only in --test-data
    starts: np.ndarray  # int64 [lines + 1]
    middles: np.ndarray  # int64 [lines]
    input_hashes: np.ndarray  # int64 [lines], the same for the same input
    names: list  # of str: how the symbols from FIRST_SYMBOL on are written
    sha256: str  # of the files
    ends: tuple = ()  # of int: the end of --data, and of --validation-data, in lines; () if there is only --data

    @property
    def lines(self):
        """The lines of --data, int [...]."""
        return np.arange(len(self.input_hashes[: self.ends[0] if self.ends else None]))

    @property
    def validation_lines(self):
        """The lines of --validation-data, int [...]."""
        return np.arange(*self.ends) if self.ends else np.arange(0)

    @property
    def test_lines(self):
        """The lines of --test-data, int [...]."""
        return np.arange(self.ends[1] if self.ends else len(self.middles), len(self.middles))


def read(path, validation=None, test=None, symbols="words", names=()):
    """Reads the files of pairs of a run.

    Args:
      path, validation, test: pathlib.Path; the latter two may be None.
      symbols: "words" or "characters", see split_into_symbols().
      names: of str, how the first symbols are written; the symbols of the files follow.

    Returns:
      Pairs, with at least two different inputs to train on. Symbols that only the test file holds are UNKNOWN.

    Raises:
      UserError: a file cannot be read, a line holds no pair (the message names the first), there are fewer than 2
        different inputs or too many symbols, or the temporary file cannot be written.
    """
    with clear_errors(path):
        reader = _Reader(symbols, names)
        reader.add("--data", path)
        if reader.looks_unspaced():
            log.warning("almost every input and target is one symbol; --symbols characters would split them")
        ends = [len(reader.middles)]
        if validation is not None:
            reader.add("--validation-data", validation)
        ends.append(len(reader.middles))
        warn_of_look_alikes(reader.names)
        if test is not None:
            reader.add("--test-data", test, may_add_symbols=False)
        made = reader.pairs(tuple(ends))
    if np.unique(made.input_hashes[made.lines]).size < 2:
        raise UserError(f"--data: {str(path)!r} holds fewer than 2 different inputs")
    return made


@contextlib.contextmanager
def clear_errors(path):
    """Turns the OSError of a temporary file into a UserError that names the file of pairs."""
    try:
        yield
    except OSError as error:
        raise UserError(f"--data: cannot write a temporary file for {str(path)!r}: {error.strerror}") from None


def without_rare(pairs, held_out, min_count, known, path):
    """Replaces symbols that occur fewer than min_count times in the training pairs by one, UNKNOWN_NAME.

    Args:
      pairs: Pairs; UNKNOWN_NAME is among its names.
      held_out: int [...], the lines that are not trained on.
      min_count: int.
      known: int, how many of the first names are kept, however rare they are.
      path: pathlib.Path of the file, for a message.

    Returns:
      Pairs, in another temporary file.

    Raises:
      UserError: the temporary file cannot be written.
    """
    is_kept = training_counts(pairs, held_out) >= min_count
    is_kept[: FIRST_SYMBOL + known] = True
    numbers = np.full(is_kept.size, FIRST_SYMBOL + pairs.names.index(UNKNOWN_NAME), np.int32)
    numbers[is_kept] = np.arange(is_kept.sum())
    with clear_errors(path):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - stays open for as long as its numbers are read
        for start in range(0, pairs.symbols.size, CHUNK):
            numbers[pairs.symbols[start : start + CHUNK]].tofile(file)
        file.flush()
        symbols = np.asarray(np.memmap(file, np.int32, mode="r"))
    names = [name for name, kept in zip(pairs.names, is_kept[FIRST_SYMBOL:]) if kept]
    return pairs._replace(symbols=symbols, names=names)


def read_known(flag, path, names, symbols="words"):
    """Reads a file of pairs; names is the known vocabulary, a list of str.

    Other symbols become UNKNOWN, or UNKNOWN_NAME if that is among the names. Raises the same errors as read().
    """
    reader = _Reader(symbols, names)
    reader.add(flag, path, may_add_symbols=False)
    return reader.pairs()


class _Reader:
    """Reads files of pairs one after the other."""

    def __init__(self, symbols, names):
        self.symbols, self.digest = symbols, hashlib.sha256()
        self.names = {name: symbol for symbol, name in enumerate(names, start=FIRST_SYMBOL)}
        self.numbers, self.starts = array.array("i"), array.array("q", [0])
        self.middles, self.hashes = array.array("q"), array.array("q")
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - stays open for as long as its numbers are read

    def add(self, flag, path, may_add_symbols=True):
        """Reads a file; messages name it by its flag."""
        first_problem, wrong_lines, pairs_before = "", 0, len(self.middles)
        for line_number, line in enumerate(lines_of(path, flag), start=1):
            self.digest.update(line)
            try:
                sides = parse(line, self.symbols)
            except ValueError as error:
                first_problem = first_problem or f"line {line_number}: {error}"
                wrong_lines += 1
                if wrong_lines == MOST_WRONG_LINES or len(line) > LONGEST_LINE:
                    break
                continue
            self.add_pair(*sides, may_add_symbols)
            if len(self.names) > LARGEST_VOCABULARY:
                problem = f"more than {LARGEST_VOCABULARY} different symbols"
                raise UserError(f"{flag}: {str(path)!r} line {line_number}: {problem}")
        if wrong_lines:
            raise UserError(f"{flag}: {str(path)!r} {first_problem}{further(wrong_lines)}")
        if len(self.middles) == pairs_before:
            raise UserError(f"{flag}: {str(path)!r} holds no pair")

    def add_pair(self, inputs, target, may_add_symbols):
        """Adds a pair, two lists of str."""
        unknown = self.names.get(UNKNOWN_NAME, UNKNOWN)
        for words in (inputs, target):
            if may_add_symbols:
                self.numbers.extend(self.names.setdefault(word, FIRST_SYMBOL + len(self.names)) for word in words)
            else:
                self.numbers.extend(self.names.get(word, unknown) for word in words)
        self.middles.append(self.starts[-1] + len(inputs))
        self.starts.append(self.middles[-1] + len(target))
        self.hashes.append(hash(tuple(inputs)))
        if len(self.numbers) > CHUNK:
            self.write()

    def looks_unspaced(self):
        """Returns whether the spaces between symbols seem to be missing: many symbols, about one on each side."""
        lines = len(self.middles)
        return lines >= FEWEST_LINES and self.starts[-1] < 1.1 * 2 * lines and len(self.names) > lines / 2

    def write(self):
        self.numbers.tofile(self.file)
        del self.numbers[:]

    def pairs(self, ends=()):
        """Returns everything read so far as Pairs."""
        self.write()
        self.file.flush()
        symbols = np.asarray(np.memmap(self.file, np.int32, mode="r"))
        arrays = (np.array(values) for values in (self.starts, self.middles, self.hashes))
        return Pairs(symbols, *arrays, list(self.names), self.digest.hexdigest(), ends)


def further(wrong_lines):
    """Returns the message about the wrong lines after the first one."""
    if wrong_lines == MOST_WRONG_LINES:
        return f", and at least {wrong_lines - 1} more wrong lines"
    more = counted(wrong_lines - 1, "more wrong line")
    return f", and {more}" if wrong_lines > 1 else ""


def warn_of_look_alikes(names):
    """Warns of two symbols that differ only in how an accented letter is encoded."""
    first_of = {}
    for name in names:
        first = first_of.setdefault(unicodedata.normalize("NFC", name), name)
        if first != name:
            log.warning("%s and %s look alike, but are different symbols", ascii(first), ascii(name))


def lines_of(path, flag):
    """Yields the lines of a file as bytes. Raises UserError if it cannot be read."""
    try:
        with outside.open_file(path) as lines:
            every_line = iter(functools.partial(lines.readline, LONGEST_LINE + 1), b"")
            yield from tqdm(
                every_line, desc=outside.printable(f"reading {path}"), unit=" lines", disable=None, dynamic_ncols=True
            )
    except OSError as error:
        raise UserError(f"{flag}: cannot read {str(path)!r}: {error.strerror}") from None


def split_into_symbols(text, symbols):
    """Returns the symbols of one side of a line, a list of str.

    These are its words, between spaces, or its characters, with SPACE for a space. A no-break space and other non-ASCII
    spaces are symbols, or parts of symbols.
    """
    if symbols == "characters":
        return [SPACE if character == " " else character for character in text.rstrip("\r\n")]
    return text.split() if text.isascii() else [word for word in re.split(r"[ \t\r\n\v\f]+", text) if word]


def parse(line, symbols="words"):
    """Returns the symbols of both sides of a line (bytes), two lists of str. Raises ValueError if it holds no pair."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"longer than {LONGEST_LINE} bytes")
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8") from None
    if not text.strip(" \t\v\f"):
        raise ValueError("empty")
    sides = [split_into_symbols(side, symbols) for side in text.split("\t")]
    if len(sides) != 2:
        raise ValueError(f"needs one TAB between input and target, has {len(sides) - 1}")
    for side, words in zip(("input", "target"), sides):
        if not 1 <= len(words) <= LONGEST_SEQUENCE:
            raise ValueError(f"{len(words) or 'no'} symbols in the {side}; there must be 1 to {LONGEST_SEQUENCE}")
        for name in (*RESERVED, UNKNOWN_NAME):
            if name in words:
                raise ValueError(f"{name} is reserved for the model")
    return sides


def sizes(pairs):
    """Returns the sizes that the model needs for the pairs, as fields of a settings.Settings."""
    lengths, target_lengths = lengths_of(pairs, np.concatenate([pairs.lines, pairs.validation_lines]))
    return {
        "length_from": int(lengths.min()),
        "length_to": int(lengths.max()),
        "vocab_size": FIRST_SYMBOL + len(pairs.names),
        "buckets": buckets(lengths, target_lengths),
    }


def lengths_of(pairs, lines):
    """Returns the lengths of the inputs and of the targets of some lines, each int [lines]."""
    middles = pairs.middles[lines]
    return middles - pairs.starts[lines], pairs.starts[lines + 1] - middles


def buckets(lengths, target_lengths):
    """Chooses which lengths share a batch: a few buckets that keep the mean number of steps per batch small.

    A batch makes as many steps as its longest pair needs. So pairs of similar length share a bucket, with the limits
    that make the sum of these steps over all pairs least. Another bucket must save a tenth of the steps. With more and
    narrower buckets, short sequences were copied less exactly (docs/own-data.md).

    Args:
      lengths, target_lengths: int [pairs].

    Returns:
      Tuple of (longest input, longest target), 1 to MOST_BUCKETS of them. Each has room for the ones before.
    """
    steps = lengths + target_lengths + EXTRA_DECODER_STEPS  # of encoder and decoder
    unit = -(-int(steps.max()) // DISTINCT_LENGTHS)
    steps = -(-steps // unit) * unit
    ends, counts = np.unique(steps, return_counts=True)
    pairs_before = np.concatenate([[0], counts.cumsum()])
    # least[end]: the least sum of steps for all pairs up to a length, in buckets that end at the lengths cuts[end]
    least, cuts = ends * pairs_before[1:], [[end] for end in range(len(ends))]
    for _ in range(MOST_BUCKETS - 1):
        starts = np.arange(len(ends))
        # [start, end]: with a last bucket for the lengths after `start`, up to `end`
        sums = least[:, np.newaxis] + ends * (pairs_before[1:] - pairs_before[1:, np.newaxis])
        sums[starts[:, np.newaxis] >= starts] = np.iinfo(np.int64).max
        best = sums.argmin(axis=0)
        fewer, least = least, np.minimum(least, sums[best, starts])
        if least[-1] > (1 - LEAST_SAVING) * fewer[-1]:
            break
        cuts = [cuts[best[end]] + [end] if least[end] < fewer[end] else cuts[end] for end in range(len(ends))]
    held = [steps <= ends[cut] for cut in cuts[-1]]
    return tuple(dict.fromkeys((int(lengths[fits].max()), int(target_lengths[fits].max())) for fits in held))


def bucket_of(pairs, lines, buckets):
    """Returns the first bucket that each line fits into, int [lines]."""
    sizes = np.stack(lengths_of(pairs, lines), axis=1)[:, np.newaxis]  # [lines, 1, 2]
    return (sizes <= np.array(buckets)).all(axis=2).argmax(axis=1)


def split(pairs, most_held_out, generator):
    """Holds out the pairs of a tenth of all different inputs, chosen at random.

    So no held-out input is trained on, however often a line is repeated. With --validation-data, all of that file is
    held out, and nothing of --data.

    Args:
      pairs: Pairs.
      most_held_out: int, the most lines to hold out; more only if one input has more.
      generator: a np.random.Generator.

    Returns:
      training, held_out: int [...], the pairs of each, by their index in the file.
    """
    if pairs.validation_lines.size:
        return pairs.lines, pairs.validation_lines
    _, first_lines, inputs, lines_of_input = np.unique(
        pairs.input_hashes[pairs.lines], return_index=True, return_inverse=True, return_counts=True
    )
    in_order = np.argsort(first_lines)  # the inputs in the order of the file
    some = generator.choice(in_order.size, min(most_held_out, max(1, in_order.size // 10)), replace=False)
    chosen = in_order[some]
    chosen = chosen[: max(1, (lines_of_input[chosen].cumsum() <= most_held_out).sum())]
    is_held_out = np.isin(inputs, chosen)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def repeated_inputs(pairs):
    """Returns how many lines repeat the input of an earlier line."""
    hashes = pairs.input_hashes[pairs.lines]
    return hashes.size - np.unique(hashes).size


def training_counts(pairs, held_out):
    """Returns how often training pairs hold each symbol, int [vocab_size]. held_out: int [...], the other lines."""
    counts = np.zeros(FIRST_SYMBOL + len(pairs.names), np.int64)
    symbols = pairs.symbols[: pairs.starts[pairs.ends[1]]] if pairs.ends else pairs.symbols
    for start in range(0, symbols.size, CHUNK):
        counts += np.bincount(symbols[start : start + CHUNK], minlength=counts.size)
    for line in held_out:
        np.subtract.at(counts, symbols[pairs.starts[line] : pairs.starts[line + 1]], 1)
    return counts


def untrained_symbols(pairs, held_out):
    """Finds the held-out lines with a symbol that is in no training pair; returns a list of (line number, symbol)."""
    counts = training_counts(pairs, held_out)
    first = pairs.ends[0] if pairs.validation_lines.size else 0  # of the file that held_out is from
    lines = [pairs.symbols[pairs.starts[line] : pairs.starts[line + 1]] for line in held_out]
    untrained = [(line_number, line[counts[line] == 0]) for line_number, line in zip(held_out + 1 - first, lines)]
    return [(int(line), pairs.names[symbols[0] - FIRST_SYMBOL]) for line, symbols in untrained if symbols.size]


def batch(pairs, lines):
    """Makes a helpers.Batch of pairs. lines: int [batch], the index of each pair in the file."""
    starts, middles, ends = pairs.starts[lines], pairs.middles[lines], pairs.starts[lines + 1]
    inputs, lengths = helpers.batch([pairs.symbols[start:end] for start, end in zip(starts, middles)])
    targets, target_lengths = helpers.batch([pairs.symbols[start:end] for start, end in zip(middles, ends)])
    return helpers.Batch(inputs, lengths, helpers.decoder_targets(targets, target_lengths), target_lengths)


def examples(pairs, config, generator, held_out_generator):
    """Splits the pairs of a file. Warns of held-out pairs with a symbol that is in no training pair.

    Args:
      pairs: Pairs.
      config: a settings.Settings.
      generator: the np.random.Generator that draws the training pairs, with replacement.
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

    return training_batches(pairs, training, config, generator), batch(pairs, held_out)


def training_batches(pairs, training, config, generator):
    """Yields endless batches of pairs of similar lengths.

    A batch draws a bucket, then pairs from it, with replacement. The loss of a batch is a mean over steps. So the
    probability of a bucket is its share of the decoder's steps: each step then counts as much as if all lengths were
    mixed. For a bucket with fewer pairs than a batch it is its share of the pairs, so that an outlier costs little.
    A batch depends on earlier ones only through the state of the generator, so a run can be resumed after any batch.
    """
    bucket = bucket_of(pairs, training, config.buckets)
    members = [training[bucket == index] for index in range(len(config.buckets))]
    steps = lengths_of(pairs, training)[1] + EXTRA_DECODER_STEPS
    by_steps = np.bincount(bucket, weights=steps / steps.mean(), minlength=len(config.buckets))
    by_pairs = np.bincount(bucket, minlength=len(config.buckets))
    shares = np.where(by_pairs < config.batch_size, by_pairs, by_steps)
    shares = shares / shares.sum()
    while True:
        yield batch(pairs, generator.choice(members[generator.choice(len(members), p=shares)], config.batch_size))
