"""The session that trains: how many threads it uses, and what it leaves to XLA."""

import os

from support.graph import programs
from support.graph import tensorflow_v1 as tf

THREADS = "TF_NUM_INTRAOP_THREADS"
FOR_ONE_THREAD = 8_000_000  # multiplications of a decoder step; a second thread costs more than it gains on fewer


def prepare(config):
    """Sets what TensorFlow reads when the first session of a process starts: threads, and where programs are kept.

    Args:
      config: the settings.Config of a run that trains.
    """
    os.environ.setdefault(THREADS, str(threads(config)))
    if config.xla == "on":
        programs.keep()


def open_session(config):
    """Opens the session of a run that trains.

    Args:
      config: its settings.Config.

    Returns:
      A tf.Session.
    """
    options = tf.ConfigProto()
    # TensorFlow's own optimizer names constants by chance, and XLA would not know a program again.
    options.graph_options.rewrite_options.disable_meta_optimizer = config.xla == "on"
    return tf.Session(config=options)


def threads(config):
    """Returns how many threads an operation uses. It depends on the sizes and the cores only, not on a measurement."""
    units = config.encoder_hidden_units * (1 if config.encoder == "forward" else 2)  # of the decoder
    multiplications = config.batch_size * (config.input_embedding_size + units) * 4 * units
    return min(os.cpu_count(), 1 + multiplications // FOR_ONE_THREAD)
