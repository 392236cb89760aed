"""The command line: which flags there are, and what they ask for."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

import helpers
from helpers import ALPHABET_VOCAB_SIZE, FIRST_SYMBOL
from support import settings
from support.data import pairs
from support.errors import UserError
from support.pictures import pictures
from support.run import files, folder, history
from support.settings import UNKNOWN_NAME, Settings, flag
from support.terminal import judge, predict, predict_flags
from support.terminal.flags import FLAGS, OneLineErrorParser, add_settings, flag_type
from support.terminal.predict_flags import PredictFlags
from support.terminal.process import PROGRAM
from support.values import file_path, tensorflow_path

DATA_FILES = ("data", "validation_data", "test_data")
NEWEST = object()  # what --resume without a folder means


class Command(NamedTuple):
    """What the command line asks for."""

    config: Settings
    run: Path | None  # the run to resume or to ask, or the folder of a new one; None for a new one in runs/
    resume: bool = False
    predict: list | None = None  # lines of symbols; "-" alone stands for standard input
    predict_file: Path | None = None  # where the pairs to predict and judge come from
    pairs: pairs.Pairs | None = None  # the user's own data
    export: Path | None = None  # where the SavedModel goes
    predict_flags: PredictFlags = PredictFlags()


def flag_parser():
    """Returns the parser of the command line. Its result holds only the flags that were typed."""
    parser = OneLineErrorParser(
        prog=PROGRAM,
        description="Trains a sequence-to-sequence model to repeat random integer sequences (or another task, or "
        "your own input-output pairs), and reports how many held-out sequences it gets exactly right.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add_settings(parser)
    parser.add_argument(
        "--settings",
        type=flag_type(file_path),
        metavar="FILE",
        help="read settings from a JSON file, e.g. one that tuning has written (see docs/using.md); flags override it",
    )
    runs = parser.add_argument_group("runs")
    runs.add_argument(
        "--run-dir",
        type=flag_type(tensorflow_path),
        metavar="DIR",
        help="folder of the new run (default: a new one in runs/); with --predict or --export: of the trained run",
    )
    runs.add_argument(
        "--resume",
        type=flag_type(tensorflow_path),
        metavar="RUN",
        nargs="?",
        const=NEWEST,
        help="continue a stopped run; the result is the same as without the stop (default: the newest run in runs/)",
    )
    runs.add_argument(
        "--start-from",
        type=flag_type(tensorflow_path),
        metavar="RUN",
        help="begin a new run with the weights of another run, whose symbols it keeps",
    )
    runs.add_argument(
        "--predict",
        action="append",
        metavar="SEQUENCE",
        help='print the answer of a trained model to a sequence like "4 8 5"; - reads standard input line by line; '
        "may be repeated",
    )
    runs.add_argument(
        "--predict-file",
        type=flag_type(file_path),
        metavar="FILE",
        help="answer the inputs of a file of pairs, compare with its targets, and save the results beside it",
    )
    runs.add_argument(
        "--export",
        type=flag_type(tensorflow_path),
        metavar="DIR",
        help="write a trained model as a SavedModel into a new folder",
    )
    predict_flags.add_flags(parser.add_argument_group("asking, with --predict"))
    return parser


def read_command(arguments=None):
    """Reads the command line.

    Args:
      arguments: list of str; None for the command line of this process.

    Returns:
      A Command that can be carried out: its run exists, and its pictures can be saved.

    Raises:
      SystemExit: status 0 after --help; status 2 after one line on stderr that names what is wrong.
    """
    parser = flag_parser()
    given = parser.parse(arguments)
    try:
        return read_flags(given)
    except UserError as error:
        parser.error(str(error))


def read_flags(given):
    """Returns the Command for flags, a dict by name; raises UserError if they cannot be carried out."""
    run_dir, resume = (given.pop(name, None) for name in ("run_dir", "resume"))
    check_working_folder()
    if "predict" in given:
        return command_to_predict(given.pop("predict"), run_dir, resume, given)
    if "predict_file" in given:
        return command_to_judge(given.pop("predict_file"), run_dir, resume, given)
    if "export" in given:
        return command_to_export(given.pop("export"), run_dir, resume, given)
    for name in PredictFlags._fields:
        if name in given and name != "plot":
            raise UserError(f"{flag(name)} needs --predict")
    command = command_to_train(run_dir, given) if resume is None else command_to_resume(resume, run_dir, given)
    settings.check(command.config)
    for plot in command.config.plots.values():
        pictures.check_path(plot)
    return command


@contextlib.contextmanager
def naming(name):
    """Makes a UserError about a folder name the flag that the folder was typed with."""
    try:
        yield
    except UserError as error:
        raise error if str(error).startswith("--") else UserError(f"{name}: {error}") from None


def check_working_folder():
    """Raises UserError if another process has removed it."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError(f"cannot use the working folder: {error.strerror}") from None


def read_pairs(config):
    """Reads the data of a settings.Settings."""
    has_unknown = config.min_count > 1 and UNKNOWN_NAME not in config.names
    names = [*config.names, *[UNKNOWN_NAME] * has_unknown]
    read = pairs.read(config.data, config.validation_data, config.test_data, config.symbols, names)
    if config.min_count == 1:
        return read
    _, held_out = pairs.split(read, config.held_out_sequences, helpers.generators(config.seed)[1])
    return pairs.without_rare(read, held_out, config.min_count, len(names), config.data)


def pairs_of_run(config):
    """Reads the data of a stopped run again. Raises UserError if it is not the same."""
    user_pairs = read_pairs(config)
    if user_pairs.sha256 != config.sha256:
        raise UserError(f"--resume: {str(config.data)!r} is not, or no longer, the data of this run")
    if with_data(config, user_pairs).fixed != config.fixed:
        raise UserError(f"--resume: the settings of this run do not match its data {str(config.data)!r}")
    return user_pairs


def command_to_train(run_dir, given):
    """Returns the Command for a new run."""
    with naming("--run-dir"):
        folder.check_new(run_dir)
    return new_run(given)._replace(run=run_dir)


def new_run(given):
    """Returns the Command for a new run in runs/."""
    if "settings" in given:
        given = settings.read_file(given.pop("settings")) | given
    start_from = given.pop("start_from", None)
    config = Settings(**given) if start_from is None else start_config(start_from, given)
    if config.data is not None:
        for name in ("task", "vocab_size", "length_from", "length_to"):
            if name in given:
                raise UserError(f"{flag(name)} cannot be combined with --data")
        user_pairs = read_pairs(config)
        return Command(with_data(config, user_pairs), None, pairs=user_pairs)
    if config.task == "alphabet" and "vocab_size" not in given:
        config = replace(config, vocab_size=ALPHABET_VOCAB_SIZE)
    return Command(config, None)


def start_config(run, given):
    """Returns the Settings of a new run that starts with the weights of another run, and so has the same model.

    Raises:
      UserError: flags ask for another model, or for symbols that the other run does not have.
    """
    other, _ = trained_run(run, "--start-from")
    model = {name: getattr(other, name) for name in FLAGS["model"]}
    model["symbols"] = other.symbols
    config = Settings(**model | {"vocab_size": other.vocab_size} | given)
    wrong = [name for name, value in model.items() if getattr(config, name) != value]
    if wrong:
        name = wrong[0]
        raise UserError(f"--start-from: in that run {flag(name)} is {model[name]}, not {getattr(config, name)}")
    if (config.data is None) != (other.data is None):
        raise UserError(f"--start-from: that run was trained {'without' if other.data is None else 'with'} --data")
    if config.data is None and config.vocab_size < other.vocab_size:
        raise UserError(f"--start-from: that run has --vocab-size {other.vocab_size}, more than {config.vocab_size}")
    return replace(config, names=other.names, started_from=str(run.absolute()))


def with_data(config, user_pairs):
    """Returns a Settings with the fields that are read from the user's pairs."""
    paths = {name: getattr(config, name) for name in DATA_FILES}
    try:
        paths = {name: path and file_path(str(path.absolute())) for name, path in paths.items()}
    except ValueError as error:
        raise UserError(f"--data: {error}") from None
    _, held_out = pairs.split(user_pairs, config.held_out_sequences, helpers.generators(config.seed)[1])
    never = np.flatnonzero(pairs.training_counts(user_pairs, held_out) == 0) - FIRST_SYMBOL
    names, known = tuple(user_pairs.names), len(config.names)  # another run may have trained the first ones
    found = {"names": names, "untrained": tuple(names[symbol] for symbol in never if symbol >= known)}
    return replace(config, **paths, **found, sha256=user_pairs.sha256, **pairs.sizes(user_pairs))


def command_to_predict(sequences, run_dir, resume, given):
    """Returns the Command that asks a trained model."""
    how = PredictFlags(**{name: given.pop(name) for name in PredictFlags._fields if name in given})
    check_alone("predict", given, resume)
    if "-" in sequences and len(sequences) > 1:
        raise UserError("--predict: - (standard input) cannot be combined with other sequences")
    if sequences == ["-"] and sys.stdin is None:
        raise UserError("--predict: standard input is closed")
    config, run = trained_run(run_dir)
    predict_flags.check(how, sequences)
    if sequences != ["-"]:
        predict.check(sequences, config)
    return Command(replace(config, max_answer=how.max_answer), run, predict=sequences, predict_flags=how)


def command_to_judge(path, run_dir, resume, given):
    """Returns the Command that asks a trained model for the answers to a file of pairs."""
    names = ("beam", "length_penalty", "max_answer")
    how = PredictFlags(**{name: given.pop(name) for name in names if name in given})
    check_alone("predict_file", given, resume)
    predict_flags.check(how, [])
    config, run = trained_run(run_dir)
    try:
        files.check_writable(judge.answers_path(path))
    except OSError as error:
        answers = str(judge.answers_path(path))
        raise UserError(f"--predict-file: cannot write {answers!r}: {error.strerror}") from None
    known = pairs.read_known("--predict-file", path, config.vocabulary[FIRST_SYMBOL:], config.symbols)
    config = replace(config, max_answer=how.max_answer)
    return Command(config, run, predict_file=path, pairs=known, predict_flags=how)


def command_to_export(export, run_dir, resume, given):
    """Returns the Command that writes a trained model as a SavedModel."""
    max_answer = given.pop("max_answer", None)
    check_alone("export", given, resume)
    try:
        files.check_absent(export)
    except OSError as error:
        raise UserError(f"--export: cannot write {str(export)!r}: {error.strerror}") from None
    config, run = trained_run(run_dir)
    return Command(replace(config, max_answer=max_answer), run, export=export)


def check_alone(name, given, resume):
    """Raises UserError if a flag that takes only --run-dir beside it was typed with others."""
    if given or resume is not None:
        raise UserError(f"{flag(next(iter(given), 'resume'))} cannot be combined with {flag(name)}")


def trained_run(run_dir, name="--run-dir"):
    """Returns the Settings and the folder of a run that has a checkpoint. Raises UserError if there is none."""
    run = run_dir or newest_run()
    with naming(name):
        config = saved_config(run)
        folder.newest_checkpoint(run)
    return config, run


def newest_run():
    """Returns the run in runs/ that was begun last. Raises UserError if there is none."""
    run = folder.newest()
    if run is None:
        raise UserError(f"no run has been trained here yet: there is none in {str(folder.RUNS)!r}")
    return run


def command_to_resume(run, run_dir, given):
    """Returns the Command that continues a stopped run."""
    if run_dir is not None:
        raise UserError("--run-dir cannot be combined with --resume, which names the folder itself")
    if "settings" in given:
        raise UserError("--settings cannot be combined with --resume: a run keeps its settings")
    if "start_from" in given:
        raise UserError("--start-from cannot be combined with --resume: it begins a new run")
    run = newest_run() if run is NEWEST else run
    with naming("--resume"):
        config = saved_config(run)
        folder.check_restorable(run)
    for name in DATA_FILES:
        if name in given and getattr(config, name) is None:
            raise UserError(f"--resume: this run has no {flag(name)}")
    moved = {name: given.pop(name) for name in DATA_FILES if name in given}
    with naming("--resume"):
        check_resumable(run, config, given)
    config = replace(config, **moved)
    user_pairs = None if config.data is None else pairs_of_run(config)
    # A path from config.json may be somebody else's, so it is not written to.
    given.setdefault("plot", config.plot if config.plot == settings.Settings.plot else run / "loss.png")
    return Command(replace(config, **given), run, resume=True, pairs=user_pairs)


def check_resumable(run, config, given):
    """Raises UserError if flags contradict the settings of a stopped run, or if it has finished."""
    wrong = [name for name in given if name in config.fixed and given[name] != config.fixed[name]]
    if wrong:
        saved = {name: "off" if getattr(config, name) is None else getattr(config, name) for name in wrong}
        contradictions = ", ".join(f"{flag(name)} is {saved[name]}, not {given[name]}" for name in wrong)
        if given.get("max_batches", 0) > config.max_batches:
            contradictions += "; the learning rate falls to 0 by the last batch, so none can be added"
        raise UserError(f"--resume: in this run {contradictions}")
    batches_kept = folder.batches_kept(run)
    if batches_kept is None or not folder.has_ended(run):
        return
    if batches_kept == config.max_batches:
        raise UserError(f"--resume: all {batches_kept} batches of this run are done")
    rows = history.read_rows(run / "history.csv", batches_kept)
    if history.has_reached(rows, config.until):
        raise UserError(f"--resume: this run reached --until {config.until} after {batches_kept} batches")
    if history.has_lost_patience(rows, config.patience):
        raise UserError(f"--resume: this run lost --patience after {batches_kept} batches")


def saved_config(run):
    """Returns the Settings of a run. Raises UserError if there is none."""
    try:
        return settings.from_json(folder.read_settings(run))
    except ValueError as error:
        path = str(run / "config.json")
        raise UserError(f"{path!r} does not hold the settings of a run: {error}") from None
