"""A run that several workers train (docs/scaling.md).

Worker 0 does the same as when it trains alone: it prints, evaluates and saves the run. The others only train.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import logging
import os
from pathlib import Path

import numpy as np

from seq2seq_copy import train
from support import settings, values
from support.cluster import collective, tf_config
from support.cluster.steps import Stop, check_variables, open_trainer, share_variables
from support.data import pairs
from support.errors import UserError
from support.run.history import History
from support.run.run_folder import RunFolder
from support.tensorflow import startup
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import command, process, report, training

ROOT = Path(__file__).parents[2]
TIMEOUT = 120.0  # seconds


def run():
    """Carries out the command line if TF_CONFIG is set. Returns the exit status, or None if it asks for no training."""
    parser, positive = command.flag_parser(), values.positive_number
    text = f"how long a worker waits for the others, at the start and in each step (default: {TIMEOUT:g})"
    parser.add_argument_group("cluster").add_argument("--cluster-timeout", type=positive, metavar="SECONDS", help=text)
    typed = parser.parse()
    if typed.keys() & {"predict", "predict_file", "export"}:
        return None
    timeout = typed.pop("cluster_timeout", None)
    try:
        if timeout and not os.environ["TF_CONFIG"]:
            raise UserError("--cluster-timeout needs TF_CONFIG")
        addresses, index = tf_config.read(os.environ["TF_CONFIG"]) or ([], 0)
        asked = read_flags(typed, addresses, index)
    except UserError as error:
        parser.error(str(error))
    if not addresses:
        return training.run_training(*asked)
    startup.prepare_training(own_share(asked, typed, len(addresses)))
    try:
        with process.show_step("waiting for the other workers"):
            cluster = collective.Cluster(addresses, index, timeout or TIMEOUT)
        return train_together(cluster, agree(cluster, asked, typed))
    except Exception as error:
        if isinstance(error, FloatingPointError):  # on all workers, in the same step
            cluster.leave()
        status, message = process.explain(error)
        if message:
            logging.getLogger(__name__).error(message)
        os._exit(status)  # sys.exit() would wait for TensorFlow, which waits for a lost worker


def read_flags(typed, addresses, index):
    """Returns the command.Train of worker 0; None for the others, which get their settings from agree()."""
    asked = command.read_flags(dict(typed)) if index == 0 else None
    if asked:
        batch_size, device = asked.config.batch_size, asked.config.device
    else:
        typed |= settings.read_file(typed["settings"]) | typed if "settings" in typed else {}
        batch_size, device = typed.get("batch_size", len(addresses)), typed.get("device")
    if batch_size < len(addresses):
        raise UserError(f"--batch-size: {batch_size} is fewer than the {len(addresses)} workers of TF_CONFIG")
    if addresses and device == "gpu":
        raise UserError("--device: workers of TF_CONFIG train on their CPUs")
    return asked


def own_share(asked, typed, workers):
    """Returns settings with the sizes of what this worker computes, as far as it knows them before agree()."""
    config = asked.config if asked else settings.Settings(**settings.defaults_for(typed))
    for name in () if asked else {"resume", "start_from"} & typed.keys():
        with contextlib.suppress(UserError):  # worker 0 alone needs the folder
            config = (command.newest_run() if typed[name] is command.NEWEST else RunFolder(typed[name])).read_settings()
    own = {} if asked else {name: typed[name] for name in settings.KINDS.keys() & typed.keys()}
    config = dataclasses.replace(config, **own)
    return dataclasses.replace(config, batch_size=-(-config.batch_size // workers))


def agree(cluster, asked, typed):
    """Returns a Train with the settings of worker 0. All workers raise UserError if any worker's differ."""
    program = b"".join(path.read_bytes() for path in sorted([*ROOT.glob("*.py"), *ROOT.glob("support/**/*.py")]))
    own = {"program version": hashlib.sha256(program).hexdigest()[:12]}
    own |= {"TensorFlow": tf.__version__, "NumPy": np.__version__}
    given = asked.config.fixed if asked else typed
    own |= {settings.flag(name): given[name] for name in settings.Settings().fixed if name in given}
    config = asked and asked.config.to_json()
    first, problem = cluster.exchange({"own": own, "resume": "resume" in typed, "config": config})[0], ""
    if cluster.index > 0:
        try:
            asked = adopt(typed, own, first)
        except (UserError, ValueError) as error:
            problem = f"TF_CONFIG: worker {cluster.index} {error}"
    if problem := next(filter(None, cluster.exchange(problem)), None):
        cluster.refuse(problem)
    return asked


def adopt(typed, own, first):
    """Returns a Train with the settings of worker 0, for another worker. Raises UserError if its own differ."""
    if "resume" in typed and not first["resume"]:
        raise UserError("has --resume, but worker 0 does not")
    for name, value in own.items():
        if value != first["own"][name]:
            raise UserError(f"has {name} {value}, but worker 0 has {name} {first['own'][name]}")
    config = settings.from_json(first["config"])
    config = dataclasses.replace(config, **{name: typed[name] for name in settings.DATA_FILES if name in typed})
    user_pairs = pairs.read(config) if config.data else None
    if user_pairs and user_pairs.sha256 != config.facts.sha256:
        raise UserError("has another file as --data than worker 0")
    return command.Train(config, user_pairs, path=None)


def train_together(cluster, asked):
    """Trains a run with the other workers; returns the exit status."""
    if cluster.index > 0:
        print(f"worker {cluster.index} of {cluster.size} trains; worker 0 ({cluster.addresses[0]}) reports")
        logging.getLogger("support.data").setLevel(logging.ERROR)  # worker 0 warns
    generator, batches, held_out = training.examples(asked.config, asked.pairs)
    stop = Stop()
    with process.show_step("building and compiling the graph"):
        trainer = open_trainer(asked.config, cluster, stop)
    with trainer.model.session:
        take_part = lead if cluster.index == 0 else follow
        take_part(cluster, asked, trainer, stop, batches, held_out, generator)
    return stop.status or stop.wish


def lead(cluster, asked, trainer, stop, batches, held_out, generator):
    """Trains on worker 0, like training.run_training() on one machine."""
    session = trainer.model.session
    try:
        run = training.open_run(asked.path, asked.resumes, asked.config, trainer.model, held_out, generator)
    except (UserError, OSError) as error:
        cluster.exchange({"problem": str(error)})
        cluster.leave()
        raise
    has_ended, done = run.early_end() is not None, len(run.history.rows)
    cluster.exchange({"has_ended": has_ended, "done": done, "generator": generator.bit_generator.state})
    share_variables(cluster, session)
    # Worker 0 writes a checkpoint only if all workers have the same weights.
    run.before_checkpoint.insert(0, lambda run: check_variables(cluster, session, run.early_end() is not None))
    print(report.opening(run, asked.resumes), end="")
    with process.stop_at_signal(stop):
        batches_per_second = training.train_until_stopped(trainer, batches, run, stop, most=1)
    cluster.leave()
    training.finish(run, batches_per_second, stop)


def follow(cluster, asked, trainer, stop, batches, held_out, generator):
    """Takes part, on another worker, in what lead() does on worker 0."""
    state, history = cluster.exchange({})[0], History(held_out.test)
    config, session = asked.config, trainer.model.session
    if "problem" in state:
        cluster.refuse(f"worker 0: {state['problem']}")
    generator.bit_generator.state, history.rows = state["generator"], [None] * state["done"]
    share_variables(cluster, session)
    left = 0 if state["has_ended"] else config.max_batches - state["done"]
    with process.stop_at_signal(stop):
        for trained in train(trainer, itertools.islice(batches, left), state["done"]):
            history.record(*trained)
            batch_number = history.rows[-1].batch
            is_last = batch_number + 1 == config.max_batches or stop.status
            is_kept = batch_number % config.keep_every == 0 or is_last
            if (is_kept and check_variables(cluster, session)) or is_last:
                break
    cluster.leave()
    print(f"worker {cluster.index} of {cluster.size} has ended after {len(history.rows)} batches")
