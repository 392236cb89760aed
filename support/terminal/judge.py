"""The user's own pairs as a test: each input is asked once, and its answer compared with all its targets."""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from helpers import EOS, EXTRA_DECODER_STEPS
from support import outside
from support.data.pairs import SPACE, UNKNOWN, by_side, lengths_of, some_inputs
from support.errors import counted
from support.limits import sequences_at_once
from support.model import beam_search, greedy
from support.outside import printable
from support.run.whole_files import write_json, write_whole
from support.settings import UNKNOWN_NAME
from support.terminal.predict import groups, without_eos
from support.terminal.report import bracketed, report_of_pairs, share

SHA256 = "answers_sha256"  # among the figures that are saved beside answers
MOST_TRAINED = 1_000  # pairs that were trained on, which are asked again


class Judged(NamedTuple):
    """An input, what the model answers, and the nearest of the input's targets, as they are written."""

    inputs: tuple  # of str
    target: tuple
    answer: tuple | None  # None if the input holds a symbol that the model does not know
    ended: bool  # whether the answer ended with EOS
    is_among: bool  # whether a target is among all answers that were asked for

    @property
    def errors(self):
        """The edit distance of answer and target: Levenshtein 1966."""
        return distance(self.answer, self.target)

    @property
    def is_right(self):
        return self.ended and self.errors == 0


def distance(answer, target):
    """Returns how many symbols must be inserted, deleted or replaced. UNKNOWN_NAME in an answer equals no symbol."""
    if answer is None:
        return len(target)
    return Levenshtein.distance([None if name == UNKNOWN_NAME else name for name in answer], target)


def asker(pairs, model, search=()):
    """Returns a function that asks a model for the answers to some lines of pairs, by make_search(model, *search).

    Of lines, int [...], it makes a list of Judged, one for each different input, in the order of the file. An answer
    may become as long as the longest target of these lines, even if no training pair is as long.
    """
    answer, names = beam_search.make_search(model, *search), model.config.vocabulary
    beam = search[0] if search else 1

    def ask(lines):
        targets, readings, config = {}, {}, with_room(model.config, pairs, lines)
        for line in lines:
            inputs, target = pairs.sides_as_written(line)
            targets.setdefault(inputs, []).append(target)
            readings[inputs] = tuple(pairs.sides(line)[0].tolist())  # equal for inputs that differ in unknown symbols
        readable = (np.array(each, np.int32) for each in dict.fromkeys(readings.values()) if UNKNOWN not in each)
        found = {}
        for sequences in groups(readable, config.answer_steps, partial(sequences_at_once, config, beam=beam)):
            for sequence, hypotheses in zip(sequences, answer(greedy.question(sequences, config))):
                found[tuple(sequence.tolist())] = [
                    (tuple(names[symbol] for symbol in without_eos(each.symbols)), bool(each.symbols[-1] == EOS))
                    for each in hypotheses
                ]
        return [judge(inputs, references, found.get(readings[inputs], [])) for inputs, references in targets.items()]

    return ask


def with_room(config, pairs, lines):
    """Returns a settings.Settings whose answers may be as long as the longest target of some lines, or --max-answer."""
    longest = int(lengths_of(pairs, lines)[:, 1].max(initial=0)) + EXTRA_DECODER_STEPS
    room = config.max_answer or max(longest, config.longest_answer or 0)
    return replace(config, max_answer=room)


def judge(inputs, targets, answers):
    """Returns the Judged of an input.

    Args:
      inputs: tuple of str.
      targets: list of tuples of str.
      answers: list of (answer, whether it ended), the best first; none if the model cannot read the input.
    """
    first, ended = answers[0] if answers else (None, False)
    is_among = any(ended and distance(answer, target) == 0 for answer, ended in answers for target in targets)
    return Judged(inputs, min(targets, key=lambda target: distance(first, target)), first, ended, is_among)


def figures(judged, names, n_best=1):
    """Returns the figures of a list of Judged, a dict in the types of JSON. A share of nothing is None.

    Args:
      judged: list of Judged.
      names: list of str, the vocabulary of the model.
      n_best: int, how many answers were asked for; if more than one, it is counted how often one of them is right.
    """
    right = np.array([each.is_right for each in judged], bool)
    lengths, target_lengths = (np.array([len(part) for part in parts]) for parts in list(zip(*judged))[:2])
    symbols, known = int(target_lengths.sum()), {*names} - {UNKNOWN_NAME}

    def by(values):
        return {str(value): share(right[values == value]) for value in np.unique(values)}

    among = {f"right_among_{n_best}": share(np.array([each.is_among for each in judged], bool))} if n_best > 1 else {}
    return {
        "exact_match": share(right),
        **among,
        "symbol_error_rate": sum(each.errors for each in judged) / symbols,
        "exact_match_by_length": by(lengths),
        "exact_match_by_target_length": by(target_lengths),
        "inputs_with_unknown_symbols": sum(each.answer is None for each in judged),
        "targets_with_unknown_symbols": sum(not known.issuperset(each.target) for each in judged),
    }


def judge_run(run):
    """Asks the model of a run.Run for the test pairs, the validation pairs, and some that it was trained on.

    Returns:
      A dict of figures() by "validation", "trained" and, if there is a test set, "test"; and functions that each save
      answers in the folder of the run: validation-answers.tsv and, if there is a test set, test-answers.tsv.
    """
    pairs, names, path = run.held_out.pairs, run.config.vocabulary, run.folder.path
    ask = asker(pairs, run.model)
    judged = {"test": ask(pairs.test_lines)} if pairs.test_lines.size else {}
    judged["validation"] = ask(pairs.validation_lines)
    saves = [partial(write, path / f"{name}-answers.tsv", each, run.config) for name, each in judged.items()]
    judged["trained"] = ask(some_inputs(pairs, pairs.training_lines, MOST_TRAINED))
    return {name: figures(each, names) for name, each in judged.items()}, saves


def judge_file(path, pairs, model, flags, answers):
    """Saves the answers to the pairs of a file at a path, and the figures at figures_path(); prints both.

    Raises:
      OSError: a file cannot be written. The answers and figures are printed.
    """
    judged = asker(pairs, model, flags.search)(pairs.test_lines)
    found = figures(judged, model.config.vocabulary, flags.n_best)
    try:
        write(answers, judged, model.config)
        write_figures(answers, found)
    except OSError:
        with contextlib.suppress(OSError):  # what could not be saved matters more
            print_judged(path, judged, found)
        raise
    print_judged(path, judged, found)  # last, because whoever reads the output may go away
    print("", printable(f"answers in {answers}"), sep="\n")


def print_judged(path, judged, found):
    """Prints a list of Judged and their figures."""
    for each in judged:
        shown = "-" if each.answer is None else bracketed(each.answer)
        print(f"input     > {bracketed(each.inputs)}\ntarget    > {bracketed(each.target)}")
        print(f"predicted > {shown}{'' if each.is_right else '  wrong'}")
    inputs = counted(found["exact_match"]["sequences"], "input")
    print("", *report_of_pairs(found, f"{inputs} of {path}"), sep="\n")


def write_figures(answers, found):
    """Writes figures, by which has_written() knows the answers in a file. Without them, that file does not stay."""
    try:
        write_json(figures_path(answers), found | {SHA256: sha256(answers)})
    except OSError:
        answers.unlink()
        raise


def figures_path(answers):
    """Returns the path of the figures of the answers in a file: x.json for x.tsv, and x.dev.json for x.dev."""
    return Path(f"{str(answers).removesuffix('.tsv')}.json")


def has_written(answers):
    """Returns whether judge_file() has written the answers at a path, and they are unchanged since."""
    try:
        return outside.read_json(figures_path(answers))[SHA256] == sha256(answers)
    except (OSError, ValueError, TypeError, LookupError):
        return False


def sha256(path):
    """Returns the SHA-256 of a regular file in hexadecimal. Raises OSError if it cannot be read."""
    return hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()


def join(names, symbols):
    """Returns symbols, a list of str, as one side of a line of a file of pairs."""
    return "".join(names).replace(SPACE, " ") if symbols == "characters" else " ".join(names)


def write(path, judged, config):
    """Writes a list of Judged as lines of input, target, answer, and right or wrong, with a TAB between them."""
    table, (of_input, of_target) = io.StringIO(), by_side(config.symbols)
    for each in judged:
        parts = map(join, (each.inputs, each.target, each.answer or ()), (of_input, of_target, of_target))
        print(*parts, "right" if each.is_right else "wrong", sep="\t", file=table)
    write_whole(path, table.getvalue().encode())
