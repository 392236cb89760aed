"""TensorFlow's 1.x interface on today's TensorFlow, without its noise: `from tensorflow_v1 import tf`.

Two things keep the well-known scripts from starting or from being readable:
- From 2.16 on, the recurrent cells of 1.x live in the package tf-keras, which TensorFlow uses only if
  TF_USE_LEGACY_KERAS is set before the import; without it they raise "not available with Keras 3".
- While it is imported, TensorFlow writes about drivers and processors to file descriptor 2, before its
  own log level counts.
"""

import contextlib
import gc
import importlib.metadata
import importlib.util
import os
import warnings

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A training step is many small operations. One thread for each of them is the fastest, and two of them at a time.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
# XLA's newer way to compile what stands between two matrix products makes a step 6 % faster, for 160 MB more memory.
# Flags that a version does not know end the process, hence the check.
if importlib.metadata.version("tensorflow").startswith("2.21."):
    os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {os.environ.get('XLA_FLAGS', '')}"


@contextlib.contextmanager
def silent_stderr():
    """Sends all that is written to file descriptor 2 to nowhere, also what C++ writes."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


if importlib.util.find_spec("tf_keras") is None:
    raise ModuleNotFoundError("the package tf-keras is missing: pip install -r requirements.txt")

gc.disable()
with silent_stderr():
    import tensorflow.compat.v1 as tf
gc.freeze()  # a million objects that stay, and need not be looked through again and again
gc.enable()

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_v2_behavior()
tf.enable_resource_variables()  # those that XLA can read and write
# The cells of 1.x still work, and say at each use that they are deprecated.
warnings.filterwarnings("ignore", message=r".*rnn_cell.* is deprecated")

__all__ = ["silent_stderr", "tf"]
