"""The flags for how a trained model answers, and how much of it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from helpers import EXTRA_DECODER_STEPS
from support.errors import UserError
from support.limits import LONGEST_SEQUENCE
from support.values import checked, whole_number

LARGEST_BEAM = 1_000  # a larger one would try the user's patience
MOST_DRAWN = 4  # sequences in one picture


class PredictFlags(NamedTuple):
    """How a trained model answers, and how much of it is shown."""

    beam: int = 1
    n_best: int = 1
    length_penalty: float = 0.0
    scores: bool = False
    json: bool = False
    alignment: bool = False
    max_answer: int | None = None  # see settings.Settings.longest_answer
    plot: Path | None = None  # where to draw memory and attention of the sequences

    @property
    def search(self):
        """The last arguments of beam_search.make_search()."""
        return self.beam, self.n_best, self.length_penalty


def add_flags(group):
    """Adds the flags that become PredictFlags, except --plot."""
    size = whole_number(1, LARGEST_BEAM)
    group.add_argument(
        "--beam",
        type=size,
        metavar="N",
        help="search with N hypotheses at each step, also with --predict-file (default: 1, greedy decoding)",
    )
    group.add_argument(
        "--n-best",
        type=size,
        metavar="M",
        help="print the M best answers of the beam, best first; with --predict-file: count how often the right one is "
        "among them (default: 1)",
    )
    group.add_argument(
        "--length-penalty",
        type=checked(float, lambda value: 0 <= value <= 10, "a number from 0 to 10", "X"),
        metavar="X",
        help="with --beam, also with --predict-file: favour long answers; 0.6 to 1 is usual (default: 0.0)",
    )
    group.add_argument(
        "--scores",
        action="store_true",
        help="also print the log-probability of each answer and the probability of each of its symbols",
    )
    group.add_argument(
        "--max-answer",
        type=whole_number(1, LONGEST_SEQUENCE + EXTRA_DECODER_STEPS),
        metavar="N",
        help="longest answer, in symbols, including EOS; also with --predict-file and --export (default: 3 more than "
        "the input or, with --data, than the longest target)",
    )
    group.add_argument("--json", action="store_true", help="print one line of JSON per sequence instead of text")
    group.add_argument(
        "--alignment", action="store_true", help="with --json: also the attention weights of each symbol of an answer"
    )


def check(flags, sequences):
    """Raises UserError if PredictFlags contradict each other or the sequences, a list of str."""
    if flags.n_best > flags.beam:
        raise UserError(f"--n-best: {flags.n_best} is more than --beam {flags.beam}")
    if flags.length_penalty and flags.beam == 1:
        raise UserError("--length-penalty needs --beam 2 or more")
    if flags.alignment and not flags.json:
        raise UserError("--alignment needs --json")
    if flags.scores and flags.json:
        raise UserError("--scores cannot be combined with --json, which holds them")
    if flags.plot is not None and (sequences == ["-"] or len(sequences) > MOST_DRAWN):
        raise UserError(f"--plot: needs 1 to {MOST_DRAWN} sequences on the command line")
