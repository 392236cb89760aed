"""What a study searches, in which range, and how that becomes settings of the script."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import NamedTuple

from support.terminal.settings import Config

BATCH_SIZES = (50, 100, 200)
SCRIPT = {entry.name for entry in fields(Config)}


class Range(NamedTuple):
    """The numbers that a study tries for a parameter."""

    low: float
    high: float
    log: bool = True
    default: float | None = None  # what the script does; None if Config has a field of that name

    def suggest(self, trial, name):
        """Lets a trial choose a number, with three digits: the one that the result will name."""
        return float(f"{trial.suggest_float(name, self.low, self.high, log=self.log):.3g}")


# Close to 1 only the distance from it counts, so it is the distance that is searched: 1 - adam_beta1. A share is one of
# the batches of a run.
SPACE = {
    "learning_rate": Range(0.003, 0.1),
    "1 - adam_beta1": Range(0.02, 0.7, default=0.1),
    "1 - adam_beta2": Range(0.001, 0.3),
    "adam_epsilon": Range(1e-10, 1e-3, default=1e-8),
    "clip_norm": Range(0.03, 30),
    "warm_up": Range(0, 0.2, log=False),  # share
    "decay_start": Range(0, 0.8, log=False, default=0),  # share
    "decay_power": Range(0.5, 3, default=1),
    "averaging": Range(1e-4, 0.1, default=1e-4),  # share; the lowest is less than one batch of 3,001
    "embedding_scale": Range(0.1, 3, default=1),
    "output_scale": Range(0.1, 3, default=1),
    "kernel_scale": Range(0.3, 3, default=1),
    "forget_bias": Range(0, 8, log=False, default=4),
}
NAMES = (*SPACE, "batch_size")


def field_of(name):
    """Returns the name of the setting that a parameter sets."""
    return name.removeprefix("1 - ")


def mirrored(name, value):
    """Returns the value of the setting for that of the parameter, and the other way round."""
    return value if field_of(name) == name else round(1 - value, 10)


def searched_names(typed, wide):
    """Returns the names of the parameters that a study searches.

    Args:
      typed: the names of the settings that the user fixed.
      wide: bool, whether to search what the script has no setting for, too.
    """
    return [name for name in NAMES if field_of(name) not in typed and (wide or field_of(name) in SCRIPT)]


def defaults(config):
    """Returns what a run of the script with these settings does, a value by the name of each parameter."""
    values = {
        name: mirrored(name, getattr(config, field_of(name))) if entry.default is None else entry.default
        for name, entry in SPACE.items()
    }
    return values | {"batch_size": config.batch_size}


def suggest(trial, config, names):
    """Returns what a trial trains with: a value for each setting that a parameter sets.

    Args:
      trial: an optuna.Trial.
      config: the settings.Config of a run that is not tuned.
      names: of the parameters that are searched.
    """
    values = defaults(config)
    for name in names:
        in_range = name in SPACE
        values[name] = SPACE[name].suggest(trial, name) if in_range else trial.suggest_categorical(name, BATCH_SIZES)
    return {field_of(name): mirrored(name, value) for name, value in values.items()}


def with_batch_size(config, batch_size):
    """Returns a Config for batches of another size, and for as many sequences in all as before."""
    sequences = config.max_batches * config.batch_size
    return replace(config, batch_size=batch_size, max_batches=max(1, round(sequences / batch_size)))
