"""Learns hyper-parameters, for the random sequences of the script or for the user's own pairs.

    python -m experiments.tune
    python -m experiments.tune --data alphabet.tsv --trials 50

Optuna searches for the settings that train a model best. Then the best trials and the defaults are compared on fresh
seeds. The result is printed, and saved as studies/NAME.json, which seq2seq_copy.py --settings reads.
Called again, the command continues where it stopped. Called several times at once, it shares the work.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import random
import re
import shlex
import threading
import time
import warnings
from argparse import SUPPRESS
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
import sqlalchemy
from optuna.trial import TrialState
from tqdm import tqdm

import helpers
from seq2seq_copy import train
from support import limits, settings
from support.data import pairs
from support.errors import UserError, reason
from support.model import variants
from support.outside import printable
from support.pictures import pictures
from support.run.whole_files import check_writable, write_json
from support.settings import DATA_FILES, Settings
from support.tensorflow import device, startup
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import command, process, training
from support.terminal.flags import OneLineErrorParser, add_settings
from support.values import whole_number

PROGRAM = "tune"
FOLDER = Path("studies")
SPACE_OF_RANDOM_SEQUENCES = {
    "learning_rate": lambda trial: trial.suggest_float("learning_rate", 0.003, 0.1, log=True),
    "batch_size": lambda trial: trial.suggest_categorical("batch_size", (50, 100, 200)),
    "adam_beta2": lambda trial: 1 - trial.suggest_float("1 - adam_beta2", 0.001, 0.3, log=True),
    "clip_norm": lambda trial: trial.suggest_float("clip_norm", 0.03, 30, log=True),
    "warm_up": lambda trial: trial.suggest_float("warm_up", 0, 0.2),
}
SPACE_OF_PAIRS = {
    "learning_rate": lambda trial: trial.suggest_float("learning_rate", 0.001, 0.1, log=True),
    "batch_size": lambda trial: trial.suggest_int("batch_size", 20, 200, log=True),
    "encoder_hidden_units": lambda trial: trial.suggest_int("encoder_hidden_units", 16, 256, log=True),
    "input_embedding_size": lambda trial: trial.suggest_int("input_embedding_size", 8, 128, log=True),
    "layers": lambda trial: trial.suggest_int("layers", 1, 2),
    "attention": lambda trial: trial.suggest_categorical("attention", ("none", "bahdanau", "luong")),
    "feedback": lambda trial: trial.suggest_categorical("feedback", ("argmax", "teacher", "scheduled")),
    "dropout": lambda trial: trial.suggest_float("dropout", 0, 0.5),
}
NOT_IN_A_TRIAL = ("until", "patience", "keep")  # a trial ends with its last batch, or when the pruner ends it
OTHER_HELP = {
    "seed": "with --data, draws the validation set that trials choose by; trials have seeds of their own",
    "held_out_sequences": "sequences that each trial is measured on; with --data: the most lines drawn for the "
    "validation set, and for the test set, which no trial sees",
    "test_data": "the pairs of this file stay out of the search",
}
FIRST_SEED, FIRST_FRESH_SEED = 1000, 2000  # the reports of this project use seeds 0 to 9
EVALUATIONS = 10  # of a run
PRUNER = optuna.pruners.MedianPruner(n_warmup_steps=EVALUATIONS // 3)
FINALISTS = 3  # the best trials, to be trained again on fresh seeds
DEFAULTS = "the defaults"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
HEARTBEAT = 10  # seconds; after three without one, a trial is lost, and is made once more
PATIENCE = 10  # seconds to wait for a server
LOCKED = 100  # seconds to wait for the other processes that use a file
OTHER_MAKES_TABLES = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError)
DATABASE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError)


class Task(NamedTuple):
    """What the command line asks for."""

    config: Settings  # of a run that is not tuned
    user_pairs: pairs.Pairs | None
    typed: dict  # settings that were typed, so they are not searched
    space: dict  # name of a setting: function that lets an optuna.Trial choose its value
    study: str
    storage: str  # as for open_storage()
    trials: int
    seeds: range
    fresh_seeds: range

    @property
    def defaults(self):
        """The settings of a trial that chooses the defaults."""
        return self.with_batches({name: getattr(self.config, name) for name in self.space})

    def with_batches(self, chosen):
        """Adds to the settings of a trial the number of batches that makes all trials train on as many sequences."""
        if "batch_size" not in chosen:
            return chosen
        sequences = self.config.batch_size * self.config.max_batches
        return chosen | {"max_batches": max(1, round(sequences / chosen["batch_size"]))}


def flag_parser():
    """Returns the parser of the command line."""
    text = "Searches the hyper-parameters that train a model best. Settings that are given as flags are not searched."
    parser = OneLineErrorParser(prog=PROGRAM, description=text, argument_default=SUPPRESS, allow_abbrev=False)
    add_settings(parser, ("report", *NOT_IN_A_TRIAL), OTHER_HELP)
    group = parser.add_argument_group("tuning")
    for name, default, least, most, text in (
        ("--trials", 300, 1, 1_000_000, "how many trials to finish in all"),
        ("--seeds", 3, 1, 100, "seeds that each trial trains with"),
        ("--fresh-seeds", 10, 0, 100, "seeds that the best trials are compared on at the end; 0: leave it out"),
    ):
        kind = whole_number(least, most)
        group.add_argument(name, type=kind, default=default, metavar="N", help=f"{text} (default: {default})")
    text = "name of the study (default: that of the file or of the task)"
    group.add_argument("--study", default=None, metavar="NAME", help=text)
    file = str(FOLDER / "tune.db")
    text = "where trials are kept: a file, or a database like postgresql+psycopg://USER@HOST/DATABASE"
    group.add_argument("--storage", default=file, metavar="PLACE", help=f"{text} (default: {file})")
    return parser


def read_task(arguments=None):
    """Reads the command line, or a list of str; returns a Task.

    Raises:
      SystemExit: status 0 after --help; status 2 after one line on stderr that names what is wrong.
    """
    parser = flag_parser()
    given = parser.parse(arguments)
    name, place, trials, *counts = (given.pop(key) for key in ("study", "storage", "trials", "seeds", "fresh_seeds"))
    seeds = [range(first, first + count) for first, count in zip((FIRST_SEED, FIRST_FRESH_SEED), counts)]
    try:
        run = command.new_run(dict(given))
        settings.check(run.config)
        if "seed" in given and (run.pairs is None or run.config.validation_data):
            raise UserError("--seed: trials have seeds of their own; it only draws sets of pairs")
        typed = {key: value for key, value in given.items() if key not in ("seed", *DATA_FILES)}
        space = SPACE_OF_PAIRS if run.pairs else SPACE_OF_RANDOM_SEQUENCES
        space = {key: choose for key, choose in space.items() if key not in typed}
        name = name or (run.config.data.stem if run.pairs else run.config.task)
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise UserError(f"--study: {name!r} is not a name of letters, digits, dots and dashes")
    except UserError as error:
        parser.error(str(error))
    return Task(run.config, run.pairs, typed, space, name, place, trials, *seeds)


# The data of a trial


def examples(config, user_pairs):
    """Returns the endless training batches of a run, and a helpers.Batch of the sequences that trials are chosen by."""
    generator, *_ = helpers.generators(config.seed)
    if user_pairs:
        validation = pairs.batch(user_pairs, user_pairs.validation_lines)
        return pairs.training_batches(user_pairs, config, generator), validation
    other = np.random.default_rng([config.seed, 1])  # no stream of a run, so these are not what a run reports on
    validation = next(helpers.task_batches(config, config.held_out_sequences, other))
    return helpers.task_batches(config, config.batch_size, generator), validation


# A trial


def objective(trial, task, stop):
    """Returns log10 of the share of validation sequences that are not exact, averaged over seeds. Lower is better.

    The logarithm, because halving the errors should count the same from 1 % as from 0.1 %. Arguments: an optuna.Trial,
    a Task, and a process.Stop. Raises optuna.TrialPruned if the trial is worse than most at the same point.
    """
    chosen = task.with_batches({name: choose(trial) for name, choose in task.space.items()})
    trial.set_user_attr("settings", chosen)
    trial.set_user_attr("process", os.getpid())
    errors, score = {}, None
    evaluations = ((seed, error) for seed in task.seeds for error in errors_of_run(task, chosen, seed, stop))
    for step, (seed, error) in enumerate(evaluations, start=1):
        errors[seed] = error
        score = float(np.log10(list(errors.values())).mean())
        trial.report(score, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return score


def errors_of_run(task, chosen, seed, stop):
    """Trains a model; yields the share of validation sequences that are not exact, EVALUATIONS times.

    All but the last look only at the first limits.EVALUATION_BATCH sequences. The share is at least half a sequence.

    Sizes that are too large prune the trial; a process.Stop that was asked ends it with KeyboardInterrupt.
    """
    config = replace(task.config, **chosen, seed=seed)
    if limits.largest_tensor(config) > limits.LARGEST_TENSOR:
        raise optuna.TrialPruned
    batches, validation = examples(config, task.user_pairs)
    ends = [config.max_batches * part // EVALUATIONS for part in range(EVALUATIONS + 1)]
    trainer = open_trainer(replace(config, seed=0, learning_rate=Settings.learning_rate, warm_up=Settings.warm_up))
    restart(trainer, config)
    with trainer.model.session.graph.as_default():
        exact = training.exact_in(trainer.model, task.user_pairs, validation)
    for number, (start, end) in enumerate(itertools.pairwise(ends), start=1):
        for _ in train(trainer, itertools.islice(batches, end - start), start):
            if stop.status:
                raise KeyboardInterrupt
        right = exact(number < EVALUATIONS)
        yield float(max(0.5, (~right).sum()) / right.size)


# Compiling takes as long as training, so seeds share what it made.
open_trainer = functools.lru_cache(maxsize=FINALISTS + 1)(variants.open_trainer)


def restart(trainer, config):
    """Sets a trainer to what it is before the first step of a run.

    Only the coins of dropout and scheduled sampling are those of seed 0.
    """
    with variants.open_model(config).session as other:
        weights = other.run(tf.trainable_variables())
    session, trainer.model.config = trainer.model.session, config
    with session.graph.as_default():
        session.run(tf.global_variables_initializer())
        for variable, value in zip(tf.trainable_variables(), weights):
            variable.load(value, session)


# Where trials are kept


def open_storage(place):
    """Opens a database: a file of SQLite by its path, any other by its URL. Messages hold no password."""
    url, is_file = url_of(place), "://" not in place
    options = {"timeout": LOCKED} if is_file else {"connect_timeout": PATIENCE} if "postgresql" in url else {}
    retry = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=1)
    kept = {"heartbeat_interval": HEARTBEAT, "grace_period": 3 * HEARTBEAT, "heartbeat_stale_trial_callback": retry}
    for tries_left in (2, 1, 0):
        try:
            if is_file:
                Path(place).absolute().parent.mkdir(parents=True, exist_ok=True)
            storage = optuna.storages.RDBStorage(url, {"connect_args": options, "pool_pre_ping": True}, **kept)
            break
        except (*DATABASE_ERRORS, ImportError, OSError, ValueError, RuntimeError) as error:
            is_race = isinstance(error, OTHER_MAKES_TABLES) or "already exists" in str(error)
            if not tries_left or not is_race:
                raise storage_error(error, place, 2) from None
            time.sleep(1)
    if storage.engine.dialect.name == "sqlite":
        # SQLite would lock the file only where a transaction writes, so that two processes could take the same trial.
        sqlalchemy.event.listen(storage.engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))
    return storage


def url_of(place):
    """Returns the URL of a database, a str. Raises UserError if it cannot be one."""
    if "://" not in place:
        return sqlalchemy.URL.create("sqlite", database=place).render_as_string()
    with contextlib.suppress(sqlalchemy.exc.ArgumentError, ValueError):
        if "@" not in (sqlalchemy.make_url(place).host or ""):  # part of a password that is not quoted
            return place
    raise UserError("--storage: not a URL like postgresql+psycopg://USER@HOST/DATABASE")


def storage_error(error, place, status):
    """Returns the UserError for an error of a database, without the passwords of its URL."""
    cause = error.__cause__ or error
    message = reason(getattr(cause, "orig", None) or cause)
    if "://" not in place:
        return UserError(f"--storage: cannot use {place!r}: {message}", status)
    url = sqlalchemy.make_url(place)
    for secret in (url.password, *(value for name, value in url.query.items() if "pass" in name)):
        message = message.replace(str(secret or "***"), "***")
    return UserError(f"--storage: cannot use the database: {message}", status)


def open_study(task):
    """Returns the optuna.Study of a Task, new or as it was left. Raises UserError if it cannot be."""
    storage = open_storage(task.storage)
    study = optuna.create_study(study_name=task.study, storage=storage, pruner=PRUNER, load_if_exists=True)
    asked = {name: value for name, value in task.config.fixed.items() if name not in task.space}
    asked |= {"searched": list(task.space), "seeds": len(task.seeds)}
    begun = study.user_attrs.get("settings", asked)
    for name, value in asked.items():
        if begun.get(name, value) != value:
            difference = f"{name} {begun[name]}, not {value}"
            raise UserError(f"--study: {task.study!r} was begun with {difference}; give another name")
    study.set_user_attr("settings", asked)
    return study


# The search


def trials_of(study, *states):
    """Returns the trials in some states, a list of optuna.trial.FrozenTrial."""
    return study.get_trials(deepcopy=False, states=states)


def search(study, task, stop):
    """Makes trials, the first with the defaults, until all processes together have finished enough."""
    finished = len(trials_of(study, *FINISHED))
    if finished >= task.trials:
        return
    defaults = {name: getattr(task.config, name) for name in task.space}
    if "adam_beta2" in defaults:
        defaults["1 - adam_beta2"] = 1 - defaults.pop("adam_beta2")
    not_lost = trials_of(study, *FINISHED, TrialState.RUNNING, TrialState.WAITING)
    if defaults not in [trial.system_attrs.get("fixed_params") for trial in not_lost]:
        study.enqueue_trial(defaults)
    with tqdm(total=task.trials, desc=task.study, unit=" trials", disable=None, dynamic_ncols=True) as bar:

        def after_trial(study, _):
            bar.update(len(trials_of(study, *FINISHED)) - bar.n)
            if stop.status:
                study.stop()

        enough = optuna.study.MaxTrialsCallback(task.trials, FINISHED)
        bar.update(finished)
        make = functools.partial(objective, task=task, stop=stop)
        study.optimize(make, callbacks=[after_trial, enough], gc_after_trial=True)


def compare(study, task, stop):
    """Trains the finalists with each fresh seed. Several processes at once each take a part that is still missing."""
    with process.show_step("comparing the best trials on fresh seeds"):
        while not stop.status:
            finalists, errors = finalists_of(study, task)
            missing = [each for each, error in errors.items() if error is None]
            if not missing:
                break
            name, seed = random.choice(missing)
            *_, error = errors_of_run(task, finalists[name], seed, stop)
            study.set_user_attr(f"{name}, seed {seed}", error)


def finalists_of(study, task):
    """Returns the finalists' settings by name, the best first, and their errors by name and fresh seed, or None."""
    finalists = {}
    for trial in sorted(trials_of(study, TrialState.COMPLETE), key=lambda trial: trial.value)[:FINALISTS]:
        chosen = trial.user_attrs["settings"]
        finalists[DEFAULTS if chosen == task.defaults else f"trial {trial.number}"] = chosen
    finalists.setdefault(DEFAULTS, task.defaults)
    known = study.user_attrs
    errors = {(name, seed): known.get(f"{name}, seed {seed}") for name in finalists for seed in task.fresh_seeds}
    return finalists, errors


# The result


def results(study, task):
    """Returns the best settings so far, or None, and the text printed at the end and after Ctrl-C."""
    complete, pruned, lost = (len(trials_of(study, state)) for state in (*FINISHED, TrialState.FAIL))
    lines = [f"study {task.study}: {complete} trials to the end, {pruned} pruned, {lost} lost"]
    if not complete:
        return None, lines[0]
    finalists, errors = finalists_of(study, task)
    ranking, table = list(finalists), []
    if errors and None not in errors.values():
        fresh = {name: [errors[name, seed] for seed in task.fresh_seeds] for name in finalists}
        ranking.sort(key=lambda name: np.log(fresh[name]).mean())
        table = ["", f"  {f'not exact, {len(task.fresh_seeds)} fresh seeds':<24} {'median':>10} {'worst':>10}"]
        table += [f"  {name:<24} {np.median(fresh[name]):>10.3%} {max(fresh[name]):>10.3%}" for name in ranking]
    best = finalists[ranking[0]]
    lines += ["", f"  {'':<24} {'best':>10} {'default':>10}"]
    lines += [f"  {name:<24} {written(best[name]):>10} {written(task.defaults[name]):>10}" for name in best]
    return best, "\n".join(lines + table)


def written(value):
    return value if isinstance(value, str) else f"{value:.4g}"


def save(study, task, chosen):
    """Saves the best settings, and pictures of the study beside them."""
    path = FOLDER / f"{task.study}.json"
    write_json(path, task.typed | chosen)
    files = [(settings.flag(name), getattr(task.config, name)) for name in DATA_FILES]
    data = "".join(f"{flag} {shlex.quote(str(file))} " for flag, file in files if file)
    data += f"--seed {task.config.seed} " * (task.config.seed != Settings.seed)  # it draws the sets
    text = f"settings in {path}, pictures beside it; use them: python seq2seq_copy.py {data}--settings {path}"
    print(f"\n{printable(text)}")
    draw(study, FOLDER / task.study)


def draw(study, stem):
    """Saves Optuna's pictures of a study as STEM-optimization_history.png and so on."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as plots

    for kind in ("optimization_history", "slice", "param_importances"):
        matplotlib.rcdefaults()  # the user's matplotlibrc may need LaTeX
        pyplot.rcParams["savefig.bbox"] = "tight"
        getattr(plots, f"plot_{kind}")(study, target_name="log10 of the share not exact")
        pictures.save(pyplot.gcf(), stem.with_name(f"{stem.name}-{kind}.png"))
        pyplot.close("all")


@contextlib.contextmanager
def clear_storage_errors(place):
    """Makes a UserError of one of the storage. Optuna raises another where a trial fails because of the storage."""
    try:
        yield
    except Exception as error:
        cause = error
        while cause is not None and not isinstance(cause, DATABASE_ERRORS):
            cause = cause.__context__
        raise storage_error(cause, place, 1) if cause else error from None


def main():
    """Carries out the command line; returns the exit status."""
    task, stop = read_task(), process.Stop()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # about experimental features, and too few trials for a picture
    threading.excepthook = lambda _: None  # for heartbeats: the next report raises the same error
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")  # a core for each process
    startup.prepare_training(task.config)
    check_writable(FOLDER / f"{task.study}.json")
    device.choose(task.config)
    with clear_storage_errors(task.storage):
        with process.stop_at_signal(stop):
            study = open_study(task)
            with contextlib.suppress(KeyboardInterrupt):  # raised by a trial
                search(study, task, stop)
                compare(study, task, stop)
        chosen, text = results(study, task)
    print(text)
    if chosen is not None:
        save(study, task, chosen)
    return stop.status


def run():
    """Carries out the command line and ends the process."""
    process.PROGRAM = PROGRAM
    process.run(main)


if __name__ == "__main__":
    run()
