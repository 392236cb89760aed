"""The processes that make trials, and the one that waits for them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import warnings
from typing import NamedTuple

import optuna
from optuna.trial import TrialState
from tqdm import tqdm

from experiments.study import storage
from experiments.study.objective import Objective
from support.terminal import process

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
POLL = 0.5  # seconds
STARTUP_TRIALS = 10  # that all others are measured against; none of them is pruned


class Stage(NamedTuple):
    """A part of a study that is an Optuna study of its own: the search, or the finals."""

    name: str
    seeds: range
    trials: int | None  # how many to finish; None for those that wait


class BySeed(optuna.pruners.BasePruner):
    """Ends a trial that is worse than most, after each of its seeds; half-way through a seed only if it is hopeless.

    What is best half-way need not be best at the end, when the learning rate has fallen.
    """

    def __init__(self):
        self.hopeless = optuna.pruners.PercentilePruner(85, n_startup_trials=STARTUP_TRIALS)
        self.worse = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)

    def prune(self, study, trial):
        return (self.worse if trial.last_step % 2 else self.hopeless).prune(study, trial)


def open_stage(stage, store):
    """Returns the optuna.Study of a Stage, new or as it was left."""
    is_search = stage.trials is not None
    return optuna.create_study(
        study_name=stage.name,
        storage=store,
        load_if_exists=True,
        # Several processes guess at once: a running trial counts as a bad one, so that they do not guess the same.
        sampler=optuna.samplers.TPESampler(multivariate=True, constant_liar=True, n_startup_trials=25),
        pruner=BySeed() if is_search else optuna.pruners.NopPruner(),
    )


def is_over(study, stage):
    """Returns whether no further trial of a Stage should begin."""
    if stage.trials is None:
        return not study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return len(study.get_trials(deepcopy=False, states=FINISHED)) >= stage.trials


def work(place, stage, task):
    """Makes trials until a Stage is over. This is the whole life of a worker.

    Args:
      place: as for storage.open_storage().
      stage: a Stage.
      task: the arguments of Objective, without its seeds.
    """
    quiet()
    process.show_warnings()
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")  # a core for each worker
    parent = os.getppid()
    try:
        with process.stop_at_signal() as stops:
            study = open_stage(stage, storage.open_storage(place))
            objective = Objective(*task(), stage.seeds, stops)

            def named(trial):
                trial.set_user_attr("worker", storage.worker_name())
                return objective(trial)

            while os.getppid() == parent and not stops and not is_over(study, stage):
                study.optimize(named, n_trials=1)
    except KeyboardInterrupt:  # by the objective
        pass
    except Exception as error:
        _, message = process.explain(error)
        sys.exit(f"study: a worker has ended: {message}")


def run(place, stage, task, workers):
    """Runs a Stage in processes of its own, with a progress bar on a terminal.

    Args:
      workers: int, how many. Arguments before: as for work().

    Returns:
      The exit status for the signal that ended it, or None.

    Raises:
      SystemExit: status 1 if all workers have ended before the stage was over.
    """
    study = open_stage(stage, storage.open_storage(place))
    storage.fail_lost_trials(study)
    if is_over(study, stage):
        return None
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(place, stage, task), daemon=True) for _ in range(workers)]
    with ignored_by_children():
        for worker in processes:
            worker.start()
    with process.stop_at_signal() as signals, progress_bar(study, stage) as bar:
        while any(worker.is_alive() for worker in processes) and not signals:
            time.sleep(POLL)
            show(bar, study)
            for worker in [worker for worker in processes if worker.exitcode]:
                bar.write(f"study: a worker has ended with status {worker.exitcode}", file=sys.stderr)
                processes.remove(worker)
                storage.fail_lost_trials(study)
        for worker in processes:
            if signals:
                worker.terminate()
            worker.join()
    storage.fail_lost_trials(study)
    if not signals and not is_over(study, stage):
        sys.exit("study: all workers have ended")
    return signals[0] if signals else None


def quiet():
    """Keeps Optuna's log, and its warnings that a feature is experimental, off the terminal."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


@contextlib.contextmanager
def ignored_by_children():
    """Lets the processes that are started meanwhile ignore Ctrl-C, which the terminal sends to them too."""
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, earlier)


def progress_bar(study, stage):
    total = stage.trials or len(study.get_trials(deepcopy=False, states=(TrialState.WAITING, *FINISHED)))
    return tqdm(total=total, desc=stage.name, unit=" trials", disable=None, dynamic_ncols=True)


def show(bar, study):
    """Brings a progress bar up to date."""
    trials = study.get_trials(deepcopy=False, states=FINISHED)
    values = [trial.value for trial in trials if trial.state == TrialState.COMPLETE]
    if values:
        bar.set_postfix_str(f"best: {10 ** min(values):.3%} not exact", refresh=False)
    bar.n = min(len(trials), bar.total)
    bar.refresh()
