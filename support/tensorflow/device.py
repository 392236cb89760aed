"""Which device trains: the CPU, or a GPU where there is one and it is faster. Everything else runs on the CPU."""

import os
import sys

from support.errors import UserError
from support.tensorflow import startup
from support.tensorflow import tensorflow_v1 as tf

FOR_A_GPU = 20_000_000  # multiplications of a decoder step; with fewer the CPU is faster
DETERMINISTIC = "xla_gpu_deterministic_ops"  # a flag of XLA; one that XLA does not know ends the process


def choose(config):
    """Lets TensorFlow use a GPU if that should train. If there is a choice, says on a terminal which device trains.

    It must be called before the first session: the device and the flags of XLA are then fixed. Raises UserError if the
    GPU that was asked for is not there.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and config.device == "gpu":
        raise UserError("--device: TensorFlow sees no GPU; docs/using.md says how to install what it needs")
    if not gpus:
        return
    if sys.stderr.isatty():
        print(reason(config), file=sys.stderr)
    if uses_gpu(config):
        tf.config.set_visible_devices(gpus[:1], "GPU")
        let_xla_be_deterministic()
    else:
        hide_gpus()


def hide_gpus():
    """Lets TensorFlow use the CPU only; it must be called before the first session."""
    tf.config.set_visible_devices([], "GPU")


def uses_gpu(config):
    """Returns whether a GPU trains where there is one. It depends on the settings only, not on a measurement."""
    return config.device == "gpu" or (config.device == "auto" and startup.multiplications(config) >= FOR_A_GPU)


def reason(config):
    """Returns which device trains and why, in one line."""
    if config.device != "auto":
        return f"on the {config.device.upper()} (--device {config.device})"
    if uses_gpu(config):
        return "on the GPU: at these sizes it is faster than the CPU (--device cpu to use that)"
    return "on the CPU: at these sizes it is faster than the GPU (--device gpu to use it)"


def let_xla_be_deterministic():
    """Makes XLA add up in a fixed order too, if the user has asked TensorFlow for it by TF_DETERMINISTIC_OPS=1."""
    flags = os.environ.get("XLA_FLAGS", "")
    if os.environ.get("TF_DETERMINISTIC_OPS", "").lower() in ("1", "true") and DETERMINISTIC not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{DETERMINISTIC}=true".lstrip()
