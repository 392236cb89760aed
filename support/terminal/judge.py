"""The user's own pairs as a test: each input is asked once, and its answer compared with all its targets."""

from __future__ import annotations

import hashlib
import io
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from helpers import EOS
from support import outside
from support.data.pairs import SPACE, UNKNOWN, by_side
from support.errors import counted
from support.limits import sequences_at_once
from support.model import beam_search, greedy
from support.outside import printable
from support.run.whole_files import write_json, write_whole
from support.settings import UNKNOWN_NAME
from support.terminal.predict import groups, without_eos
from support.terminal.report import bracketed, report_of_pairs

SHA256 = "answers_sha256"  # among the figures that are saved beside answers
MOST_TRAINED = 1_000  # pairs that were trained on, which are asked again


class Judged(NamedTuple):
    """An input, what the model answers, and the nearest of the input's targets, as they are written."""

    inputs: tuple  # of str
    target: tuple
    answer: tuple | None  # None if the input holds a symbol that the model does not know
    ended: bool  # whether the answer ended with EOS

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


def ask(pairs, lines, model, search=()):
    """Asks a model for the answers to some lines of pairs.

    Args:
      pairs: a pairs.Pairs.
      lines: int [...].
      model: the seq2seq_copy.Model.
      search: the last arguments of beam_search.make_search().

    Returns:
      list of Judged, one for each different input, in the order of the file.
    """
    names, targets, readings = model.config.vocabulary, {}, {}
    for line in lines:
        inputs, target = pairs.sides_as_written(line)
        targets.setdefault(inputs, []).append(target)
        readings[inputs] = tuple(pairs.sides(line)[0].tolist())  # equal for inputs that differ in unknown symbols
    answer, config = beam_search.make_search(model, *search), model.config
    readable = (np.array(each, np.int32) for each in dict.fromkeys(readings.values()) if UNKNOWN not in each)
    found = {}
    at_once = partial(sequences_at_once, config, beam=search[0] if search else 1)
    for sequences in groups(readable, config.answer_steps, at_once):
        for sequence, (best, *_) in zip(sequences, answer(greedy.question(sequences, config))):
            spelled = tuple(names[symbol] for symbol in without_eos(best.symbols))
            found[tuple(sequence.tolist())] = spelled, bool(best.symbols[-1] == EOS)
    judged = []
    for inputs, references in targets.items():
        spelled, ended = found.get(readings[inputs], (None, False))
        nearest = min(references, key=lambda target, spelled=spelled: distance(spelled, target))
        judged.append(Judged(inputs, nearest, spelled, ended))
    return judged


def figures(judged, names):
    """Returns the figures of a list of Judged, a dict in the types of JSON. A share of nothing is None.

    names: list of str, the vocabulary of the model.
    """
    right = np.array([each.is_right for each in judged], bool)
    lengths, target_lengths = (np.array([len(part) for part in parts]) for parts in list(zip(*judged))[:2])
    symbols, known = int(target_lengths.sum()), {*names} - {UNKNOWN_NAME}

    def share(hits):
        return {"share": float(hits.mean()) if hits.size else None, "exact": int(hits.sum()), "sequences": hits.size}

    def by(values):
        return {str(value): share(right[values == value]) for value in np.unique(values)}

    return {
        "exact_match": share(right),
        "symbol_error_rate": sum(each.errors for each in judged) / symbols,
        "exact_match_by_length": by(lengths),
        "exact_match_by_target_length": by(target_lengths),
        "inputs_with_unknown_symbols": sum(each.answer is None for each in judged),
        "targets_with_unknown_symbols": sum(not known.issuperset(each.target) for each in judged),
    }


def judge_run(run, pairs):
    """Asks the model of a run for its held-out pairs, the test pairs, and some that it was trained on.

    Args:
      run: the run.Run.
      pairs: its pairs.Pairs.

    Returns:
      A dict of figures() by "held_out", "trained" and, with --test-data, "test"; and functions that each save a file of
      answers in the folder of the run: answers.tsv and, with --test-data, test-answers.tsv.
    """
    trained = pairs.training_lines
    some = trained[np.linspace(0, trained.size - 1, min(MOST_TRAINED, trained.size)).astype(int)]
    judged = {"held_out": ask(pairs, pairs.held_out_lines, run.model), "trained": ask(pairs, some, run.model)}
    if pairs.test_lines.size:
        judged["test"] = ask(pairs, pairs.test_lines, run.model)
    files = {"held_out": "answers.tsv", "test": "test-answers.tsv"}
    saves = [partial(write, run.folder.path / files[name], judged[name], run.config) for name in files.keys() & judged]
    return {name: figures(each, run.config.vocabulary) for name, each in judged.items()}, saves


def judge_file(path, pairs, model, search, answers):
    """Prints the answers to a file of pairs and their figures, and saves both.

    Args:
      path: pathlib.Path of the file.
      pairs: the pairs.Pairs that it holds.
      model, search: as for ask().
      answers: pathlib.Path where to save the answers; the figures go to figures_path().

    Raises:
      OSError: a file cannot be written.
    """
    judged = ask(pairs, pairs.test_lines, model, search)
    for each in judged:
        shown = "-" if each.answer is None else bracketed(each.answer)
        print(f"input     > {bracketed(each.inputs)}\ntarget    > {bracketed(each.target)}")
        print(f"predicted > {shown}{'' if each.is_right else '  wrong'}")
    found = figures(judged, model.config.vocabulary)
    write(answers, judged, model.config)
    inputs = counted(found["exact_match"]["sequences"], "input")
    print("", *report_of_pairs(found, f"{inputs} of {path}"), "", printable(f"answers in {answers}"), sep="\n")
    write_json(figures_path(answers), found | {SHA256: sha256(answers)})


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
