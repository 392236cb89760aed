"""What a study has found."""

from __future__ import annotations

import numpy as np
import optuna
from optuna.trial import TrialState

from experiments.study import space

FINALISTS = 3  # the best trials of the search, which are trained again on fresh seeds
END_OF_FIRST_SEED = 1  # the step at which an objective.Objective reports it
FEWEST_TRIALS = 10  # from which the importance of parameters is guessed


def complete(study):
    """Returns the trials of a study that were not pruned, the best first."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(trials, key=lambda trial: trial.value)


def script_params(request):
    """Returns the parameters of a trial that trains like the script."""
    defaults = space.defaults(request.config)
    return {name: defaults[name] for name in request.names}


def enqueue(study, many_params):
    """Lets a study make trials with these parameters, except those that it has made, makes or will make."""
    states = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING)
    for params in many_params:
        trials = study.get_trials(deepcopy=False, states=states)
        if params not in [trial.system_attrs.get("fixed_params", trial.params) for trial in trials]:
            study.enqueue_trial(params)


def importances(study):
    """Returns how much each parameter decides whether a trial is among the best tenth after its first seed.

    All trials that came so far take part, also those that were pruned afterwards. By PED-ANOVA: Watanabe et al.,
    "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary subspaces", 2023.

    Returns:
      dict of shares by the name of the parameter, the largest first; empty for too few trials.
    """
    compared = optuna.create_study()
    for trial in study.get_trials(deepcopy=False):
        if trial.params and END_OF_FIRST_SEED in trial.intermediate_values:
            value = trial.intermediate_values[END_OF_FIRST_SEED]
            compared.add_trial(optuna.create_trial(params=trial.params, distributions=trial.distributions, value=value))
    if len(compared.trials) < FEWEST_TRIALS:
        return {}
    return optuna.importance.get_param_importances(compared)


def learned(trial, request):
    """Returns the settings of the script that a trial and the user have chosen, by name."""
    chosen = space.suggest(optuna.trial.FixedTrial(trial.params), request.config, request.names)
    settings = {space.field_of(name): chosen[space.field_of(name)] for name in request.names}
    if "batch_size" in settings:
        settings["max_batches"] = space.with_batch_size(request.config, settings["batch_size"]).max_batches
    return request.typed | {name: value for name, value in settings.items() if name in space.SCRIPT}


def best(search, finals):
    """Returns the best trial that is known: of the finals if there is one, else of the search, else None."""
    return next(iter([*complete(finals), *complete(search)]), None)


def text(request, search, finals):
    """Returns what is printed at the end, or when Ctrl-C ends a study."""
    counts = {state: len(search.get_trials(deepcopy=False, states=(state,))) for state in TrialState}
    lines = [
        f"study {request.study}: {counts[TrialState.COMPLETE]} trials to the end, {counts[TrialState.PRUNED]} pruned, "
        f"{counts[TrialState.FAIL]} lost"
    ]
    importance_of = importances(search)
    trial, script = best(search, finals), script_params(request)
    if trial is not None:
        lines += ["", f"  {'':<18} {'best':>10} {'script':>10}  importance"]
        for name in sorted(request.names, key=importance_of.get, reverse=True) if importance_of else request.names:
            importance = f"{importance_of[name]:.2f}" if importance_of else "-"
            lines.append(f"  {name:<18} {trial.params[name]:>10.3g} {script[name]:>10.3g}  {importance:>10}")
        unknown = [name for name in request.names if space.field_of(name) not in space.SCRIPT]
        if unknown:
            lines += ["", f"the script has no setting for {', '.join(unknown)}"]
    if complete(finals):
        lines += ["", f"  not exact, {len(request.fresh_seeds)} fresh seeds     median      worst"]
        for finalist in complete(finals):
            title = "the script" if finalist.params == script else f"trial {number_of(finalist, search)}"
            errors = finalist.user_attrs["errors"]
            lines.append(f"  {title:<24} {np.median(errors):>10.3%} {max(errors):>10.3%}")
    return "\n".join(lines)


def number_of(finalist, search):
    """Returns the number that a trial of the finals has in the search."""
    return next(trial.number for trial in search.get_trials(deepcopy=False) if trial.params == finalist.params)
