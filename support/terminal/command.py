"""The command line: which flags there are, and what they ask for."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from helpers import ALPHABET_VOCAB_SIZE
from support.data import pairs
from support.run import files, folder, history, platforms
from support.terminal import asking, pictures, predict, settings, settings_file, workers
from support.terminal.process import PROGRAM
from support.terminal.settings import FLAGS, Config, SettingsError, flag
from support.terminal.values import file_path, positive_number

LONGEST_ERROR = 400  # characters


class Command(NamedTuple):
    """What the command line asks for."""

    config: Config
    run: Path | None  # the run to resume or to ask, or the folder of a new one; None for a new one in runs/
    resume: bool = False
    predict: list | None = None  # lines of symbols; "-" alone stands for standard input
    pairs: pairs.Pairs | None = None  # the user's own data
    export: Path | None = None  # where the SavedModel goes
    asking: asking.Asking = asking.Asking()
    workers: workers.Workers | None = None  # those that train together, if more than one does
    given: dict = {}  # the settings that were typed


class OneLineErrorParser(argparse.ArgumentParser):
    """argparse, with an error that is one line instead of the usage and the error."""

    def error(self, message):
        line = " ".join(message.removeprefix("argument ").split())
        if len(line) > LONGEST_ERROR:
            line = f"{line[: LONGEST_ERROR // 2]} ... {line[-LONGEST_ERROR // 2 :]}"
        self.exit(2, f"{self.prog}: {line} (see --help)\n")


def flag_parser():
    """Returns the parser of the command line. What was not typed is not among the values that it returns."""
    parser = OneLineErrorParser(
        prog=PROGRAM,
        description="Trains a sequence-to-sequence model to repeat random integer sequences (or to do another task, or "
        "to answer as in your own pairs), and reports how many held-out sequences it gets exactly right.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add_settings(parser, FLAGS)
    parser.add_argument(
        "--settings",
        type=file_path,
        metavar="FILE",
        help="read settings from a file, as a study writes it (see docs/using.md); flags beside it win",
    )
    runs = parser.add_argument_group("runs")
    runs.add_argument(
        "--run-dir",
        type=file_path,
        metavar="DIR",
        help="folder of the new run (default: a new one in runs/); with --predict or --export: of the trained run",
    )
    runs.add_argument(
        "--resume",
        type=file_path,
        metavar="RUN",
        nargs="?",
        const=folder.LATEST,
        help="resume a stopped run, to the same end as if it had never stopped (default: runs/latest)",
    )
    runs.add_argument(
        "--predict",
        action="append",
        metavar="SEQUENCE",
        help='print the answer of a trained model to a sequence like "4 8 5"; - reads standard input line by line; '
        "may be repeated",
    )
    runs.add_argument(
        "--export",
        type=file_path,
        metavar="DIR",
        help="write a trained model as a SavedModel into a new folder",
    )
    runs.add_argument(
        "--cluster-timeout",
        type=positive_number,
        metavar="SECONDS",
        help="with TF_CONFIG: how long a worker waits for the others, at the start and in each step (default: "
        f"{workers.TIMEOUT:g})",
    )
    asking.add_flags(parser.add_argument_group("asking, with --predict"))
    return parser


def add_settings(parser, entries):
    """Adds the flags of fields of Config to a parser, in their groups."""
    groups = {}
    for entry in entries:
        title, kind = entry.metadata["group"], entry.metadata["type"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        groups[title].add_argument(
            flag(entry.name),
            type=kind,
            help=entry.metadata["help"] + ("" if entry.default is None else f" (default: {entry.default})"),
            metavar=getattr(
                entry.metadata["type"], "metavar", {"int": "N", "float": "X", "Path": "FILE"}.get(entry.type)
            ),
        )


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
    arguments = sys.argv[1:] if arguments is None else arguments
    for argument in arguments:
        if argument.startswith("--") and argument.endswith("=--"):  # which argparse takes for no value, or for a list
            parser.error(f"{argument[:-3]}: '--' is not a value")
    given = vars(parser.parse_args(arguments))
    run_dir, resume = (given.pop(name, None) for name in ("run_dir", "resume"))
    try:
        check_working_folder()
        if "predict" in given:
            return command_to_predict(given.pop("predict"), run_dir, resume, given)
        if "export" in given:
            return command_to_export(given.pop("export"), run_dir, resume, given)
        for name in asking.Asking._fields:
            if name in given and name != "plot":
                raise SettingsError(f"{flag(name)} goes with --predict")
        cluster = workers.of_environment(given.pop("cluster_timeout", None))
        if cluster and cluster.index > 0:
            return command_of_other_worker(cluster, resume, given)
        is_new = resume is None
        command = command_to_train(run_dir, given) if is_new else command_to_resume(resume, run_dir, given)
        command = command._replace(workers=cluster)
        settings.check(command.config)
        workers.check(cluster, command.config)
        for plot in command.config.plots.values():
            pictures.check_path(plot)
    except (SettingsError, argparse.ArgumentTypeError) as error:
        parser.error(str(error))
    except pairs.PairsError as error:
        parser.error(f"--data: {error}")
    except workers.WorkersError as error:
        parser.error(str(error))
    except folder.RunError as error:
        parser.error(f"{'--run-dir' if resume is None else '--resume'}: {error}")
    return command


def check_working_folder():
    """Raises SettingsError if another process has removed it."""
    try:
        os.getcwd()
    except OSError as error:
        raise SettingsError(f"cannot use the working folder: {error.strerror}") from None


def command_of_other_worker(cluster, resume, given):
    """Returns the Command of a worker that only trains with worker 0, and looks at no folder of a run.

    The settings of a stopped run come from worker 0. With --resume there are none until then.
    """
    typed = dict(given)
    if resume is not None:
        return Command(None, None, resume=True, workers=cluster, given=typed)
    command = new_run(given)
    settings.check(command.config)
    workers.check(cluster, command.config)
    return command._replace(workers=cluster, given=typed)


def pairs_of_run(data, config):
    """Reads the data of a stopped run again. Raises SettingsError if it is not the same."""
    user_pairs = pairs.read(data)
    if user_pairs.sha256 != config.sha256:
        raise SettingsError(f"--resume: {str(data)!r} is not, or no longer, the data of this run")
    if with_data(config, user_pairs).fixed != config.fixed:
        raise SettingsError(f"--resume: the settings of this run do not fit to its data {str(data)!r}")
    return user_pairs


def command_to_train(run_dir, given):
    """Returns the Command for a new run."""
    folder.check_new(run_dir)
    return new_run(given)._replace(run=run_dir)


def new_run(given):
    """Returns the Command for a new run in runs/."""
    if "settings" in given:
        given = settings_file.read(given.pop("settings")) | given
    config = Config(**given)
    if config.data is not None:
        for name in ("task", "vocab_size", "length_from", "length_to"):
            if name in given:
                raise SettingsError(f"{flag(name)} does not go with --data")
        user_pairs = pairs.read(config.data)
        return Command(with_data(config, user_pairs), None, pairs=user_pairs)
    if config.task == "alphabet" and "vocab_size" not in given:
        config = replace(config, vocab_size=ALPHABET_VOCAB_SIZE)
    return Command(config, None)


def with_data(config, user_pairs):
    """Returns a Config with what only the user's pairs can tell."""
    path, names = file_path(str(config.data.absolute())), tuple(user_pairs.names)
    return replace(config, data=path, symbols=names, sha256=user_pairs.sha256, **pairs.sizes(user_pairs))


def command_to_predict(sequences, run_dir, resume, given):
    """Returns the Command that asks a trained model."""
    how = asking.Asking(**{name: given.pop(name) for name in asking.Asking._fields if name in given})
    check_alone("predict", given, resume)
    if "-" in sequences and len(sequences) > 1:
        raise SettingsError("--predict: - for standard input goes alone")
    if sequences == ["-"] and sys.stdin is None:
        raise SettingsError("--predict: standard input is closed")
    config, run = trained_run(run_dir)
    asking.check(how, sequences, config)
    if sequences != ["-"]:
        predict.check(sequences, config)
    return Command(config, run, predict=sequences, asking=how)


def command_to_export(export, run_dir, resume, given):
    """Returns the Command that writes a trained model as a SavedModel."""
    check_alone("export", given, resume)
    try:
        files.check_absent(export)
    except OSError as error:
        raise SettingsError(f"--export: cannot write {str(export)!r}: {error.strerror}") from None
    return Command(*trained_run(run_dir), export=export)


def check_alone(name, given, resume):
    """Raises SettingsError if a flag that takes only --run-dir beside it was typed with others."""
    if given or resume is not None:
        raise SettingsError(f"{flag(next(iter(given), 'resume'))} does not go with {flag(name)}")


def trained_run(run_dir):
    """Returns the Config and the folder of a run that has a checkpoint. Raises folder.RunError if there is none."""
    if run_dir is None and not folder.LATEST.exists():
        raise SettingsError(f"no run has been trained here yet: {str(folder.LATEST)!r} does not exist")
    run = real_path(run_dir or folder.LATEST)
    config = saved_config(run)
    folder.newest_checkpoint(run)
    return config, run


def command_to_resume(run, run_dir, given):
    """Returns the Command that goes on with a stopped run."""
    if run_dir is not None:
        raise SettingsError("--run-dir does not go with --resume, which names the folder itself")
    if "settings" in given:
        raise SettingsError("--settings does not go with --resume: a run keeps its settings")
    run = real_path(run)
    config = saved_config(run)
    if "data" in given and config.data is None:
        raise SettingsError("--resume: this run has no --data")
    data = given.pop("data", config.data)  # the file may have been moved
    folder.check_restorable(run)
    check_resumable(run, config, given)
    user_pairs = None if data is None else pairs_of_run(data, config)
    return Command(replace(config, **given), run, resume=True, pairs=user_pairs)


def check_resumable(run, config, given):
    """Raises SettingsError if flags contradict the settings of a stopped run, or if it has come to its end."""
    wrong = [name for name in given if name in config.fixed and given[name] != config.fixed[name]]
    if wrong:
        saved = {name: "off" if getattr(config, name) is None else getattr(config, name) for name in wrong}
        contradictions = ", ".join(f"{flag(name)} is {saved[name]}, not {given[name]}" for name in wrong)
        if given.get("max_batches", 0) > config.max_batches:
            contradictions += "; the learning rate falls to 0 by the last batch, so none can be added"
        raise SettingsError(f"--resume: in this run {contradictions}")
    batches_kept = folder.batches_kept(run)
    if batches_kept is None or not folder.has_ended(run):
        return
    if batches_kept == config.max_batches:
        raise SettingsError(f"--resume: all {batches_kept} batches of this run are done")
    if config.until and history.has_reached(history.read_rows(run / "history.csv", batches_kept), config.until):
        raise SettingsError(f"--resume: this run reached --until {config.until} after {batches_kept} batches")


def real_path(run):
    """Returns the folder that runs/latest leads to now. It may lead elsewhere later."""
    real = os.path.realpath(platforms.follow(run))
    return Path(real) if run.is_absolute() else platforms.relative(real, ".")


def saved_config(run):
    """Returns the Config of a run. Raises folder.RunError if there is none."""
    try:
        return settings.from_json(folder.read_settings(run))
    except ValueError as error:
        path = str(run / "config.json")
        raise folder.RunError(f"{path!r} does not hold the settings of a run: {error}") from None
