"""TensorFlow's 1.x interface on today's TensorFlow, loaded at its first use and without its noise.

    from support.graph import tensorflow_v1 as tf

This module stands for `tensorflow.compat.v1`: it hands on every name that it does not have itself (PEP 562). The import
of TensorFlow takes seconds, so it waits until the first such name is asked for. `--help` never asks for one.
"""

import contextlib
import functools
import gc
import importlib.metadata
import os

XLA_FLAGS = os.environ.get("XLA_FLAGS", "")  # of the user


def __getattr__(name):
    if name.startswith("__") and name != "__version__":  # asked for by Python itself, not by us
        raise AttributeError(name)
    value = getattr(_tensorflow(), name)
    globals()[name] = value  # from now on found without this function
    return value


def set_environment():
    """Sets the environment variables that TensorFlow reads when it is imported, but for those that the user has set."""
    # A training step is many small operations. One thread for each is fastest, with two of them at a time.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # On TensorFlow 2.21, XLA's newer way to compile what stands between two matrix products makes a step 6 % faster and
    # takes 160 MB more memory. A version that does not know the flag would end the process.
    flag = "--xla_cpu_use_fusion_emitters=false"
    if importlib.metadata.version("tensorflow").startswith("2.21.") and flag not in XLA_FLAGS:
        os.environ["XLA_FLAGS"] = f"{flag} {XLA_FLAGS}"


@functools.cache
def _tensorflow():
    """Imports TensorFlow with the settings that this project needs."""
    set_environment()
    gc.disable()
    with silent_stderr():
        import tensorflow.compat.v1 as tensorflow
    gc.freeze()  # a million objects that stay; the garbage collector need not visit them again
    gc.enable()
    tensorflow.logging.set_verbosity(tensorflow.logging.ERROR)
    tensorflow.disable_v2_behavior()
    tensorflow.enable_resource_variables()  # the kind that XLA can read and write
    return tensorflow


def start():
    """Imports TensorFlow now, and runs a first graph, at which TensorFlow 2.18 to 2.20 write to stderr."""
    tensorflow = _tensorflow()
    if tensorflow.__version__.startswith(("2.18.", "2.19.", "2.20.")):
        with silent_stderr(), tensorflow.Graph().as_default(), tensorflow.Session() as session:
            session.run(tensorflow.constant(0))


@contextlib.contextmanager
def silent_stderr():
    """Sends everything that is written to file descriptor 2 to nowhere.

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


def program_input(value):
    """Returns a number as a tensor of the outermost graph.

    A program that XLA compiles takes it as an input, and is the same for all its values.
    """
    with __getattr__("init_scope")():
        return __getattr__("constant")(value)
