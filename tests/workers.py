"""Starting several workers on this machine, for the tests."""

import functools
import json
import os

import numpy as np

from support.cluster import train
from support.cluster.local import free_addresses, tf_config
from support.settings import Settings
from support.tensorflow import compiled
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import command
from tests.running import QUICK, start_with_files


def start_workers(arguments, folders, more_of=None, settings=QUICK, before="change_settings"):
    """Starts a worker in each of the folders; returns their processes.

    They print into worker-0.out, worker-0.err and so on. more_of: dict from the index of a worker to further arguments.
    settings: fields of the Settings that no flag sets. before: the function of this file that each worker calls first.
    """
    addresses = free_addresses(len(folders))
    return [
        start_with_files(
            [*arguments, *(more_of or {}).get(index, [])],
            folder,
            f"worker-{index}",
            settings=None,
            env={"TF_CONFIG": tf_config(addresses, index), "WORKER_SETTINGS": json.dumps(settings)},
            before=f"tests.workers:{before}",
        )
        for index, folder in enumerate(folders)
    ]


def change_settings():
    command.Settings = functools.partial(Settings, **json.loads(os.environ["WORKER_SETTINGS"]))


def let_xla_fail():
    """Adds an operation to the gradients that XLA does not compile."""
    change_settings()
    compute_for_size = compiled.compute_for_size

    def with_text(*arguments, **options):
        loss, gradients = compute_for_size(*arguments, **options)
        return loss + tf.strings.to_number(tf.strings.as_string(0 * loss)), gradients

    compiled.compute_for_size = with_text


def let_weights_drift():
    """Gives each worker different weights."""
    change_settings()
    share_variables = train.share_variables

    def share_and_drift(cluster, session):
        share_variables(cluster, session)
        session.run(tf.global_variables_initializer())
        weights = tf.trainable_variables()[0]
        weights.load(np.full(weights.shape, cluster.index), session)

    train.share_variables = share_and_drift
