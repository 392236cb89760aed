"""How TensorFlow is started: environment variables, threads, and without its noise."""

import contextlib
import functools
import gc
import os

from support.tensorflow import compile_cache

XLA_FLAGS = os.environ.get("XLA_FLAGS", "")  # the user's own
THREADS = "TF_NUM_INTRAOP_THREADS"
FOR_ONE_THREAD = 8_000_000  # multiplications of a decoder step; a second thread costs more than it gains on fewer


def set_environment():
    """Sets the environment variables that TensorFlow reads when it is imported, unless the user has set them."""
    # A training step is many small operations. One thread for each is fastest, with two of them at a time.
    os.environ.setdefault(THREADS, "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else it takes all memory of a GPU at once


def prepare_training(config):
    """Sets what TensorFlow reads when the first session of a process starts: threads, and where programs are kept.

    Args:
      config: the settings.Config of a run that trains.
    """
    os.environ.setdefault(THREADS, str(threads(config)))
    set_environment()
    if config.xla == "on":
        compile_cache.use()


def threads(config):
    """Returns how many threads an operation uses. It depends on the sizes and the cores only, not on a measurement."""
    return min(os.cpu_count(), 1 + multiplications(config) // FOR_ONE_THREAD)


def multiplications(config):
    """Returns how many multiplications a step of the decoder's cell makes for a batch, by which devices are chosen."""
    units = config.encoder_hidden_units * len(config.directions)  # of the decoder
    return config.batch_size * (config.input_embedding_size + units) * 4 * units


@functools.cache
def import_tensorflow():
    """Imports TensorFlow with the settings that this project needs; returns tensorflow.compat.v1."""
    set_environment()
    gc.disable()
    with silent_stderr():
        import tensorflow.compat.v1 as tensorflow
    gc.freeze()  # a million objects that stay; the garbage collector need not visit them again
    gc.enable()
    tensorflow.logging.set_verbosity(tensorflow.logging.ERROR)
    tensorflow.disable_v2_behavior()
    tensorflow.enable_resource_variables()  # the kind that XLA can read and write
    if tensorflow.__version__.startswith(("2.18.", "2.19.", "2.20.")):  # they write to stderr at the first graph
        with silent_stderr(), tensorflow.Graph().as_default(), tensorflow.Session() as session:
            session.run(tensorflow.constant(0))
    return tensorflow


@contextlib.contextmanager
def silent_stderr():
    """Discards everything that is written to file descriptor 2.

    C++ writes there about drivers and processors, before TensorFlow's own log level counts.
    """
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def silent_compilation():
    """Returns a context in which XLA compiles. TensorFlow 2.16 writes to stderr that it does.

    XLA ends the process if it does not know a flag of the user, and says so there.
    """
    return contextlib.nullcontext() if XLA_FLAGS else silent_stderr()
