"""The command: python seq2seq_copy.py."""

from support.model import variants
from support.run import checkpoints, export
from support.tensorflow import startup
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import predict, process, training
from support.terminal.command import read_command


def run():
    """Carries out the command line and ends the process."""
    process.run(main)


def main():
    """Carries out the command line; returns the exit status."""
    command = read_command()
    if command.export is not None:
        return run_export(command)
    return run_prediction(command) if command.predict is not None else training.run_training(command)


def run_prediction(command):
    """Answers the user's own sequences; returns the exit status: 0, or 1 if a line held no sequence."""
    with process.show_step("importing TensorFlow"):
        startup.import_tensorflow()
    model = variants.open_model(command.config, trains=False)
    with model.session:
        checkpoints.restore_newest(command.run, model.session, tf.train.Saver())
        return 1 if predict.predict_all(command.predict, model, command.predict_flags) else 0


def run_export(command):
    """Writes a trained model as a SavedModel; returns the exit status."""
    with process.show_step("importing TensorFlow"):
        startup.import_tensorflow()
    export.write(command.run, command.export, command.config, process.hold_signals)
    print(f"exported {command.run} to {command.export}")
    return 0
