"""The command: python seq2seq_copy.py."""

import contextlib
import os

from support.cluster import train as cluster
from support.model import variants
from support.outside import printable
from support.run import export
from support.tensorflow import device, startup
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import judge, predict, process, training
from support.terminal.command import Export, Judge, Predict, Train, read_command


def run():
    """Carries out the command line and ends the process."""
    process.run(main)


def main():
    """Carries out the command line; returns the exit status."""
    status = cluster.run() if "TF_CONFIG" in os.environ else None
    if status is not None:
        return status
    match asked := read_command():
        case Train():
            return training.run_training(*asked)
        case Predict(config, folder, sequences, flags):
            with trained_model(config, folder) as model:
                return 1 if predict.predict_all(sequences, model, flags) else 0  # 1 if a line held no sequence
        case Judge(config, folder, file, pairs, answers, flags):
            with trained_model(config, folder) as model:
                judge.judge_file(file, pairs, model, flags, answers)
        case Export(config, folder, path):
            import_tensorflow()
            export.write(folder, path, config)
            print(printable(f"exported {folder.path} to {path}"))
    return 0


@contextlib.contextmanager
def trained_model(config, folder):
    """Yields the seq2seq_copy.Model of a run in a RunFolder, with its final weights."""
    import_tensorflow()
    model = variants.open_model(config)
    with model.session:
        folder.restore_final(model.session, tf.train.Saver())
        yield model


def import_tensorflow():
    """Imports TensorFlow to use a trained model, which needs no GPU."""
    with process.show_step("importing TensorFlow"):
        startup.import_tensorflow()
    device.hide_gpus()
