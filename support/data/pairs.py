"""The user's own data: a file of pairs, INPUT TAB TARGET in each line, white space between symbols, UTF-8.

The file is read once. Its symbols are written as numbers to a temporary file, from which batches are drawn. So memory
holds only the vocabulary, about 40 bytes per line, and 1,000 validation pairs.
"""

import array
import codecs
import functools
import hashlib
import logging
import re
import tempfile
import unicodedata
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import helpers
from helpers import EOS, EXTRA_DECODER_STEPS, FIRST_SYMBOL, PAD
from support import outside
from support.errors import UserError, as_user_error, counted
from support.limits import LARGEST_VOCABULARY, LONGEST_SEQUENCE
from support.settings import RESERVED, UNKNOWN_NAME, DataFacts, flag

SPACE = "\u2423"  # how a space is written where each character is a symbol
FEWEST_LINES = 10  # of a file that can look unspaced
WORD = re.compile(r"[^ \t\r\n\v\f]+")
UNKNOWN = -1  # a symbol that is not in the vocabulary
CHUNK = 1_000_000  # numbers
LINES_AT_ONCE = 10_000
LONGEST_LINE = 10_000_000  # bytes
MOST_WORDS = 1_000_000  # different ones that are read where --min-count leaves out rare ones
MOST_WRONG_LINES = 1_000  # with so many, it is not a file of pairs
MOST_WARNINGS = 5
MOST_BUCKETS = 4  # of similar lengths; XLA compiles a program for each
LEAST_SAVING = 0.1  # the share of all steps that one more bucket must save
MOST_STEPS = 150_000  # by default, in all batches of 64
DISTINCT_LENGTHS = 100  # at most, after rounding up, when the buckets are chosen

log = logging.getLogger(__name__)


class Pairs(NamedTuple):
    """All pairs of the files of a run: --data, then --validation-data, then --test-data. A line is an index, from 0.

    A set without a file of its own may be part of --data; see draw().

    The input of line i is written[bounds[2 * i] : bounds[2 * i + 1]], and its target ends at bounds[2 * i + 2]. Two
    spellings that the model does not know are two inputs, although it reads one symbol for both.
    """

    written: np.ndarray  # int32 [all symbols], in a temporary file: indices of spellings
    bounds: np.ndarray  # int64 [2 * lines + 1]
    input_hashes: np.ndarray  # int64 [lines], the same for the same input
    spellings: list  # of str: how the files write their symbols; from FIRST_SYMBOL on, after those of PAD and EOS
    symbol_of: np.ndarray  # int32 [spellings]: what the model reads; UNKNOWN only for some of --test-data
    names: list  # of str: how the model's symbols from FIRST_SYMBOL on are written
    sha256: str  # of the files
    training_lines: np.ndarray  # int [...]
    validation_lines: np.ndarray  # int [...], by which the weights and the end of a run are chosen
    test_lines: np.ndarray  # int [...], which only the final report reads

    def sides(self, line):
        """Returns the input and the target of a line as the model reads them, int32 [...] each."""
        start, middle, end = self.bounds[2 * line : 2 * line + 3]
        return self.symbol_of[self.written[start:middle]], self.symbol_of[self.written[middle:end]]

    def sides_as_written(self, line):
        """Returns the input and the target of a line as the file has them, two tuples of str."""
        start, middle, end = self.bounds[2 * line : 2 * line + 3]
        spelled = [self.spellings[index] for index in self.written[start:end].tolist()]
        return tuple(spelled[: middle - start]), tuple(spelled[middle - start :])


def read(config):
    """Reads the files of pairs of a run, and draws by its seed the sets that have no file.

    Args:
      config: a settings.Settings. Its names, if it has any, are those of the first symbols; others follow.

    Returns:
      Pairs. Symbols that only the test file holds are UNKNOWN.

    Raises:
      UserError: a file cannot be read, a line holds no pair (the message names the first), there are too few different
        inputs or too many symbols, or the temporary file cannot be written.
    """
    names = list(config.facts.names)
    if config.min_count > 1 and UNKNOWN_NAME not in names:
        names.append(UNKNOWN_NAME)
    with as_user_error(f"--data: cannot write a temporary file for {str(config.data)!r}"):
        largest = LARGEST_VOCABULARY if config.min_count == 1 else MOST_WORDS
        reader = _Reader(config.symbols, names, largest)
        lines = reader.add("--data", config.data)
        if hint := reader.hint_of_spaces():
            log.warning(hint)
        validation_lines = reader.add("--validation-data", config.validation_data)
        warn_of_look_alikes(reader.names)
        test_lines = reader.add("--test-data", config.test_data, may_add_symbols=False)
        pairs = draw(reader.pairs(lines, validation_lines, test_lines), config)
        pairs = pairs if config.min_count == 1 else without_rare(pairs, config.min_count, len(names))
    if len(pairs.names) > LARGEST_VOCABULARY:
        remedy = "a higher --min-count leaves out more"
        raise UserError(f"--min-count: {len(pairs.names)} symbols remain, more than {LARGEST_VOCABULARY}; {remedy}")
    return pairs


def draw(pairs, config):
    """Draws the sets that have no file from the lines of --data; each takes the pairs of a tenth of all inputs.

    With --validation-data alone there is no test set: the report is about the validation set, and says so. Raises
    UserError if there are fewer different inputs than sets.
    """
    _, test_generator, validation_generator = helpers.generators(config.seed)
    drawn = {} if config.test_data or config.validation_data else {"test_lines": test_generator}
    drawn |= {} if config.validation_data else {"validation_lines": validation_generator}
    lines, fewest = pairs.training_lines.size, max(2, 1 + len(drawn))
    if np.unique(pairs.input_hashes[:lines]).size < fewest:
        raise UserError(f"--data: {str(config.data)!r} holds fewer than {fewest} different inputs")
    for name, generator in drawn.items():
        rest = pairs.training_lines
        training, some = split(pairs.input_hashes[rest], config.held_out_sequences, generator)
        pairs = pairs._replace(training_lines=rest[training], **{name: rest[some]})
        if some.size > most_lines(lines):
            size = f"{some.size} of {lines} lines are {name.replace('_lines', ' pairs')}"
            log.warning("%s, more than a tenth, because no input has fewer lines", size)
    return pairs


def without_rare(pairs, min_count, known):
    """Replaces symbols that occur fewer than min_count times in the training pairs by one, UNKNOWN_NAME.

    That is among the names, of which the first known ones are kept, however rare they are.
    """
    is_kept = training_counts(pairs) >= min_count
    unknown = FIRST_SYMBOL + pairs.names.index(UNKNOWN_NAME)
    is_kept[[PAD, EOS, unknown]] = False
    if not is_kept.any():
        rarer = "every symbol of the training pairs is rarer"
        log.warning("--min-count: %s, so all of them are %s", rarer, UNKNOWN_NAME)
    is_kept[: FIRST_SYMBOL + known] = True
    symbols = np.full(is_kept.size, unknown, np.int32)
    symbols[is_kept] = np.arange(is_kept.sum())
    names = [name for name, kept in zip(pairs.names, is_kept[FIRST_SYMBOL:]) if kept]
    return pairs._replace(symbol_of=symbols[pairs.symbol_of], names=names)


def read_known(flag, path, names, symbols="words"):
    """Reads a file of pairs as test lines; names is the known vocabulary, a list of str.

    The model reads other symbols as UNKNOWN, or as UNKNOWN_NAME if that is among the names. Raises the same errors as
    read().
    """
    with as_user_error(f"{flag}: cannot write a temporary file for {str(path)!r}"):
        reader, none = _Reader(symbols, names), np.arange(0)
        return reader.pairs(none, none, reader.add(flag, path, may_add_symbols=False))


class _Reader:
    """Reads files of pairs one after the other."""

    def __init__(self, symbols, names, largest=LARGEST_VOCABULARY):
        self.symbols, self.digest, self.largest = by_side(symbols), hashlib.sha256(), largest
        self.spellings = {name: index for index, name in enumerate([*RESERVED, *names])}
        self.known = len(self.spellings)  # so many are symbols of the model
        self.first_symbols = set(), set()  # of the inputs, and of the targets
        self.numbers, self.bounds, self.hashes = array.array("i"), array.array("q", [0]), array.array("q")
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - stays open for as long as its numbers are read

    def add(self, flag, path, may_add_symbols=True):
        """Reads a file; messages name it by its flag. Returns its lines, int [...]; none if path is None."""
        first_problem, wrong_lines, lines_before = "", 0, len(self.hashes)
        for line_number, line in enumerate(lines_of(path, flag) if path else (), start=1):
            self.digest.update(line)
            try:
                sides = parse(line.removeprefix(codecs.BOM_UTF8) if line_number == 1 else line, self.symbols)
                if may_add_symbols and UNKNOWN_NAME not in self.spellings and UNKNOWN_NAME in sides[0] + sides[1]:
                    remedy = "with --min-count 2 it is an unknown symbol"
                    raise ValueError(f"{UNKNOWN_NAME} is reserved for the model; {remedy}")
            except ValueError as error:
                first_problem = first_problem or f"line {line_number}: {error}"
                wrong_lines += 1
                if wrong_lines == MOST_WRONG_LINES or len(line) > LONGEST_LINE:
                    break
                continue
            self.add_pair(sides)
            self.known = len(self.spellings) if may_add_symbols else self.known
            if self.known > FIRST_SYMBOL + self.largest:
                remedy = "" if self.largest == MOST_WORDS else "; --min-count 2 leaves out those that occur once"
                problem = f"more than {self.largest} different symbols{remedy}"
                raise UserError(f"{flag}: {str(path)!r} line {line_number}: {problem}")
        if wrong_lines:
            raise UserError(f"{flag}: {str(path)!r} {first_problem}{further(wrong_lines)}")
        if path and len(self.hashes) == lines_before:
            raise UserError(f"{flag}: {str(path)!r} holds no pair")
        return np.arange(lines_before, len(self.hashes))

    def add_pair(self, sides):
        """Adds a pair: its input and its target, each a list of str."""
        for words, first_symbols in zip(sides, self.first_symbols):
            first_symbols.add(words[0])
            self.numbers.extend(self.spellings.setdefault(word, len(self.spellings)) for word in words)
            self.bounds.append(self.bounds[-1] + len(words))
        self.hashes.append(hash(tuple(sides[0])))
        if len(self.numbers) > CHUNK:
            self.write()

    @property
    def names(self):
        """How the model's symbols from FIRST_SYMBOL on are written, list of str."""
        return list(self.spellings)[FIRST_SYMBOL : self.known]

    def hint_of_spaces(self):
        """Returns a line that names a side without spaces between symbols; None if no side looks like that.

        Such a side has about one symbol in each line, and they are many different ones.
        """
        lengths, lines = np.diff(self.bounds).reshape(-1, 2), len(self.hashes)
        is_unspaced = [
            kind == "words" and lines >= FEWEST_LINES and symbols < 1.1 * lines and len(first) > lines / 2
            for kind, symbols, first in zip(self.symbols, lengths.sum(axis=0), self.first_symbols)
        ]
        if not any(is_unspaced):
            return None
        sides = " and ".join(side for side, unspaced in zip(("input", "target"), is_unspaced) if unspaced)
        kinds = ["characters" if unspaced else kind for kind, unspaced in zip(self.symbols, is_unspaced)]
        symbols = ":".join(dict.fromkeys(kinds))
        both = "" if symbols == "characters" else ", and --symbols characters both sides"
        return f"almost every {sides} is one symbol; --symbols {symbols} would split them{both}"

    def write(self):
        self.numbers.tofile(self.file)
        del self.numbers[:]

    def pairs(self, *lines):
        """Returns everything read so far as Pairs. lines: those of --data, --validation-data, --test-data."""
        self.write()
        self.file.flush()
        written = np.asarray(np.memmap(self.file, np.int32, mode="r"))  # read where it is used
        bounds, hashes, spellings = np.array(self.bounds), np.array(self.hashes), list(self.spellings)
        symbol_of = np.arange(len(spellings), dtype=np.int32)
        unknown = self.spellings.get(UNKNOWN_NAME, UNKNOWN)
        symbol_of[self.known :] = unknown if unknown < self.known else UNKNOWN  # a test file may hold UNKNOWN_NAME
        digest = self.digest.hexdigest()
        return Pairs(written, bounds, hashes, spellings, symbol_of, self.names, digest, *lines)


def further(wrong_lines):
    """Returns the message about the wrong lines after the first one."""
    at_least = "at least " if wrong_lines == MOST_WRONG_LINES else ""
    return f", and {at_least}{counted(wrong_lines - 1, 'more wrong line')}" if wrong_lines > 1 else ""


def warn_of_look_alikes(names):
    """Warns of symbols that differ only in how an accented letter is encoded."""
    first_of, known = {}, set(names)
    for name in names:
        first, parts = first_of.setdefault(unicodedata.normalize("NFC", name), name), unicodedata.normalize("NFD", name)
        if first != name:
            log.warning("%s and %s look alike, but are different symbols", ascii(first), ascii(name))
        elif len(name) == 1 < len(parts) and known.issuperset(parts):
            log.warning(
                "%s is a symbol, and so are %s, which look the same", ascii(name), " and ".join(map(ascii, parts))
            )


def lines_of(path, flag):
    """Yields the lines of a file as bytes. Raises UserError if it cannot be read."""
    title = outside.printable(f"reading {path}")
    with as_user_error(f"{flag}: cannot read {str(path)!r}"), outside.open_file(path) as lines:
        every_line = iter(functools.partial(lines.readline, LONGEST_LINE + 1), b"")
        yield from tqdm(every_line, desc=title, unit=" lines", disable=None, dynamic_ncols=True)


def by_side(symbols):
    """Returns what is a symbol of the input, and of the target: "words" or "characters" each, for --symbols."""
    kinds = symbols.split(":")
    return kinds[0], kinds[-1]


def split_into_symbols(text, symbols):
    """Returns the symbols of one side of a line, a list of str.

    These are its words, between ASCII white space, or its characters, with SPACE for a space. A no-break space and
    everything else is a symbol, or part of one.
    """
    if symbols == "characters":
        return [SPACE if character == " " else character for character in text.rstrip("\r\n")]
    return WORD.findall(text)


def parse(line, symbols):
    """Returns the symbols of both sides of a line of bytes, two lists of str. Raises ValueError if it holds no pair."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"longer than {LONGEST_LINE} bytes")
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8") from None
    if not text.strip(" \v\f"):
        raise ValueError("empty")
    columns = text.split("\t")
    if len(columns) != 2:
        remedy = f"; cut -f 1,2 would keep the first two of {len(columns)} columns"
        if len(columns) == 1:
            remedy = "; docs/own-data.md makes pairs of CSV and JSON" if set(text) & set(',;{"') else ""
        raise ValueError(f"needs one TAB between input and target, has {len(columns) - 1}{remedy}")
    sides = [split_into_symbols(*each) for each in zip(columns, symbols)]
    for side, words, column, kind in zip(("input", "target"), sides, columns, symbols):
        if kind == "characters" and "\r" in column:
            raise ValueError(f"a carriage return in the {side}")
        if kind == "characters" and SPACE in column:
            raise ValueError(f"U+{ord(SPACE):04X} in the {side}, which stands for a space")
        if not 1 <= len(words) <= LONGEST_SEQUENCE:
            raise ValueError(f"{len(words) or 'no'} symbols in the {side}; there must be 1 to {LONGEST_SEQUENCE}")
        for name in RESERVED:
            if name in words:
                raise ValueError(f"{name} is reserved for the model")
    return sides


def with_facts(config, pairs):
    """Returns a settings.Settings with what is read from its pairs."""
    lengths = lengths_of(pairs, np.concatenate([pairs.training_lines, pairs.validation_lines]))
    never = np.flatnonzero(training_counts(pairs) == 0) - FIRST_SYMBOL
    known = len(config.facts.names)  # of another run, which may have trained them
    return replace(
        config,
        length_from=int(lengths[:, 0].min()),
        length_to=int(lengths[:, 0].max()),
        vocab_size=FIRST_SYMBOL + len(pairs.names),
        facts=DataFacts(
            buckets=buckets(*lengths.T),
            untrained=tuple(pairs.names[symbol] for symbol in never if symbol >= known),
            names=tuple(pairs.names),
            sha256=pairs.sha256,
            lines=tuple(part.size for part in (pairs.training_lines, pairs.validation_lines, pairs.test_lines)),
        ),
    )


def lengths_of(pairs, lines):
    """Returns the lengths of the input and of the target of some lines, int [lines, 2]."""
    return np.diff(pairs.bounds).reshape(-1, 2)[lines]


def default_batches(pairs, batch_size):
    """Returns on how many batches to train: few passes over many pairs, many over a few, fewer over long ones."""
    lengths = lengths_of(pairs, pairs.training_lines)
    steps = lengths.sum(axis=1).mean() + EXTRA_DECODER_STEPS  # of encoder and decoder
    batches_of_64 = min(max(1000, 40 * len(lengths) ** 0.5), MOST_STEPS / steps)
    return max(100, int(round(batches_of_64 * 64 / batch_size, -2)))


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


def split(input_hashes, most, generator):
    """Holds out the pairs of some of all different inputs, chosen at random.

    So no held-out input is trained on, however often a line is repeated.

    Args:
      input_hashes: int64 [lines], the same for the same input.
      most: int, the most lines to hold out. They are also at most a tenth of all lines, and more of either only if
        every input has more.
      generator: a np.random.Generator.

    Returns:
      training, held_out: int [...], the lines of each.
    """
    _, first_lines, inputs, lines_of_input = np.unique(
        input_hashes, return_index=True, return_inverse=True, return_counts=True
    )
    in_order = np.argsort(first_lines)  # the inputs in the order of the file
    some = generator.choice(in_order.size, min(most, max(1, in_order.size // 10)), replace=False)
    room, chosen = min(most, most_lines(inputs.size)), []
    for index in in_order[some]:
        if lines_of_input[index] <= room:
            chosen.append(index)
            room -= lines_of_input[index]
    if not chosen:  # the smallest input, preferably one that was drawn
        chosen = [min([*in_order[some], *in_order], key=lambda index: lines_of_input[index])]
    is_held_out = np.isin(inputs, chosen)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def most_lines(lines):
    """Returns how many of all lines may be held out for one set."""
    return max(1, lines // 10)


def training_counts(pairs):
    """Returns how often training pairs hold each symbol, int [vocab_size]."""
    counts = np.zeros(FIRST_SYMBOL + len(pairs.names), np.int64)
    for start in range(0, pairs.training_lines.size, LINES_AT_ONCE):
        some = 2 * pairs.training_lines[start : start + LINES_AT_ONCE]
        written = [pairs.written[a:b] for a, b in zip(pairs.bounds[some].tolist(), pairs.bounds[some + 2].tolist())]
        counts += np.bincount(pairs.symbol_of[np.concatenate(written)], minlength=counts.size)
    return counts


def untrained_symbols(pairs, lines):
    """Finds those of some lines with a symbol that is in no training pair; returns a list of (line, symbol)."""
    counts = training_counts(pairs)
    sides = ((line, np.concatenate(pairs.sides(line))) for line in lines)
    untrained = ((line, symbols[counts[symbols] == 0]) for line, symbols in sides)
    return [(int(line), pairs.names[symbols[0] - FIRST_SYMBOL]) for line, symbols in untrained if symbols.size]


def batch(pairs, lines, size=(None, None)):
    """Makes a helpers.Batch of pairs.

    Args:
      pairs: Pairs.
      lines: int [batch].
      size: of the longest input and of the longest target that there is room for; None for those of these lines.
    """
    starts, middles, ends = (pairs.bounds[2 * lines + place].tolist() for place in range(3))
    inputs, lengths = helpers.batch([pairs.written[a:b] for a, b in zip(starts, middles)], size[0])
    targets, target_lengths = helpers.batch([pairs.written[a:b] for a, b in zip(middles, ends)], size[1])
    inputs, targets = pairs.symbol_of[inputs], pairs.symbol_of[targets]  # PAD is read as PAD
    return helpers.Batch(inputs, lengths, helpers.decoder_targets(targets, target_lengths), target_lengths)


def warn_of_untrained(pairs, config):
    """Warns of lines outside of training with a symbol that is in no training pair."""
    others = [pairs.validation_lines] if config.test_data else [pairs.validation_lines, pairs.test_lines]
    untrained = untrained_symbols(pairs, np.sort(np.concatenate(others)))
    before = pairs.training_lines.size if config.validation_data else 0  # lines, in the file before
    file = "--validation-data" if config.validation_data else "--data"
    for line, name in untrained[:MOST_WARNINGS]:
        log.warning("%s, line %d: %r is in no training pair", file, line + 1 - before, name)
    if len(untrained) > MOST_WARNINGS:
        log.warning("and %d more such lines", len(untrained) - MOST_WARNINGS)


def warn_of_known_inputs(pairs, config):
    """Warns of a validation or test file that has mostly inputs that are trained on."""
    for name, lines in (("validation_data", pairs.validation_lines), ("test_data", pairs.test_lines)):
        if not getattr(config, name):
            continue
        known = np.isin(pairs.input_hashes[lines], pairs.input_hashes[pairs.training_lines]).sum()
        if known > lines.size / 2:
            log.warning("%s: the inputs of %d of %d lines are also trained on", flag(name), known, lines.size)


def some_of(lines, most):
    """Returns at most so many of some lines, evenly spread over them."""
    return lines[np.linspace(0, lines.size - 1, min(most, lines.size)).astype(int)]


def some_inputs(pairs, lines, most):
    """Returns all lines of at most so many inputs, evenly spread over some lines: all right answers to each input."""
    hashes = pairs.input_hashes
    return lines[np.isin(hashes[lines], hashes[some_of(lines, most)])]


def training_batches(pairs, config, generator):
    """Yields endless batches of pairs of similar lengths, each padded to the size of its bucket.

    A batch draws a bucket, then pairs from it, with replacement. The loss of a batch is a mean over steps. So the
    probability of a bucket is its share of the decoder's steps: each step then counts as much as if all lengths were
    mixed. For a bucket with fewer pairs than a batch it is its share of the pairs, so that an outlier costs little.
    A batch depends on earlier ones only through the state of the generator, so a run can be resumed after any batch.
    """
    lines, buckets = pairs.training_lines, config.facts.buckets
    lengths = lengths_of(pairs, lines)
    bucket = (lengths[:, np.newaxis] <= np.array(buckets)).all(axis=2).argmax(axis=1)  # the first that a line fits into
    steps = lengths[:, 1] + EXTRA_DECODER_STEPS
    by_steps = np.bincount(bucket, weights=steps / steps.mean(), minlength=len(buckets))
    by_pairs = np.bincount(bucket, minlength=len(buckets))
    shares = np.where(by_pairs < config.batch_size, by_pairs, by_steps)
    shares = shares / shares.sum()
    members = [lines[bucket == index] for index in range(len(buckets))]
    while True:
        drawn = generator.choice(len(buckets), p=shares)
        yield batch(pairs, generator.choice(members[drawn], config.batch_size), buckets[drawn])
