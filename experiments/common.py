"""Shared by the experiments: a model trained in this process, other processes, tables and pictures."""

import argparse
import contextlib
import multiprocessing
import os
import subprocess
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

import seq2seq_copy
from seq2seq_copy import PLAIN
from support.model import variants
from support.pictures import heat_maps
from support.tensorflow import device, startup
from support.values import whole_number

SCRIPT = Path(__file__).parent.parent / "seq2seq_copy.py"


def train_model(config, parts=PLAIN, training_parts=None):
    """Trains the model of some settings; arguments as for variants.open_trainer(), results as for fit()."""
    startup.prepare_training(config)
    device.choose(config)
    return fit(config, variants.open_trainer(config, parts, training_parts))


def fit(config, trainer):
    """Does the same as seq2seq_copy.fit(), but prints nothing, and Ctrl-C ends the experiment."""
    with contextlib.redirect_stdout(None):
        model, losses, exact = seq2seq_copy.fit(config, trainer)
    if len(losses) < config.max_batches:
        raise KeyboardInterrupt
    return model, losses, exact


def parser(docstring, seeds=None):
    """Returns the parser of an experiment's command line. seeds is the default of --seeds, if there is that flag."""
    parser = argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)
    if seeds is not None:
        kind = whole_number(1, 1000)
        parser.add_argument("--seeds", type=kind, default=seeds, metavar="N", help=f"default: {seeds}")
    return parser


def two_processes():
    """Returns an executor of two processes, each with its own TensorFlow. They end with this process."""
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent)


def end_with_parent():
    """Ends this process as soon as its parent is gone, even if the parent was killed."""

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def output_of(command, **options):
    """Runs a command; returns what it prints. If it fails, this process ends with its message."""
    process = subprocess.run(command, capture_output=True, text=True, **options)
    if process.returncode:
        raise SystemExit(process.stderr)
    return process.stdout


def print_table(head, rows):
    """Prints a Markdown table, each row as soon as it is known, and an empty line. Cells are text or numbers."""
    print(f"| {' | '.join(map(str, head))} |\n{'|---' * len(head)}|", flush=True)
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)
    print(flush=True)


def percent(share, digits=2):
    return f"{100 * share:.{digits}f} %"


def spread(shares):
    """Returns the median, the worst and the best of some shares, as text."""
    return [percent(share) for share in (np.median(shares), min(shares), max(shares))]


def new_axes(width, height, **labels):
    """Returns an empty figure and its axes; labels are xlabel, ylabel and title."""
    figure = heat_maps.new_figure(width, height)
    axes = figure.subplots()
    axes.set(**labels)
    axes.grid(alpha=0.3)
    return figure, axes


def plot_spread(axes, x, values, style, **options):
    """Draws the median of values [seeds, x] as a line, and their range as a band."""
    axes.plot(x, np.median(values, axis=0), style, **options)
    axes.fill_between(x, np.min(values, axis=0), np.max(values, axis=0), alpha=0.2)
