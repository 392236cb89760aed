"""The command: python seq2seq_copy.py."""

import os
import sys

from support.cluster import train as cluster
from support.model import variants
from support.outside import printable
from support.pictures import page
from support.run import checkpoints, export
from support.tensorflow import device, startup
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import judge, predict, process, training
from support.terminal.command import read_command


def run():
    """Carries out the command line and ends the process."""
    process.run(main)


def main():
    """Carries out the command line; returns the exit status."""
    status = cluster.run() if "TF_CONFIG" in os.environ else None
    if status is not None:
        return status
    command = read_command()
    if command.export is not None:
        return run_export(command)
    asks = command.predict is not None or command.predict_file is not None
    return run_prediction(command) if asks else training.run_training(command)


def run_prediction(command):
    """Answers the user's own sequences; returns the exit status: 0, or 1 if a line held no sequence."""
    with process.show_step("importing TensorFlow"):
        startup.import_tensorflow()
    device.hide_gpus()
    model = variants.open_model(command.config, trains=False)
    with model.session:
        checkpoints.restore_kept(command.run, model.session, tf.train.Saver())
        look_inside = command.run / page.PAGE
        if sys.stdout.isatty() and sys.stderr.isatty() and look_inside.exists():
            print(printable(f"look inside: {look_inside}"), file=sys.stderr)
        if command.predict_file is not None:
            judge.judge_file(command.predict_file, command.pairs, model, command.predict_flags.search)
            return 0
        return 1 if predict.predict_all(command.predict, model, command.predict_flags) else 0


def run_export(command):
    """Writes a trained model as a SavedModel; returns the exit status."""
    with process.show_step("importing TensorFlow"):
        startup.import_tensorflow()
    device.hide_gpus()
    export.write(command.run, command.export, command.config, process.hold_signals)
    print(printable(f"exported {command.run} to {command.export}"))
    return 0
