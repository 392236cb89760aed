"""The user's own sequences: lines of symbols in, predictions out."""

import contextlib
import importlib
import json
import logging
import signal
import sys

import numpy as np

from helpers import EOS, FIRST_SYMBOL, task_batch
from support.data.pairs import LONGEST_SEQUENCE, RESERVED
from support.terminal import maps, pictures
from support.terminal.report import counted, show
from support.terminal.settings import SettingsError

log = logging.getLogger(__name__)


def answer_all(sequences, ask, look, config, asking):
    """Answers the sequences of the command line, or for ["-"] those of standard input.

    Args:
      sequences: list of str, each the symbols of one sequence, separated by spaces.
      ask: function from a helpers.Batch to a list of beam.Hypothesis for each sequence, the best first.
      look: function from a sequence, int32 [length], to what memory.dependence() returns.
      config: the settings.Config that the model was trained with.
      asking: the command.Asking.

    Returns:
      int, how many lines held no sequence that the model can read.
    """
    if sequences != ["-"]:
        return answer([(f"--predict {sequence!r}", sequence) for sequence in sequences], ask, look, config, asking)
    with open(0, encoding="utf-8-sig", errors="replace", closefd=False) as lines:
        if lines.isatty():
            return answer(numbered(conversation(lines)), ask, look, config, asking, one_by_one=True)
        return answer(numbered(lines), ask, look, config, asking)


def numbered(lines):
    """Yields each line after its name."""
    for line_number, line in enumerate(lines, start=1):
        yield f"line {line_number}", line


def check(sequences, config):
    """Raises SettingsError if a sequence of the command line is none that the model can read."""
    for sequence in sequences:
        try:
            parse(sequence, *known_symbols(config))
        except ValueError as error:
            raise SettingsError(f"--predict {sequence!r}: {error}") from None


def known_symbols(config):
    """Returns a dict from how a symbol is written to the symbol, and in words which these are."""
    names = config.vocabulary
    symbols = {name: symbol for symbol, name in enumerate(names) if symbol >= FIRST_SYMBOL}
    return symbols, "of the training data" if config.data else f"from {names[FIRST_SYMBOL]} to {names[-1]}"


def conversation(lines):
    """Yields the lines that the user types into a terminal. Ctrl-D ends it.

    If the answers go to a terminal too, there is a prompt and line editing.
    """
    if sys.stderr.isatty():
        print("Type a sequence and press Enter. Ctrl-D ends.", file=sys.stderr)
    if not sys.stdout.isatty():
        yield from lines
        return
    with contextlib.suppress(ImportError):  # not every platform has it
        importlib.import_module("readline")  # from now on input() edits lines with it
    while (line := typed_line()) is not None:
        yield line


def typed_line():
    """Returns the next line that the user types, or None after Ctrl-D. Ctrl-C ends the process."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # lets readline restore the terminal
    try:
        return input("> ")
    except EOFError:
        print()
        return None
    except KeyboardInterrupt:
        print()
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, handler)


def answer(lines, ask, look, config, asking, one_by_one=False):
    """Prints the answers to sequences. Warns of each line that has something wrong, by its name.

    Args:
      lines: iterable of (name, line), two str.
      ask, look, config, asking: as for answer_all().
      one_by_one: bool, whether each line is answered before the next one is read.

    Returns:
      int, how many lines held no sequence.
    """
    wrong_lines = 0
    names = config.vocabulary
    symbols, known = known_symbols(config)

    def readable_sequences():
        nonlocal wrong_lines
        for name, line in lines:
            try:
                sequence = parse(line, symbols, known)
            except ValueError as error:
                wrong_lines += 1
                log.warning("%s: %s", name, error)
                continue
            if not config.length_from <= sequence.size <= config.length_to:
                trained_on = f"the model was trained on {config.length_from} to {config.length_to}"
                log.warning("%s: %s; %s", name, counted(sequence.size, "symbol"), trained_on)
            yield sequence

    drawn = []
    most_steps = 0 if one_by_one else config.steps_at_once // asking.beam
    for sequences in groups(readable_sequences(), config.extra_decoder_steps, most_steps):
        for sequence, hypotheses in zip(sequences, ask(task_batch("copy", sequences))):  # nothing reads the targets
            print(as_json(sequence, hypotheses, names) if asking.json else as_text(sequence, hypotheses, names, asking))
            if asking.plot is not None:
                drawn.append((sequence, hypotheses[0].symbols, hypotheses[0].alignment))
    if drawn:
        drawn_maps = {"memory": [(sequence, *look(sequence)) for sequence, *_ in drawn]}
        if config.attention != "none":
            drawn_maps["attention"] = drawn
        pictures.save(maps.draw(drawn_maps, config), asking.plot)
        if not asking.json:
            print(f"{' and '.join(drawn_maps)} in {asking.plot}")
    return wrong_lines


def as_text(sequence, hypotheses, names, asking):
    """Returns a sequence and its answers as lines for a person."""
    lines = [f"input     > {show(sequence, names)}"]
    for hypothesis in hypotheses:
        lines.append(f"predicted > {show(without_eos(hypothesis.symbols), names)}")
        if asking.scores:
            probabilities = zip(hypothesis.symbols, np.exp(hypothesis.log_probabilities))
            shown = " ".join(f"{written(symbol, names)}:{probability:.6f}" for symbol, probability in probabilities)
            lines.append(f"scores    > {hypothesis.log_probability:.6f} {shown}")
    return "\n".join(lines)


def as_json(sequence, hypotheses, names):
    """Returns a sequence and its answers as one line of JSON. Its form is documented in docs/using.md."""
    predictions = [
        {
            "symbols": [names[symbol] for symbol in without_eos(hypothesis.symbols)],
            "ended": bool(hypothesis.symbols[-1] == EOS),
            "log_probability": significant(hypothesis.log_probability),
            "probabilities": [significant(probability) for probability in np.exp(hypothesis.log_probabilities)],
        }
        for hypothesis in hypotheses
    ]
    return json.dumps({"input": [names[symbol] for symbol in sequence], "predictions": predictions}, ensure_ascii=False)


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


def significant(value):
    """Returns a number with as many digits as float32 has."""
    return float(f"{value:.7g}")


def without_eos(symbols):
    """Returns the symbols of a hypothesis without its EOS, if it has one."""
    return symbols[:-1] if symbols[-1] == EOS else symbols


def written(symbol, names):
    """Returns how a symbol is written among scores: PAD and EOS by their names."""
    return RESERVED[symbol] if symbol < FIRST_SYMBOL else names[symbol]
