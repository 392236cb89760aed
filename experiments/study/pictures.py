"""Three pictures of a study: its history, the importance of each parameter, and slices."""

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from optuna.trial import TrialState

from experiments.study import results, space
from support.terminal import pictures

COLUMNS = 4  # of slices
ERROR_AXIS = "validation sequences not exact [%]"
PRUNED, COMPLETE, BEST = "silver", "tab:blue", "tab:red"


def save_all(study, stem):
    """Saves the pictures of an optuna.Study as STEM-history.png, STEM-importance.png and STEM-slices.png."""
    for kind, draw in (("history", history), ("importance", importance), ("slices", slices)):
        figure = draw(study)
        if figure is not None:
            pictures.save(figure, stem.with_name(f"{stem.name}-{kind}.png"))


def percent(value):
    """Returns the errors in percent of a value of the objective, which is a logarithm."""
    return 100 * 10 ** np.asarray(value, float)


def tried(study):
    """Returns the trials that were pruned after their first seed or later, and those that came to their end."""
    trials = study.get_trials(deepcopy=False)
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED and len(trial.intermediate_values) > 1]
    return pruned, [trial for trial in trials if trial.state == TrialState.COMPLETE]


def last_value(trial):
    """Returns the value of a trial, or if it was pruned the last one at the end of a seed."""
    if trial.state == TrialState.COMPLETE:
        return trial.value
    return [value for step, value in sorted(trial.intermediate_values.items()) if step % 2][-1]


def history(study):
    """Draws the errors of each trial, and of the best one so far."""
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    pruned, complete = tried(study)
    for trials, color, label in ((pruned, PRUNED, "pruned"), (complete, COMPLETE, "to the end")):
        numbers, values = [trial.number for trial in trials], [last_value(trial) for trial in trials]
        axes.plot(numbers, percent(values), ".", color=color, label=label)
    numbers, values = zip(*((trial.number, trial.value) for trial in complete))
    best = percent(np.minimum.accumulate(values))
    end = len(study.get_trials(deepcopy=False))
    axes.step([*numbers, end], [*best, best[-1]], where="post", color=BEST, label="best")
    axes.set_yscale("log")
    axes.set_xlabel("trial")
    axes.set_ylabel(ERROR_AXIS)
    axes.set_title(f"Study {study.study_name}: geometric mean of the seeds")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def importance(study):
    """Draws the importance of each parameter; returns None for too few trials."""
    importance_of = results.importances(study)
    if not importance_of:
        return None
    figure = Figure(figsize=(7, 1.2 + 0.3 * len(importance_of)), dpi=120, layout="constrained")
    axes = figure.subplots()
    names = list(reversed(importance_of))
    bars = axes.barh(names, [importance_of[name] for name in names], color=COMPLETE)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.margins(x=0.1)
    axes.set_xlabel("importance (PED-ANOVA)")
    axes.set_title(f"Study {study.study_name}: what makes a trial one of the best tenth")
    return figure


def slices(study):
    """Draws the errors over each parameter."""
    pruned, complete = tried(study)
    names = [name for name in space.NAMES if name in complete[0].params]
    rows = math.ceil(len(names) / COLUMNS)
    figure = Figure(figsize=(3 * COLUMNS, 0.6 + 2.4 * rows), dpi=120, layout="constrained")
    all_axes = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False).flat
    best = results.complete(study)[0]
    for name, axes in zip(names, all_axes):
        for trials, color in ((pruned, PRUNED), (complete, COMPLETE), ([best], BEST)):
            values = [last_value(trial) for trial in trials]
            axes.plot([trial.params[name] for trial in trials], percent(values), ".", color=color)
        if name == "batch_size":
            axes.set_xticks(space.BATCH_SIZES)
        elif space.SPACE[name].log:
            low, high = space.SPACE[name].low, space.SPACE[name].high
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high < 200 * low else (1,)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yscale("log")
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
    for axes in list(all_axes):
        axes.set_axis_off()
    figure.supylabel(ERROR_AXIS)
    figure.suptitle(f"Study {study.study_name}: pruned trials (grey), to the end (blue), the best (red)")
    return figure
