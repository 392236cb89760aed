"""What the workers of a cluster make sure of before anything is written: that all of them do the same."""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path

import numpy as np

from support.data import pairs
from support.run import folder
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import settings
from support.terminal.command import pairs_of_run

FOLDER = Path(__file__).parents[2]


def reach(workers, command):
    """Makes sure that all workers do the same, before anything is written.

    Returns:
      The Command of this worker, with the settings of the run.

    Raises:
      RunError: a worker has other settings, data, or versions than worker 0. All workers raise the same.
    """
    mine = {
        "TensorFlow": tf.__version__,
        "NumPy": np.__version__,
        "this program": digest_of_program(),
        "--resume": command.resume,
        "settings": command.config and folder.plain(dataclasses.asdict(command.config)),
        "typed": folder.plain(command.given),
    }
    first, *others = map(json.loads, workers.exchange(json.dumps(mine).encode()))
    for worker, other in enumerate(others, start=1):
        differing = next(differences(first, other), None)
        if differing:
            workers.part()
            raise folder.RunError(f"TF_CONFIG: worker {worker} has {differing}")
    if not first["--resume"]:
        return command

    problem = ""
    try:
        if workers.index > 0:
            command = complete(command, first["settings"])
    except (folder.RunError, pairs.PairsError, ValueError) as error:
        problem = str(error)
    for worker, other in enumerate(workers.exchange(problem.encode())):
        if other:
            workers.part()
            raise folder.RunError(f"--resume: worker {worker}: {other.decode()}")
    return command


def differences(first, other):
    """Yields in words what a worker has that is not the same as on worker 0."""
    for name in ("TensorFlow", "NumPy", "this program"):
        if other[name] != first[name]:
            yield f"{name} {other[name]}, and worker 0 has {first[name]}"
    if other["--resume"] and not first["--resume"]:
        yield "--resume, and worker 0 has not"
        return
    values, expected = other["typed" if first["--resume"] else "settings"], first["settings"]
    if values.get("sha256", expected["sha256"]) != expected["sha256"]:
        yield "another file as --data than worker 0"
    for name in settings.Config().fixed:
        label = settings.flag(name)
        if name in values and values[name] != expected[name]:
            yield f"{label} {values[name]}, and worker 0 has {label} {expected[name]}"


def complete(command, values):
    """Gives the Command of another worker the settings of the run that worker 0 resumes, as JSON holds them.

    Raises:
      ValueError: they are not the settings of a run, or the data is not that of the run.
      PairsError: the data cannot be read.
    """
    config = settings.from_json(values)
    data = command.given.get("data", config.data)
    return command._replace(config=config, pairs=None if data is None else pairs_of_run(data, config))


@functools.cache
def digest_of_program():
    """Returns what tells apart two versions of this project."""
    digest = hashlib.sha256()
    for path in sorted([*FOLDER.glob("*.py"), *FOLDER.glob("support/**/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
