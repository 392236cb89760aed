"""Starting several workers on this machine, for the tests."""

import numpy as np

from support.cluster import train
from support.cluster.local import free_addresses, tf_config
from support.tensorflow import compiled
from support.tensorflow import tensorflow_v1 as tf
from tests.running import QUICK, start_with_files


def start_workers(arguments, folders, more_of=None, settings=QUICK, before=None):
    """Starts a worker in each of the folders; returns their processes.

    They print into worker-0.out, worker-0.err and so on. more_of: dict from the index of a worker to further arguments.
    settings: fields of the Settings that no flag sets. before: the function of this file that each worker calls first.
    """
    options = {"settings": settings} | ({"before": f"tests.workers:{before}"} if before else {})
    addresses = free_addresses(len(folders))
    return [
        start_with_files(
            [*arguments, *(more_of or {}).get(index, [])],
            folder,
            f"worker-{index}",
            env={"TF_CONFIG": tf_config(addresses, index)},
            **options,
        )
        for index, folder in enumerate(folders)
    ]


def let_xla_fail():
    """Adds an operation to the gradients that XLA does not compile."""
    compute_for_size = compiled.compute_for_size

    def with_text(*arguments, **options):
        loss, gradients = compute_for_size(*arguments, **options)
        return loss + tf.strings.to_number(tf.strings.as_string(0 * loss)), gradients

    compiled.compute_for_size = with_text


def let_weights_drift():
    """Gives each worker different weights."""
    share_variables = train.share_variables

    def share_and_drift(cluster, session):
        share_variables(cluster, session)
        session.run(tf.global_variables_initializer())
        weights = tf.trainable_variables()[0]
        weights.load(np.full(weights.shape, cluster.index), session)

    train.share_variables = share_and_drift
