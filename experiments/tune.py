"""Learns hyper-parameters, for the random sequences of the script or for the user's own pairs.

    python -m experiments.tune
    python -m experiments.tune --data alphabet.tsv --trials 50

Optuna searches for the settings that train a model best. Then the best trials and the script's own settings are
compared on fresh seeds. The result is printed, and saved as studies/NAME.json, which seq2seq_copy.py --settings reads.
Called again, the command continues where it stopped. Called several times at once, it shares the work.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import os
import random
import re
import shlex
import socket
import sys
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np
import optuna
import sqlalchemy
from optuna.trial import TrialState
from tqdm import tqdm

import helpers
from seq2seq_copy import PLAIN, Trainer, evaluate, run_in_session, scheduled_learning_rate
from support import settings
from support.data import pairs
from support.errors import UserError, reason
from support.model import variants
from support.outside import printable
from support.pictures import pictures
from support.run.whole_files import check_writable, write_json
from support.settings import Settings
from support.tensorflow import compiled, device, startup
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import command, process
from support.terminal.flags import OneLineErrorParser, add_settings, flag_type
from support.values import whole_number

PROGRAM = "tune"
FOLDER = Path("studies")
LARGEST_BATCH = 200
SPACE = {
    "learning_rate": lambda trial: trial.suggest_float("learning_rate", 0.003, 0.1, log=True),
    "adam_beta2": lambda trial: 1 - trial.suggest_float("1 - adam_beta2", 0.001, 0.3, log=True),
    "clip_norm": lambda trial: trial.suggest_float("clip_norm", 0.03, 30, log=True),
    "warm_up": lambda trial: trial.suggest_float("warm_up", 0, 0.2),
    "batch_size": lambda trial: trial.suggest_categorical("batch_size", (50, 100, LARGEST_BATCH)),
}
MAY_CHANGE = (*settings.DATA_FILES, "symbols", "until", "samples", "plot", "batches_in_epoch")  # from call to call
FIRST_SEED, FIRST_FRESH_SEED = 1000, 2000  # the reports of this project use seeds 0 to 9
MOST_VALIDATION = 50_000  # sequences; many, because few of them are wrong
VALIDATION_SHARE = 1 / 6  # at most this share of the sequences trained on
FINALISTS = 3  # the best trials, to be trained again on fresh seeds
SCRIPT = "the script"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
HEARTBEAT = 10  # seconds; a database takes a trial for lost after three without one
PATIENCE = 10  # seconds to wait for a server
DATABASE_ERRORS = (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError)
OTHER_MAKES_TABLES = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError)
LINE = b'{"op_code":'  # how each line of a journal begins


class Task(NamedTuple):
    """What the command line asks for."""

    config: Settings  # of a run that is not tuned
    user_pairs: pairs.Pairs | None
    typed: dict  # settings that were typed, so they are not searched
    names: list  # of the settings to search
    study: str
    storage: str  # as for open_storage()
    trials: int
    seeds: range
    fresh_seeds: range

    @property
    def script(self):
        """The script's own values of the settings that are searched."""
        return self.with_batches({name: getattr(self.config, name) for name in self.names})

    def with_batches(self, chosen):
        """Adds to the settings of a trial the number of batches that makes all trials train on as many sequences."""
        if "batch_size" not in chosen:
            return chosen
        sequences = self.config.batch_size * self.config.max_batches
        return chosen | {"max_batches": max(1, round(sequences / chosen["batch_size"]))}


class Parser(OneLineErrorParser):
    """Its errors show no URL, which may hold a password."""

    def error(self, message):
        super().error(re.sub(r"://\S+", "://...", message))


def flag_parser():
    """Returns the parser of the command line."""
    parser = Parser(
        prog=PROGRAM,
        description="Searches the hyper-parameters that train a model best. What is typed is not searched.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add_settings(parser, without=("report", "until"))
    group = parser.add_argument_group("tuning")
    for name, default, least, most, text in (
        ("--trials", 300, 1, 1_000_000, "how many trials to finish in all"),
        ("--seeds", 3, 1, 100, "seeds that each trial trains with"),
        ("--fresh-seeds", 10, 0, 100, "seeds that the best trials are compared on at the end; 0: leave it out"),
    ):
        kind = flag_type(whole_number(least, most))
        group.add_argument(name, type=kind, default=default, metavar="N", help=f"{text} (default: {default})")
    text = "name of the study (default: that of the file or of the task)"
    group.add_argument("--study", default=None, metavar="NAME", help=text)
    journal = str(FOLDER / "journal")
    text = "where trials are kept: a file, or a database like postgresql+psycopg://USER@HOST/DATABASE"
    group.add_argument("--storage", default=journal, metavar="PLACE", help=f"{text} (default: {journal})")
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
        typed = {key: value for key, value in given.items() if key not in ("seed", *settings.DATA_FILES)}
        names = [key for key in SPACE if key not in typed]
        name = name or (run.config.data.stem if run.pairs else run.config.task)
        task = Task(run.config, run.pairs, typed, names, name, place, trials, *seeds)
        settings.check(replace(run.config, batch_size=given.get("batch_size", LARGEST_BATCH)))
        if run.pairs and np.unique(run.pairs.input_hashes).size < 3:
            raise UserError(f"--data: {str(run.config.data)!r} holds fewer than 3 different inputs")
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise UserError(f"--study: {name!r} is not a name of letters, digits, dots and dashes")
    except UserError as error:
        parser.error(str(error))
    return task


def open_trainer(config):
    """Builds a trainer for many settings.

    Compiling a step takes as long as training with it. So one trainer serves all trials with the same batch size.

    Returns:
      The seq2seq_copy.Trainer, and restart(), which sets every variable to its value before the first step of a run.
      It takes the settings.Settings of the run, with the sizes of this trainer, and its initial weights, a list of
      float32 arrays.
    """
    if config.xla == "on":
        with variants.warning_if_not_compiled(), startup.silent_compilation():
            return build_trainer(config, compiled.run_compiled)
    return build_trainer(config, run_in_session)


def build_trainer(config, runner):
    """Does the same as open_trainer(); runner as for seq2seq_copy.Trainer. The step reads two settings from variables.

    Raises:
      tf.errors.OpError: XLA does not compile the step.
    """
    model = variants.open_model(config)
    settings_of_step = {name: tf.get_variable(name, [], trainable=False) for name in ("adam_beta2", "clip_norm")}
    model.session.run(tf.variables_initializer(settings_of_step.values()))  # Adam's state starts from them

    def run(step, model):
        return runner(functools.partial(step, config=replace(config, **settings_of_step)), model)

    trainer = Trainer(model, variants.replace_parts(PLAIN, config, training=True), run)
    list(trainer.run([]))  # compiles
    loaded = [*settings_of_step.values(), *tf.trainable_variables()]
    reset_others = tf.variables_initializer([variable for variable in tf.global_variables() if variable not in loaded])

    def restart(config, initial_weights):
        values = [*(getattr(config, name) for name in settings_of_step), *initial_weights]
        for variable, value in zip(loaded, values):
            variable.load(value, model.session)
        model.session.run(reset_others)

    return trainer, restart


class Objective:
    """log10 of the share of validation sequences that are not exact, averaged over seeds. Lower is better.

    The logarithm, because halving the errors should count the same from 1 % as from 0.1 %.
    """

    def __init__(self, task, stop):
        """task: a Task. stop: the process.Stop that ends a trial between two steps, by KeyboardInterrupt."""
        self.task, self.stop = task, stop
        self.trainer, self.weights = functools.cache(self.trainer), functools.cache(self.weights)
        self.validation = functools.cache(self.validation)

    def __call__(self, trial):
        trial.set_user_attr("process", f"{socket.gethostname()} {os.getpid()}")
        chosen = self.task.with_batches({name: SPACE[name](trial) for name in self.task.names})
        trial.set_user_attr("settings", chosen)
        errors = []
        for seed in self.task.seeds:
            if errors and trial.should_prune():
                raise optuna.TrialPruned
            errors.append(self.error(chosen, seed))
            trial.report(np.log10(errors).mean(), len(errors))
        trial.set_user_attr("errors", errors)
        return np.log10(errors).mean()

    def error(self, chosen, seed):
        """Trains once; returns the share of validation sequences that are not exact, at least half a sequence."""
        config = replace(self.task.config, **chosen)
        (trainer, restart), (validation, user_pairs) = self.trainer(config.batch_size), self.validation(seed)
        restart(config, self.weights(seed))
        batches = enumerate(itertools.islice(self.batches(config, seed, user_pairs), config.max_batches))
        feeds = (trainer.model.feed(batch, scheduled_learning_rate(step, config)) for step, batch in batches)
        for loss, _ in trainer.run(feeds):
            if self.stop.status:
                raise KeyboardInterrupt
            if not np.isfinite(loss):
                return 1.0
        exact, _ = evaluate(trainer.model, validation)
        return float(max(0.5, (~exact).sum()) / exact.size)

    def trainer(self, batch_size):
        """Does the same as open_trainer(), for batches of a size."""
        return open_trainer(replace(self.task.config, **self.task.with_batches({"batch_size": batch_size})))

    def weights(self, seed):
        """Returns the initial weights of a run with that seed, a list of float32 arrays."""
        with variants.open_model(replace(self.task.config, seed=seed)).session as session:
            return session.run(tf.trainable_variables())

    def batches(self, config, seed, user_pairs):
        """Returns endless training batches; user_pairs: the pairs.Pairs to draw them from, or None."""
        generator, _ = helpers.generators(seed)
        if user_pairs is None:
            return helpers.task_batches(config, config.batch_size, generator)
        return pairs.training_batches(user_pairs, config, generator)

    def validation(self, seed):
        """Returns the validation sequences of a seed, a helpers.Batch, and the pairs.Pairs to train on, if any.

        Neither includes pairs that a run with the task's own seed holds out.
        """
        config, user_pairs = self.task.config, self.task.user_pairs
        generator = np.random.default_rng([seed, 1])  # 1: not the stream of a run
        most = min(MOST_VALIDATION, max(1, int(VALIDATION_SHARE * config.batch_size * config.max_batches)))
        if user_pairs is None:
            return next(helpers.task_batches(config, most, generator)), None
        usable = user_pairs.training_lines
        training, validation = pairs.split(user_pairs.input_hashes[usable], most, generator)
        return pairs.batch(user_pairs, usable[validation]), user_pairs._replace(training_lines=usable[training])


class Journal(optuna.storages.journal.JournalFileBackend):
    """Optuna's journal: a file with a line for each change.

    Its lock comes from the system, which releases it if the process is killed. A kill or a full disk may tear the last
    line, which is cut off before the next one is written.
    """

    def __init__(self, path):
        """path: absolute pathlib.Path of the file, which is made if it does not exist."""
        self.path, self.lock = path, filelock.FileLock(f"{path}.flock")
        super().__init__(str(path), self.lock)

    def append_logs(self, logs):
        try:
            with self.lock:
                self.mend()
                super().append_logs(logs)
        except OSError as error:
            raise UserError(f"--storage: cannot write {str(self.path)!r}: {error.strerror}", 1) from None

    def mend(self):
        """Cuts off what follows the last whole line."""
        with open(self.path, "rb+") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            if file.read() not in (b"", b"\n"):
                file.seek(0)
                whole, newline, torn = file.read().rpartition(b"\n")
                if not LINE.startswith(torn[: len(LINE)]):
                    raise UserError(f"--storage: {str(self.path)!r} is not a journal of Optuna")
                file.truncate(len(whole + newline))
                tqdm.write(f"{PROGRAM}: cut off the torn last line of {str(self.path)!r}", file=sys.stderr)


def open_storage(place):
    """Opens a database by its URL, or a journal by its path; returns an optuna.storages.BaseStorage.

    Raises:
      UserError: it cannot be used. The message holds no password.
    """
    if "://" in place:
        return open_database(place)
    path = Path(place).absolute()
    try:
        check_writable(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.JournalStorage(Journal(path))
    except OSError as error:
        raise UserError(f"--storage: cannot use {place!r}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError):
        raise UserError(f"--storage: {place!r} is not a journal of Optuna, or damaged; give another file") from None


def open_database(place):
    """Does the same as open_storage(), for a database."""
    try:
        url = sqlalchemy.make_url(place)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        url = None
    if url is None or "@" in (url.host or ""):  # part of a password that is not quoted
        raise UserError("--storage: not a URL like postgresql+psycopg://USER@HOST/DATABASE")
    options = {"connect_timeout": PATIENCE} if url.get_backend_name() == "postgresql" else {}
    options = {"connect_args": options, "pool_pre_ping": True}
    for is_last in (False, False, True):
        try:
            return optuna.storages.RDBStorage(place, options, heartbeat_interval=HEARTBEAT, grace_period=3 * HEARTBEAT)
        except (*DATABASE_ERRORS, ImportError, ValueError, RuntimeError) as error:
            if is_last or not isinstance(error, OTHER_MAKES_TABLES):
                raise database_error(error, place, 2) from None
        time.sleep(1)


def database_error(error, place, status):
    """Returns the UserError for an error of a database, without the passwords of its URL."""
    url, cause = sqlalchemy.make_url(place), error.__cause__ or error
    message = reason(getattr(cause, "orig", None) or cause)
    for secret in (url.password, *(value for name, value in url.query.items() if "pass" in name)):
        message = message.replace(str(secret or "***"), "***")
    return UserError(f"--storage: cannot use the database: {message}", status)


def open_study(task):
    """Returns the optuna.Study of a Task, new or as it was left. Raises UserError if it cannot be."""
    study = optuna.create_study(study_name=task.study, storage=open_storage(task.storage), load_if_exists=True)
    fixed = {name: value for name, value in task.config.to_json().items() if name not in (*task.names, *MAY_CHANGE)}
    asked = fixed | {"searched": task.names, "seeds": len(task.seeds)}
    begun = study.user_attrs.get("settings", asked)
    for name, value in asked.items():
        if begun.get(name, value) != value:
            difference = f"{name} {begun[name]}, not {value}"
            raise UserError(f"--study: {task.study!r} was begun with {difference}; give another name")
    study.set_user_attr("settings", asked)
    return study


def trials_of(study, *states):
    """Returns the trials in some states, a list of optuna.trial.FrozenTrial."""
    return study.get_trials(deepcopy=False, states=states)


def fail_lost_trials(study):
    """Marks trials as failed if their processes on this machine are gone.

    A database does the same when the heartbeat of a trial has stopped, also for other machines.
    """
    for trial in trials_of(study, TrialState.RUNNING):
        host, _, number = trial.user_attrs.get("process", "").rpartition(" ")
        if host == socket.gethostname() and not is_running(int(number)):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)  # another process may be first


def is_running(number):
    """Returns whether another process has this number."""
    try:
        return number != os.getpid() and (os.name == "nt" or os.kill(number, 0) is None)  # on Windows, 0 is Ctrl-C
    except OSError as error:
        return isinstance(error, PermissionError)


def search(study, task, objective, stop):
    """Makes trials until all processes together have finished enough."""
    fail_lost_trials(study)
    params = task.script | {"1 - adam_beta2": 1 - task.config.adam_beta2}
    not_lost = trials_of(study, *FINISHED, TrialState.RUNNING, TrialState.WAITING)
    if params not in [trial.system_attrs.get("fixed_params") for trial in not_lost]:
        study.enqueue_trial(params)
    with tqdm(total=task.trials, desc=task.study, unit=" trials", disable=None, dynamic_ncols=True) as bar:
        while not stop.status and (finished := len(trials_of(study, *FINISHED))) < task.trials:
            bar.n = finished
            bar.refresh()
            study.optimize(objective, n_trials=1)


def compare(study, task, objective, stop):
    """Trains the finalists with each fresh seed. Several processes at once each take a part that is still missing."""
    with process.show_step("comparing the best trials on fresh seeds"):
        while not stop.status:
            finalists, errors = finalists_of(study, task)
            missing = [each for each, error in errors.items() if error is None]
            if not missing:
                break
            name, seed = random.choice(missing)
            study.set_user_attr(f"{name}, seed {seed}", objective.error(finalists[name], seed))


def finalists_of(study, task):
    """Returns the finalists' settings by name, the best first, and their errors by name and fresh seed, or None."""
    finalists = {}
    for trial in sorted(trials_of(study, TrialState.COMPLETE), key=lambda trial: trial.value)[:FINALISTS]:
        chosen = trial.user_attrs["settings"]
        finalists[SCRIPT if chosen == task.script else f"trial {trial.number}"] = chosen
    finalists.setdefault(SCRIPT, task.script)
    known = study.user_attrs
    errors = {(name, seed): known.get(f"{name}, seed {seed}") for name in finalists for seed in task.fresh_seeds}
    return finalists, errors


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
    lines += ["", f"  {'':<24} {'best':>10} {'script':>10}"]
    lines += [f"  {name:<24} {best[name]:>10.4g} {task.script[name]:>10.4g}" for name in best]
    return best, "\n".join(lines + table)


def save(study, task, chosen):
    """Saves the best settings, and pictures of the study beside them."""
    path = FOLDER / f"{task.study}.json"
    write_json(path, task.typed | chosen)
    data = f"--data {shlex.quote(str(task.config.data))} " if task.user_pairs else ""
    text = f"settings in {path}, pictures beside it; use them: python seq2seq_copy.py {data}--settings {path}"
    print(f"\n{printable(text)}")
    draw(study, FOLDER / task.study)


def draw(study, stem):
    """Saves Optuna's pictures of a study as STEM-history.png, STEM-slices.png and STEM-importance.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as plots

    for kind, plot in (
        ("history", plots.plot_optimization_history),
        ("slices", plots.plot_slice),
        ("importance", plots.plot_param_importances),
    ):
        matplotlib.rcdefaults()  # the user's matplotlibrc may need LaTeX
        pyplot.rcParams["savefig.bbox"] = "tight"
        plot(study, target_name="log10 of the share not exact")
        pictures.save(pyplot.gcf(), stem.with_name(f"{stem.name}-{kind}.png"))
        pyplot.close("all")


def behind(error, task):
    """Returns the UserError behind an error. Optuna raises another one where a trial fails because of the storage."""
    cause = error
    while cause is not None and not isinstance(cause, (UserError, *DATABASE_ERRORS)):
        cause = cause.__context__
    return database_error(cause, task.storage, 1) if isinstance(cause, DATABASE_ERRORS) else cause or error


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
    try:
        with process.stop_at_signal(stop):
            study, objective = open_study(task), Objective(task, stop)
            with contextlib.suppress(KeyboardInterrupt):  # raised by the objective
                search(study, task, objective, stop)
                compare(study, task, objective, stop)
        chosen, text = results(study, task)
    except Exception as error:
        raise behind(error, task) from None
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
