"""The user's own sequences: lines of symbols in, predictions out."""

import sys

import numpy as np

from helpers import EOS, FIRST_SYMBOL, task_batch
from pairs import LONGEST_SEQUENCE
from report import show

LARGEST_DECODER = 10_000_000  # numbers; bounds the memory


def answer_all(sequences, decode, config):
    """Answers the sequences of the command line, or for ["-"] those of standard input; else like answer()."""
    if sequences != ["-"]:
        return answer(sequences, decode, config, one_by_one=False)
    with open(0, encoding="utf-8-sig", errors="replace", closefd=False) as lines:
        return answer(lines, decode, config, one_by_one=lines.isatty())


def answer(lines, decode, config, one_by_one):
    """Prints each sequence and its prediction; what is wrong with a line goes to stderr, with its number.

    Args:
      lines: iterable of str, each the symbols of one sequence, separated by spaces.
      decode: function from a helpers.Batch to its prediction, int32 [decoder_time, batch].
      config: the Config that the model was trained with.
      one_by_one: bool, whether each line is answered before the next one is read.

    Returns:
      int, how many lines held no sequence that the model can read.
    """
    wrong = 0
    names = config.vocabulary
    symbols = {name: symbol for symbol, name in enumerate(names) if symbol >= FIRST_SYMBOL}
    outside = "no symbol of the training data" if config.data else f"not a symbol from {names[2]} to {names[-1]}"

    def readable():
        nonlocal wrong
        for number, line in enumerate(lines, start=1):
            try:
                sequence = parse(line, symbols, outside)
            except ValueError as error:
                wrong += 1
                complain(number, error)
                continue
            if not config.length_from <= sequence.size <= config.length_to:
                lengths = f"{config.length_from} to {config.length_to}"
                complain(number, f"{sequence.size} symbols; the model was trained on {lengths}")
            yield sequence

    largest = LARGEST_DECODER // max(config.vocab_size, 8 * config.encoder_hidden_units)  # steps
    for sequences in groups(readable(), config.extra_decoder_steps, 0 if one_by_one else largest):
        predictions = decode(task_batch("copy", sequences)).T  # the targets are not read
        for sequence, prediction in zip(sequences, predictions):
            print(f"input     > {show(sequence, names)}")
            print(f"predicted > {show(cut(prediction[: sequence.size + config.extra_decoder_steps]), names)}")
    return wrong


def parse(line, symbols, outside):
    """Returns the sequence of a line, int32 [length].

    Args:
      line: str.
      symbols: dict from how a symbol is written to the symbol.
      outside: str, what to say of a word that is not among them.

    Raises:
      ValueError: the line holds no sequence.
    """
    if "\t" in line:
        raise ValueError("a TAB; an input is asked for without its target")
    words = line.split()
    if not words:
        raise ValueError("no symbols")
    if len(words) > LONGEST_SEQUENCE:
        raise ValueError(f"{len(words)} symbols; at most {LONGEST_SEQUENCE} are read")
    for word in words:
        if word not in symbols:
            raise ValueError(f"{word[:20]!r} is {outside}")
    return np.array([symbols[word] for word in words], dtype=np.int32)


def groups(sequences, extra, largest):
    """Yields lists of sequences that are decoded in at most largest steps, all sequences together.

    Each takes as many steps as the longest of its list has symbols, and extra ones. A sequence that needs more than
    largest gets a list of its own; with largest = 0 each does, before the next one is asked for.
    """
    group, longest = [], 0
    for sequence in sequences:
        steps = sequence.size + extra
        longest = max(longest, steps)
        if group and (len(group) + 1) * longest > largest:
            yield group
            group, longest = [], steps
        group.append(sequence)
        if len(group) * longest >= largest:
            yield group
            group, longest = [], 0
    if group:
        yield group


def cut(prediction):
    """Returns a prediction up to its EOS, or all its steps if there is none."""
    ends = np.flatnonzero(prediction == EOS)
    return prediction[: ends[0]] if ends.size else prediction


def complain(number, problem):
    print(f"seq2seq_copy.py: line {number}: {problem}", file=sys.stderr)
