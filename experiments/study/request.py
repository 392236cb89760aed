"""The command line of a study."""

from __future__ import annotations

import argparse
import re
from typing import NamedTuple

from support.terminal.settings import FLAGS, Config, SettingsError, whole_number

from experiments.study import objective, space
from support.data import pairs
from support.terminal import command, settings

JOURNAL = "studies/journal"
NOT_TUNED = ("seed", "data")  # typed, but no part of the settings that a study learns
OPTIONS = ("study", "trials", "workers", "seeds", "fresh_seeds", "storage", "wide")


class Request(NamedTuple):
    """What the command line asks for."""

    config: Config  # of a run that is not tuned
    user_pairs: pairs.Pairs | None
    typed: dict  # settings that were typed, and so are not searched
    names: list  # of the parameters to search
    study: str
    storage: str  # as for storage.open_storage()
    trials: int
    workers: int
    seeds: range
    fresh_seeds: range


def flag_parser():
    """Returns the parser of the command line."""
    parser = command.OneLineErrorParser(
        prog="study",
        description="Searches the hyper-parameters that train a model best. What is typed is not searched.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    command.add_settings(
        parser, [entry for entry in FLAGS if entry.metadata["group"] != "report" and entry.name != "until"]
    )
    group = parser.add_argument_group("study")

    def number(name, default, most, text, least=1):
        kind = whole_number(least, most)
        group.add_argument(name, type=kind, default=default, metavar="N", help=f"{text} (default: {default})")

    number("--trials", 300, 1_000_000, "how many trials to finish in all")
    number("--workers", 1, 1_000, "processes that make trials on this machine")
    number("--seeds", 3, 100, "seeds that each trial trains with")
    number("--fresh-seeds", 10, 100, "seeds that the best trials are trained with at the end; 0: leave it out", 0)
    group.add_argument(
        "--study", default=None, metavar="NAME", help="name of the study (default: that of the file or of the task)"
    )
    group.add_argument(
        "--storage",
        default=JOURNAL,
        metavar="PLACE",
        help="where trials are kept: a file on this machine, or for many machines a database like "
        f"postgresql+psycopg://USER@HOST/DATABASE (default: {JOURNAL})",
    )
    group.add_argument(
        "--wide", action="store_true", default=False, help="search what the script has no setting for, too"
    )
    return parser


def read_request(arguments=None):
    """Reads the command line.

    Args:
      arguments: list of str; None for the command line of this process.

    Returns:
      A Request.

    Raises:
      SystemExit: status 0 after --help; status 2 after one line on stderr that names what is wrong.
    """
    parser = flag_parser()
    given = vars(parser.parse_args(arguments))
    options = {name: given.pop(name) for name in OPTIONS}
    try:
        config, user_pairs = training(given)
    except SettingsError as error:
        parser.error(str(error))
    except pairs.PairsError as error:
        parser.error(f"--data: {error}")
    study = options["study"] or (config.data.stem if user_pairs else config.task)
    if not re.fullmatch(r"\w[\w.-]*", study):
        parser.error(f"--study: {study!r} is not a name of letters, digits, dots and dashes")
    typed = {name: value for name, value in given.items() if name not in NOT_TUNED}
    names = space.searched_names(typed, options["wide"])
    seeds = (objective.FIRST_SEED, options["seeds"]), (objective.FIRST_FRESH_SEED, options["fresh_seeds"])
    counts = options["trials"], options["workers"]
    ranges = (range(first, first + count) for first, count in seeds)
    return Request(config, user_pairs, typed, names, study, options["storage"], *counts, *ranges)


def training(given):
    """Returns the settings.Config for the settings that were typed, and the pairs.Pairs of --data or None."""
    trained = command.command_to_train(None, given)
    settings.check(trained.config)
    if trained.pairs and len(set(trained.pairs.input_hashes.tolist())) < 3:
        raise pairs.PairsError(f"{str(trained.config.data)!r} holds fewer than 3 different inputs")
    return trained.config, trained.pairs


def task(arguments):
    """Returns the first arguments of objective.Objective, for a worker that is given the command line."""
    request = read_request(arguments)
    return request.config, request.user_pairs, request.names
