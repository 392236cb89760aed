"""The command line: which flags there are, and what they ask for."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from helpers import ALPHABET_VOCAB_SIZE, FIRST_SYMBOL
from support import settings
from support.data import pairs
from support.errors import UserError, as_user_error
from support.pictures import pictures
from support.run import whole_files
from support.run.history import early_end, read_rows
from support.run.run_folder import RUNS, RunFolder, check_new
from support.settings import DATA_FILES, DataFacts, Settings, flag
from support.terminal import judge, predict, predict_flags
from support.terminal.flags import FLAGS, OneLineErrorParser, add_settings
from support.terminal.predict_flags import PredictFlags
from support.terminal.process import PROGRAM
from support.values import file_path, tensorflow_path

log = logging.getLogger(__name__)

NEWEST = object()  # what --resume without a folder means
NEW_RUN = "--start-from begins a new run with its weights"
OF_FILES = {  # the PredictFlags that --predict-file takes too, and what else takes them
    "beam": " or --predict-file",
    "n_best": " or --predict-file",
    "length_penalty": " or --predict-file",
    "max_answer": ", --predict-file or --export",
}


class Train(NamedTuple):
    """Begins a new run, or continues a stopped one."""

    config: Settings
    pairs: pairs.Pairs | None  # the user's own data
    path: Path | None  # of its folder; None for a new one in runs/
    resumes: bool = False


class Predict(NamedTuple):
    """Asks a trained model."""

    config: Settings
    folder: RunFolder
    sequences: list  # lines of symbols; "-" alone stands for standard input
    flags: PredictFlags


class Judge(NamedTuple):
    """Asks a trained model for the answers to a file of pairs."""

    config: Settings
    folder: RunFolder
    file: Path
    pairs: pairs.Pairs  # what it holds
    answers: Path  # where the answers are saved
    flags: PredictFlags


class Export(NamedTuple):
    """Writes a trained model as a SavedModel."""

    config: Settings
    folder: RunFolder
    path: Path  # of the SavedModel


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
        type=file_path,
        metavar="FILE",
        help="read settings from a JSON file, e.g. one that tuning has written (see docs/using.md); flags override it",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="with --data: the plain model and the recipe of random sequences, in place of the defaults for pairs",
    )
    runs = parser.add_argument_group("runs")
    runs.add_argument(
        "--run-dir",
        type=tensorflow_path,
        metavar="DIR",
        help="folder of the new run (default: a new one in runs/); with --predict, --predict-file or --export: of the "
        "trained run (default: the newest one in runs/)",
    )
    runs.add_argument(
        "--resume",
        type=tensorflow_path,
        metavar="RUN",
        nargs="?",
        const=NEWEST,
        help="continue a stopped run, or without RUN the newest one in runs/; the result is the same as without the "
        "stop",
    )
    runs.add_argument(
        "--start-from",
        type=tensorflow_path,
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
        type=file_path,
        metavar="FILE",
        help="answer the inputs of a file of pairs, compare with its targets, and save the results beside it",
    )
    runs.add_argument(
        "--answers",
        type=file_path,
        metavar="FILE",
        help="with --predict-file: where to save the answers; the figures go beside them, with the ending .json "
        "(default: the name of the file of pairs and .answers.tsv)",
    )
    runs.add_argument(
        "--export",
        type=tensorflow_path,
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
      A Train, Predict, Judge or Export that can be carried out: its run exists, and its pictures can be saved.

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
    """Returns what read_command() returns, for a dict of flags by name. Raises UserError if that cannot be done."""
    run_dir, resume = (given.pop(name, None) for name in ("run_dir", "resume"))
    with as_user_error("cannot use the working folder"):
        os.getcwd()  # another process may have removed it
    if "predict" in given:
        return command_to_predict(given.pop("predict"), run_dir, resume, given)
    if "predict_file" in given:
        return command_to_judge(given.pop("predict_file"), run_dir, resume, given)
    if "answers" in given:
        raise UserError("--answers needs --predict-file")
    if "export" in given:
        return command_to_export(given.pop("export"), run_dir, resume, given)
    for name in PredictFlags._fields:
        if name in given and name != "plot":
            raise UserError(f"{flag(name)} needs --predict{OF_FILES.get(name, '')}")
    command = command_to_train(run_dir, given) if resume is None else command_to_resume(resume, run_dir, given)
    settings.check(command.config)
    for plot in pictures.paths(command.config).values():
        check_writable("plot", plot)
    return command


@contextlib.contextmanager
def naming(name, is_newest=False):
    """Makes a UserError about a run name the flag it was typed with or, for the newest run, could be typed with."""
    try:
        yield
    except UserError as error:
        advice = f"; {name} names another run" if is_newest else ""
        raise error if str(error).startswith("--") else UserError(f"{name}: {error}{advice}") from None


def check_writable(name, path, check=whole_files.check_writable):
    """Raises UserError if the path of a flag cannot be written."""
    with as_user_error(f"{flag(name)}: cannot write {str(path)!r}"):
        check(path)


def pairs_of_run(config):
    """Reads the data of a stopped run again. Raises UserError if it is not the same."""
    for name in DATA_FILES:
        path = getattr(config, name)
        if path and not os.path.lexists(path):
            raise UserError(f"--resume: {str(path)!r} is gone; if it has moved, say where it is with {flag(name)}")
    user_pairs = pairs.read(config)
    if user_pairs.sha256 != config.facts.sha256:
        files = " or ".join(repr(str(path)) for path in (getattr(config, name) for name in DATA_FILES) if path)
        raise UserError(f"--resume: {files} is not, or no longer, the data of this run")
    if not config.facts.lines:
        raise UserError("--resume: this run is of an older version, which had no validation set; begin a new one")
    if pairs.with_facts(config, user_pairs).fixed != config.fixed:
        raise UserError(f"--resume: the settings of this run do not match its data {str(config.data)!r}")
    return user_pairs


def command_to_train(run_dir, given):
    """Returns the Train for flags."""
    with naming("--run-dir"):
        check_new(run_dir)
    return new_run(given)._replace(path=run_dir)


def new_run(given):
    """Returns the Train of a run in runs/."""
    if "settings" in given:
        given = settings.read_file(given.pop("settings")) | given
    defaults = settings.defaults_for(given)
    start_from, is_plain = given.pop("start_from", None), given.pop("plain", False)
    if is_plain and "data" not in given:
        raise UserError("--plain needs --data")
    config = Settings(**defaults | given) if start_from is None else start_config(start_from, given, defaults)
    if config.data is not None:
        for name in ("task", "vocab_size", "length_from", "length_to"):
            if name in given:
                raise UserError(f"{flag(name)} cannot be combined with --data")
        if "held_out_sequences" in given and config.validation_data is not None:
            raise UserError("--held-out-sequences cannot be combined with --validation-data: no lines are drawn then")
        user_pairs = pairs.read(config)
        if defaults and start_from is None and user_pairs.training_lines.size <= settings.FEW_PAIRS:
            config = replace(config, **settings.FOR_FEW_PAIRS | given)
        if defaults and "max_batches" not in given:
            config = replace(config, max_batches=pairs.default_batches(user_pairs, config.batch_size))
        return Train(with_data(config, user_pairs), user_pairs, path=None)
    if config.task == "alphabet" and "vocab_size" not in given:
        config = replace(config, vocab_size=ALPHABET_VOCAB_SIZE)
    return Train(config, pairs=None, path=None)


def start_config(run, given, defaults):
    """Returns the Settings of a new run that starts with the weights of another run, and so has the same model.

    given: a dict of flags by name. defaults: a dict of the defaults that differ from those of Settings.

    Raises:
      UserError: flags ask for another model, or for symbols that the other run does not have.
    """
    other, _ = trained_run(run, "--start-from")
    model = {name: getattr(other, name) for name in FLAGS["model"]}
    model["symbols"] = other.symbols
    sequences = {name: getattr(other, name) for name in ("task", "length_from", "length_to", "vocab_size")}
    config = Settings(**defaults | model | sequences | given)
    wrong = [name for name, value in model.items() if getattr(config, name) != value]
    if wrong:
        name = wrong[0]
        raise UserError(f"--start-from: in that run {flag(name)} is {model[name]}, not {getattr(config, name)}")
    if (config.data is None) != (other.data is None):
        of_other, needed = ("without", "cannot have") if other.data is None else ("with", "needs")
        raise UserError(f"--start-from: that run was trained {of_other} --data, so this one {needed} it")
    if config.data is None and config.vocab_size < other.vocab_size:
        raise UserError(f"--start-from: that run has --vocab-size {other.vocab_size}, more than {config.vocab_size}")
    if config.data and not config.test_data and not config.validation_data:
        log.warning("--start-from: that run may have trained on test pairs of this one; --test-data names new ones")
    with as_user_error("--start-from", ValueError):
        started_from = tensorflow_path(str(run.absolute()))
    return replace(config, facts=DataFacts(names=other.facts.names), started_from=str(started_from))


def with_data(config, user_pairs):
    """Returns a Settings with what is read from the user's pairs, and with absolute paths of their files."""
    paths = {name: getattr(config, name) for name in DATA_FILES}
    with as_user_error("--data", ValueError):
        paths = {name: path and file_path(str(path.absolute())) for name, path in paths.items()}
    return pairs.with_facts(replace(config, **paths), user_pairs)


def command_to_predict(sequences, run_dir, resume, given):
    """Returns the Predict for flags."""
    how = PredictFlags(**{name: given.pop(name) for name in PredictFlags._fields if name in given})
    check_alone("predict", given, resume)
    if "-" in sequences and len(sequences) > 1:
        raise UserError("--predict: - (standard input) cannot be combined with other sequences")
    if sequences == ["-"] and sys.stdin is None:
        raise UserError("--predict: standard input is closed")
    config, folder = trained_run(run_dir)
    predict_flags.check(how, sequences)
    if how.alignment and config.attention == "none":
        raise UserError("--alignment: this model has no attention")
    if how.plot is not None:
        check_writable("plot", how.plot)
    if sequences != ["-"]:
        predict.check(sequences, config)
    return Predict(replace(config, max_answer=how.max_answer), folder, sequences, how)


def command_to_judge(path, run_dir, resume, given):
    """Returns the Judge for flags."""
    answers = given.pop("answers", None)
    how = PredictFlags(**{name: given.pop(name) for name in OF_FILES if name in given})
    check_alone("predict_file", given, resume)
    predict_flags.check(how, [])
    config, folder = trained_run(run_dir)
    if path.is_dir():  # has no name to put an ending behind
        raise UserError(f"--predict-file: cannot read {str(path)!r}: {os.strerror(errno.EISDIR)}")
    answers = check_answers(path, answers)
    known = pairs.read_known("--predict-file", path, config.vocabulary[FIRST_SYMBOL:], config.symbols)
    return Judge(replace(config, max_answer=how.max_answer), folder, path, known, answers, how)


def check_answers(path, answers):
    """Returns where the answers to a file are saved: where --answers says, or beside the file.

    Raises:
      UserError: it cannot be written, or holds something that this command has not written.
    """
    name, hint = ("predict_file", "; --answers names another file") if answers is None else ("answers", "")
    answers = answers or Path(f"{path}.answers.tsv")
    for each in (answers, judge.figures_path(answers)):
        try:
            whole_files.check_writable(each)
        except OSError as error:
            raise UserError(f"{flag(name)}: cannot write {str(each)!r}: {error.strerror}{hint}") from None
        if os.path.lexists(each) and not judge.has_written(answers):
            raise UserError(
                f"{flag(name)}: {str(each)!r} exists, and is not, or no longer, what this command wrote{hint}"
            )
    return answers


def command_to_export(path, run_dir, resume, given):
    """Returns the Export for flags."""
    max_answer = given.pop("max_answer", None)
    check_alone("export", given, resume)
    check_writable("export", path, whole_files.check_absent)
    config, folder = trained_run(run_dir)
    return Export(replace(config, max_answer=max_answer), folder, path)


def check_alone(name, given, resume):
    """Raises UserError if a flag that takes only --run-dir beside it was typed with others."""
    if given or resume is not None:
        raise UserError(f"{flag(next(iter(given), 'resume'))} cannot be combined with {flag(name)}")


def trained_run(run_dir, name="--run-dir"):
    """Returns the Settings and the RunFolder of a run that has a checkpoint. Raises UserError if there is none."""
    folder = RunFolder(run_dir) if run_dir else newest_run()
    with naming(name, is_newest=not run_dir):
        config = folder.read_settings()
        folder.final_checkpoint()
    folder.warn_of_an_edit()
    if not run_dir:
        warn_of_a_part(config, folder)
    return config, folder


def warn_of_a_part(config, folder):
    """Says which run was chosen as the newest, if it was stopped, or has failed."""
    batches = folder.checkpoints()[-1].batches
    with contextlib.suppress(UserError):  # the history may be gone
        if why_over(config, folder, batches):
            return
    log.warning("the newest run, %r, has made only %d of %d batches", str(folder.path), batches, config.max_batches)


def newest_run():
    """Returns the RunFolder in runs/ that was begun last. Raises UserError if there is none."""
    newest = RunFolder.newest()
    if newest is None:
        raise UserError(f"there is no run in {str(RUNS)!r}: train one first, or name the folder of another")
    return newest


def command_to_resume(run, run_dir, given):
    """Returns the Train that resumes a run, for flags."""
    if run_dir is not None:
        raise UserError("--run-dir cannot be combined with --resume, which names the folder itself")
    for name in ("settings", "plain"):
        if name in given:
            raise UserError(f"{flag(name)} cannot be combined with --resume: a run keeps its settings")
    if "start_from" in given:
        raise UserError("--start-from cannot be combined with --resume: it begins a new run")
    folder = newest_run() if run is NEWEST else RunFolder(run)
    with naming("--resume", is_newest=run is NEWEST):
        config = folder.read_settings()
        checkpoints = folder.checkpoints_to_resume()
    for name in DATA_FILES:
        if name in given and getattr(config, name) is None:
            raise UserError(f"--resume: this run has no {flag(name)}")
    moved = {name: given.pop(name) for name in DATA_FILES if name in given}
    with naming("--resume"):
        check_unchanged(config, given)
        if checkpoints and folder.has_ended and (over := why_over(config, folder, checkpoints[-1].batches)):
            raise UserError(f"--resume: {over}")
    folder.warn_of_an_edit()
    config = replace(config, **moved)
    user_pairs = None if config.data is None else pairs_of_run(config)
    # A path from config.json may be somebody else's, so it is not written to.
    given.setdefault("plot", config.plot if config.plot == settings.Settings.plot else folder.path / "loss.png")
    return Train(replace(config, **given), user_pairs, folder.path, resumes=True)


def check_unchanged(config, given):
    """Raises UserError if flags contradict the settings of a stopped run."""
    wrong = [name for name in given if name in config.fixed and given[name] != config.fixed[name]]
    if wrong:
        saved = {name: "off" if getattr(config, name) is None else getattr(config, name) for name in wrong}
        contradictions = ", ".join(f"{flag(name)} is {saved[name]}, not {given[name]}" for name in wrong)
        if given.get("max_batches", 0) > config.max_batches:
            contradictions += f"; the learning rate falls to 0 by the last batch, so no batch can be added. {NEW_RUN}"
        raise UserError(f"--resume: in this run {contradictions}")


def why_over(config, folder, batches):
    """Returns why a run needs no more batches after so many; None if it does. Raises UserError without its history."""
    if batches == config.max_batches:
        return f"all {batches} batches of this run are done. {NEW_RUN}"
    line = early_end(read_rows(folder.path / "history.csv", batches), config)
    return line and f"this run {line}"
