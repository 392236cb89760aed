"""The user's own sequences: lines of symbols in, predictions out."""

import collections
import contextlib
import functools
import importlib
import json
import logging
import signal
import sys

import numpy as np

from helpers import EOS, FIRST_SYMBOL
from support import outside
from support.data.pairs import by_side, split_into_symbols
from support.errors import as_user_error, counted
from support.limits import LONGEST_SEQUENCE, sequences_at_once
from support.model import beam_search, greedy
from support.pictures import heat_maps, occlusion, pictures
from support.settings import RESERVED, UNKNOWN_NAME
from support.terminal.report import show

log = logging.getLogger(__name__)


def predict_all(sequences, model, flags):
    """Prints the answers to the sequences of the command line, a list of str, or for ["-"] of standard input.

    Returns how many lines held no sequence that the model can read.
    """
    if sequences != ["-"]:
        return predict([(f"--predict {sequence!r}", sequence) for sequence in sequences], model, flags)
    with open(0, encoding="utf-8-sig", errors="replace", closefd=False) as lines:
        if lines.isatty():
            return predict(number(conversation(lines)), model, flags, one_by_one=True)
        return predict(number(lines), model, flags)


def number(lines):
    """Yields the name of each line, and the line."""
    for line_number, line in enumerate(lines, start=1):
        yield f"line {line_number}", line


def check(sequences, config):
    """Raises UserError if the model cannot read a sequence of the command line."""
    read = reader(config)
    for sequence in sequences:
        with as_user_error(f"--predict {sequence!r}", ValueError):
            read(sequence)


def reader(config):
    """Returns a function from a line to its sequence, int32 [length]. It raises ValueError if the line holds none."""
    symbols = {name: symbol for symbol, name in enumerate(config.vocabulary) if symbol >= FIRST_SYMBOL}
    unknown, known = symbols.get(UNKNOWN_NAME), config.known  # the former is a symbol with --min-count

    def read(line):
        if "\t" in line:
            raise ValueError("holds a TAB; give the input without its target")
        words = words_of(line, config)
        if not words:
            raise ValueError("no symbols")
        if len(words) > LONGEST_SEQUENCE:
            raise ValueError(f"{len(words)} symbols; at most {LONGEST_SEQUENCE} are allowed")
        for word in words:
            if word not in symbols and unknown is None:
                letters = [letter for letter in word if letter.isalnum()]
                joined = len(words) == 1 < len(letters) and symbols.keys() >= {*letters}
                hint = "; put spaces between symbols" if joined else ""
                raise ValueError(f"{word[:20]!r} is not a symbol {known}{hint}")
        return np.array([symbols.get(word, unknown) for word in words], dtype=np.int32)

    return read


def words_of(line, config):
    """Returns the symbols in an input, a list of str."""
    return split_into_symbols(line, by_side(config.symbols)[0])


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
    sys.stdin.reconfigure(errors="replace")  # input() would fail at a byte that is not UTF-8
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


def predict(lines, model, flags, one_by_one=False):
    """Prints the answers to lines, (name, line) each; warns of faulty ones by name, and returns how many there are.

    one_by_one says whether each line is answered before the next one is read.
    """
    read, wrong_lines, config = 0, 0, model.config
    names, read_line = config.vocabulary, reader(config)

    def readable_sequences():
        nonlocal read, wrong_lines
        for name, line in lines:
            try:
                sequence = read_line(line)
            except ValueError as error:
                wrong_lines += 1
                log.warning("%s: %s", name, error)
                if flags.json:
                    records.append((read, line_of_json({"input": words_of(line, config), "error": str(error)})))
                print_records()
                continue
            read += 1
            if not config.length_from <= sequence.size <= config.length_to:
                trained_on = f"the model was trained on lengths {config.length_from} to {config.length_to}"
                log.warning("%s: %s; %s", name, counted(sequence.size, "symbol"), trained_on)
            for symbol in np.unique(sequence):
                if names[symbol] in config.facts.untrained:
                    log.warning("%s: %r is in no training pair", name, names[symbol])
            yield sequence

    def print_records():
        """Prints the JSON of bad lines, once all lines before them are answered."""
        while records and records[0][0] == answered:
            print(records.popleft()[1])

    records, answered = collections.deque(), 0  # of (how many lines to answer before, str)
    drawn, answer = [], beam_search.make_search(model, *flags.search)
    at_once = (lambda *_: 1) if one_by_one else functools.partial(sequences_at_once, config, beam=flags.beam)
    for sequences in groups(readable_sequences(), config.answer_steps, at_once):
        for sequence, hypotheses in zip(sequences, answer(greedy.question(sequences, config))):
            show_all = as_json if flags.json else as_text
            print(show_all(sequence, hypotheses, names, flags))
            answered += 1
            print_records()
            if flags.plot is not None:
                drawn.append((sequence, hypotheses[0].symbols, hypotheses[0].alignment))
    if drawn:
        drawn_maps = {"memory": [(sequence, *occlusion.occlusion_map(model, sequence)) for sequence, *_ in drawn]}
        if config.attention != "none":
            drawn_maps["attention"] = drawn
        pictures.save(heat_maps.draw(drawn_maps, config), flags.plot)
        if not flags.json:
            print(outside.printable(f"{' and '.join(drawn_maps)} in {flags.plot}"))
    return wrong_lines


def as_text(sequence, hypotheses, names, flags):
    """Returns a sequence and its answers as lines for a person."""
    lines = [f"input     > {show(sequence, names)}"]
    for hypothesis in hypotheses:
        has_ended = hypothesis.symbols[-1] == EOS
        limit = "" if has_ended else f"  (no end after {counted(hypothesis.symbols.size, 'symbol')}; see --max-answer)"
        lines.append(f"predicted > {show(without_eos(hypothesis.symbols), names)}{limit}")
        if flags.scores:
            probabilities = zip(hypothesis.symbols, np.exp(hypothesis.log_probabilities))
            shown = " ".join(f"{spell(symbol, names)}:{probability:.6f}" for symbol, probability in probabilities)
            lines.append(f"scores    > {hypothesis.log_probability:.6f} {shown}")
    return "\n".join(lines)


def as_json(sequence, hypotheses, names, flags):
    """Returns a sequence and its answers as one line of JSON. Its form is documented in docs/using.md."""
    predictions = []
    for hypothesis in hypotheses:
        predictions.append(
            {
                "symbols": [names[symbol] for symbol in without_eos(hypothesis.symbols)],
                "ended": bool(hypothesis.symbols[-1] == EOS),
                "log_probability": significant(hypothesis.log_probability),
                "probabilities": [significant(probability) for probability in np.exp(hypothesis.log_probabilities)],
            }
        )
        if flags.alignment:
            predictions[-1]["alignment"] = [[significant(weight) for weight in row] for row in hypothesis.alignment]
    return line_of_json({"input": [names[symbol] for symbol in sequence], "predictions": predictions})


def line_of_json(value):
    """Returns a value as JSON for a person to read: only control characters are escaped."""
    return outside.printable(json.dumps(value, ensure_ascii=False))


def groups(sequences, answer_steps, at_once):
    """Yields lists of sequences that are answered together, at most at_once(length of the longest, its steps) of them.

    Each sequence may take as many steps as the longest of its list: answer_steps(length). A list is yielded as soon as
    it is full, before the next sequence is asked for.
    """
    group, longest = [], 0
    for sequence in sequences:
        longest = max(longest, sequence.size)
        if group and len(group) >= at_once(longest, int(answer_steps(longest))):
            yield group
            group, longest = [], sequence.size
        group.append(sequence)
        if len(group) >= at_once(longest, int(answer_steps(longest))):
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


def spell(symbol, names):
    """Returns how a symbol is written among scores: PAD and EOS by their names."""
    return RESERVED[symbol] if symbol < FIRST_SYMBOL else outside.printable(names[symbol])
