"""A run that several workers train (docs/scaling.md).

Worker 0 does the same as when it trains alone: it prints, evaluates and saves the run. The others only train.
"""

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
from support.cluster.model import open_model
from support.errors import UserError
from support.run import checkpoints, folder
from support.run.history import History
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import command as commands
from support.terminal import flags, process, report, training

ROOT = Path(__file__).parents[2]
TIMEOUT = 120.0  # seconds


def run():
    """Carries out the command line if TF_CONFIG is set. Returns the exit status, or None if it asks for no training."""
    parser, positive = commands.flag_parser(), flags.flag_type(values.positive_number)
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
        command = read_flags(typed, addresses, index)
    except UserError as error:
        parser.error(str(error))
    if not addresses:
        return training.run_training(command)
    try:
        with process.show_step("waiting for the other workers"):
            cluster = collective.Cluster(addresses, index, timeout or TIMEOUT)
        return train_together(cluster, agree(cluster, command, typed))
    except Exception as error:
        if isinstance(error, FloatingPointError):  # on all workers, in the same step
            cluster.part()
        status, message = process.explain(error)
        if message:
            logging.getLogger(__name__).error(message)
        os._exit(status)  # sys.exit() would wait for TensorFlow, which waits for a lost worker


def read_flags(typed, addresses, index):
    """Returns the Command of a worker. All except worker 0 get their settings from agree(), not from a run."""
    if index == 0:
        command = commands.read_flags(dict(typed))
        batch_size, device = command.config.batch_size, command.config.device
    else:
        command = commands.Command(config=None, run=None, resume="resume" in typed)
        typed |= settings.read_file(typed["settings"]) | typed if "settings" in typed else {}
        batch_size, device = typed.get("batch_size", len(addresses)), typed.get("device")
    if batch_size < len(addresses):
        raise UserError(f"--batch-size: {batch_size} is fewer than the {len(addresses)} workers of TF_CONFIG")
    if addresses and device == "gpu":
        raise UserError("--device: workers of TF_CONFIG train on their CPUs")
    return command


def agree(cluster, command, typed):
    """Returns the Command with the settings of worker 0. All workers raise UserError if any worker's differ."""
    program = b"".join(path.read_bytes() for path in sorted([*ROOT.glob("*.py"), *ROOT.glob("support/**/*.py")]))
    own = {"this program": hashlib.sha256(program).hexdigest()[:12]}
    own |= {"TensorFlow": tf.__version__, "NumPy": np.__version__}
    given = typed if command.config is None else command.config.fixed
    own |= {settings.flag(name): given[name] for name in settings.Settings().fixed if name in given}
    config = command.config and folder.plain(dataclasses.asdict(command.config))
    first, problem = cluster.exchange({"own": own, "resume": command.resume, "config": config})[0], ""
    if cluster.index > 0:
        try:
            command = adopt(command, typed, own, first)
        except (UserError, ValueError) as error:
            problem = f"TF_CONFIG: worker {cluster.index} {error}"
    if problem := next(filter(None, cluster.exchange(problem)), None):
        cluster.refuse(problem)
    return command


def adopt(command, typed, own, first):
    """Returns the Command of another worker with the settings of worker 0. Raises UserError if its own differ."""
    if command.resume and not first["resume"]:
        raise UserError("has --resume, and worker 0 has not")
    for name, value in own.items():
        if value != first["own"][name]:
            raise UserError(f"has {name} {value}, and worker 0 has {name} {first['own'][name]}")
    config = settings.from_json(first["config"])
    config = dataclasses.replace(config, **{name: typed[name] for name in commands.DATA_FILES if name in typed})
    user_pairs = commands.read_pairs(config) if config.data else None
    if user_pairs and user_pairs.sha256 != config.sha256:
        raise UserError("has another file as --data than worker 0")
    return command._replace(config=config, pairs=user_pairs)


def train_together(cluster, command):
    """Trains a run with the other workers; returns the exit status."""
    if cluster.index > 0:
        print(f"worker {cluster.index} of {cluster.size} trains; worker 0 ({cluster.addresses[0]}) reports")
        logging.getLogger("support.data").setLevel(logging.ERROR)  # worker 0 warns
    generator, batches, held_out = training.examples(command)
    with process.show_step("building and compiling the graph"):
        model = open_model(command.config, cluster)
    (lead if cluster.index == 0 else follow)(cluster, command, model, batches, held_out, generator)
    model.session.close()
    return model.stop.status or model.stop.wish


def lead(cluster, command, model, batches, held_out, generator):
    """Trains on worker 0, like training.run_training() on one machine."""
    try:
        run = checkpoints.open_run(command, model, held_out, generator)
    except (UserError, OSError) as error:
        cluster.exchange({"problem": str(error)})
        cluster.part()
        raise
    has_ended, done = run.has_ended_early(), len(run.history.rows)
    cluster.exchange({"has_ended": has_ended, "done": done, "generator": generator.bit_generator.state})
    model.share_variables()
    run.before_keeping = lambda: model.check_variables(run.has_ended_early())
    print(report.opening(command, run), end="")
    with process.stop_at_signal(model.stop):
        batches_per_second = training.listen(model, batches, run, model.stop, most=1)
    cluster.part()
    training.finish(run, batches_per_second, command.pairs)


def follow(cluster, command, model, batches, held_out, generator):
    """Takes part, on another worker, in what lead() does on worker 0."""
    state, history, config = cluster.exchange({})[0], History(held_out), command.config
    if "problem" in state:
        cluster.refuse(f"worker 0: {state['problem']}")
    generator.bit_generator.state, history.rows = state["generator"], [None] * state["done"]
    model.share_variables()
    left = 0 if state["has_ended"] else config.max_batches - state["done"]
    calls = ([batch] for batch in itertools.islice(batches, left))
    with process.stop_at_signal(model.stop):
        for call in train(model, calls, state["done"]):
            history.record(*(values[0] for values in call))
            batch_number = history.rows[-1].batch
            is_last = batch_number + 1 == config.max_batches or model.stop.status
            is_kept = batch_number % config.keep_every == 0 or is_last
            if (is_kept and model.check_variables()) or is_last:
                break
    cluster.part()
    print(f"worker {cluster.index} of {cluster.size} has ended after {len(history.rows)} batches")
