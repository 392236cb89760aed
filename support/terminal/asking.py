"""How a trained model is asked: the flags that go with --predict."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from support.terminal import pictures
from support.terminal.settings import SettingsError
from support.terminal.values import decimal_number, whole_number

LARGEST_BEAM = 1_000  # patience ends here
MOST_DRAWN = 4  # sequences in one picture


class Asking(NamedTuple):
    """How a trained model is asked, and what is shown of its answers."""

    beam: int = 1
    n_best: int = 1
    length_penalty: float = 0.0
    scores: bool = False
    json: bool = False
    plot: Path | None = None  # where to draw memory and attention of the sequences

    @property
    def search(self):
        """The last arguments of beam.asker()."""
        return self.beam, self.n_best, self.length_penalty


def add_flags(group):
    """Adds the flags that become an Asking, except --plot."""
    size = whole_number(1, LARGEST_BEAM)
    group.add_argument(
        "--beam", type=size, metavar="N", help="search with N hypotheses at each step (default: 1, greedy decoding)"
    )
    group.add_argument(
        "--n-best", type=size, metavar="M", help="print the M best answers of the beam, best first (default: 1)"
    )
    group.add_argument(
        "--length-penalty",
        type=decimal_number(lambda value: 0 <= value <= 10, "a number from 0 to 10"),
        metavar="X",
        help="with --beam: the larger, the more it favours long answers; 0.6 to 1 is usual (default: 0.0)",
    )
    group.add_argument(
        "--scores",
        action="store_true",
        help="also print the log-probability of each answer and the probability of each of its symbols",
    )
    group.add_argument("--json", action="store_true", help="print one line of JSON per sequence instead of text")


def check(asking, predict, config):
    """Raises SettingsError if the flags of an Asking contradict each other or the run."""
    if asking.n_best > asking.beam:
        raise SettingsError(f"--n-best: {asking.n_best} is more than --beam {asking.beam}")
    if asking.length_penalty and asking.beam == 1:
        raise SettingsError("--length-penalty goes with --beam")
    if asking.scores and asking.json:
        raise SettingsError("--scores does not go with --json, which holds them")
    if asking.plot is not None:
        if predict == ["-"] or len(predict) > MOST_DRAWN:
            raise SettingsError(f"--plot: goes with 1 to {MOST_DRAWN} sequences on the command line")
        pictures.check_path(asking.plot)
