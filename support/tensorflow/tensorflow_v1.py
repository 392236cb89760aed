"""TensorFlow's 1.x interface on today's TensorFlow, imported at its first use.

    from support.tensorflow import tensorflow_v1 as tf

This module stands for `tensorflow.compat.v1` and passes on its names (PEP 562). The import of TensorFlow takes seconds,
so it waits until the first name is asked for. `--help` never asks for one.
"""

from support.tensorflow.startup import import_tensorflow as _import_tensorflow


def __getattr__(name):
    if name.startswith("__") and name != "__version__":  # Python asks for these itself
        raise AttributeError(name)
    value = getattr(_import_tensorflow(), name)
    globals()[name] = value  # found without this function from now on
    return value
