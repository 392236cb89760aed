"""The user's own sequences: lines of symbols in, predictions out."""

import logging

import numpy as np

from helpers import EOS, FIRST_SYMBOL, task_batch
from support.data.pairs import LONGEST_SEQUENCE
from support.terminal.report import show

log = logging.getLogger(__name__)


def answer_all(sequences, decode_batch, config):
    """Answers the sequences of the command line, or for ["-"] those of standard input; else like answer()."""
    if sequences != ["-"]:
        return answer(sequences, decode_batch, config, one_by_one=False)
    with open(0, encoding="utf-8-sig", errors="replace", closefd=False) as lines:
        return answer(lines, decode_batch, config, one_by_one=lines.isatty())


def answer(lines, decode_batch, config, one_by_one):
    """Prints each sequence and its prediction. Warns of each line that has something wrong, by its number.

    Args:
      lines: iterable of str, each the symbols of one sequence, separated by spaces.
      decode_batch: function from a helpers.Batch to its prediction, int32 [decoder_time, batch].
      config: the settings.Config that the model was trained with.
      one_by_one: bool, whether each line is answered before the next one is read.

    Returns:
      int, how many lines held no sequence that the model can read.
    """
    wrong_lines = 0
    names = config.vocabulary
    symbols = {name: symbol for symbol, name in enumerate(names) if symbol >= FIRST_SYMBOL}
    known = "of the training data" if config.data else f"from {names[FIRST_SYMBOL]} to {names[-1]}"

    def readable_sequences():
        nonlocal wrong_lines
        for line_number, line in enumerate(lines, start=1):
            try:
                sequence = parse(line, symbols, known)
            except ValueError as error:
                wrong_lines += 1
                log.warning("line %d: %s", line_number, error)
                continue
            if not config.length_from <= sequence.size <= config.length_to:
                trained_on = f"the model was trained on {config.length_from} to {config.length_to}"
                log.warning("line %d: %d symbols; %s", line_number, sequence.size, trained_on)
            yield sequence

    most_steps = 0 if one_by_one else config.steps_at_once
    for sequences in groups(readable_sequences(), config.extra_decoder_steps, most_steps):
        predictions = decode_batch(task_batch("copy", sequences)).T  # nothing reads the targets
        for sequence, prediction in zip(sequences, predictions):
            print(f"input     > {show(sequence, names)}")
            print(f"predicted > {show(cut(prediction[: sequence.size + config.extra_decoder_steps]), names)}")
    return wrong_lines


def parse(line, symbols, known):
    """Returns the sequence of a line, int32 [length].

    Args:
      line: str.
      symbols: dict from how a symbol is written to the symbol.
      known: str, which symbols these are.

    Raises:
      ValueError: the line holds no sequence.
    """
    if "\t" in line:
        raise ValueError("holds a TAB; give the input without its target")
    words = line.split()
    if not words:
        raise ValueError("no symbols")
    if len(words) > LONGEST_SEQUENCE:
        raise ValueError(f"{len(words)} symbols; there may be {LONGEST_SEQUENCE} at most")
    for word in words:
        if word not in symbols:
            raise ValueError(f"{word[:20]!r} is not a symbol {known}")
    return np.array([symbols[word] for word in words], dtype=np.int32)


def groups(sequences, extra_steps, most_steps):
    """Yields lists of sequences that are decoded together, in at most most_steps steps of all sequences.

    Each sequence takes as many steps as the longest of its list has symbols, plus extra_steps. A sequence that needs
    more than most_steps gets a list of its own. With most_steps = 0 each does, before the next one is asked for.
    """
    group, longest = [], 0
    for sequence in sequences:
        steps = sequence.size + extra_steps
        longest = max(longest, steps)
        if group and (len(group) + 1) * longest > most_steps:
            yield group
            group, longest = [], steps
        group.append(sequence)
        if len(group) * longest >= most_steps:
            yield group
            group, longest = [], 0
    if group:
        yield group


def cut(prediction):
    """Returns a prediction up to its EOS, or all its steps if there is none."""
    ends = np.flatnonzero(prediction == EOS)
    return prediction[: ends[0]] if ends.size else prediction
