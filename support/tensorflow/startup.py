"""How TensorFlow is started: environment variables, threads, and no noise."""

import contextlib
import functools
import gc
import os

from support.tensorflow import compile_cache

XLA_FLAGS = os.environ.get("XLA_FLAGS", "")  # the user's own
THREADS = "TF_NUM_INTRAOP_THREADS"
FOR_ONE_THREAD = 8_000_000  # multiplications of a decoder step; with fewer, a second thread costs more than it gains


def set_environment():
    """Sets the environment variables that TensorFlow reads when it is imported, unless the user has set them."""
    # A training step is many small operations. One thread per operation is fastest, with two operations at a time.
    os.environ.setdefault(THREADS, "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # otherwise it takes all memory of a GPU at once


def prepare_training(config):
    """Sets what TensorFlow reads when the first session of a process starts: threads, and where programs are kept."""
    os.environ.setdefault(THREADS, str(threads(config)))
    set_environment()
    if config.xla == "on":
        compile_cache.use()


def threads(config):
    """Returns how many threads an operation uses. It depends on the sizes and the cores only, not on a measurement."""
    # A container may have fewer cores than its machine.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores, 1 + multiplications(config) // FOR_ONE_THREAD)


def multiplications(config):
    """Returns how many multiplications a step of the decoder's cell makes for a batch. Devices are chosen by it."""
    units = config.decoder_hidden_units
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
    # TensorFlow's own optimizer gives constants random names, so that XLA would not recognise a cached program. It does
    # not make the plain step faster, and it fuses products that it cannot compute if a size is 1.
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if tensorflow.__version__.startswith(("2.18.", "2.19.", "2.20.")):  # they write to stderr at the first graph
        with silent_stderr(), tensorflow.Graph().as_default(), tensorflow.Session() as session:
            session.run(tensorflow.constant(0))
    return tensorflow


@contextlib.contextmanager
def silent_stderr():
    """Discards everything that is written to file descriptor 2.

    TensorFlow's C++ code writes there about drivers and processors before its log level takes effect.
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
    """Returns a context for compiling with XLA, which TensorFlow 2.16 announces on stderr.

    With flags of the user, nothing is silenced: if XLA does not know one, it says so there and ends the process.
    """
    return contextlib.nullcontext() if XLA_FLAGS else silent_stderr()
