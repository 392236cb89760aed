"""Shared by the experiments: a model trained in this process, other processes, tables and pictures."""

import argparse
import itertools
import multiprocessing
import os
import subprocess
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

import helpers
from seq2seq_copy import PLAIN, train
from support.model import variants
from support.pictures import heat_maps
from support.tensorflow import device, startup
from support.tensorflow.compiled import most_steps
from support.terminal.flags import flag_type
from support.values import whole_number

SCRIPT = Path(__file__).parent.parent / "seq2seq_copy.py"


def train_model(config, parts=PLAIN, training_parts=None):
    """Trains a model without the files of a run.

    Args:
      config, parts, training_parts: as for variants.open_model().

    Returns:
      model: the seq2seq_copy.Model.
      held_out: a helpers.Batch of held-out sequences.
    """
    startup.prepare_training(config)
    device.choose(config)
    batches, held_out = helpers.examples(config, *helpers.generators(config.seed))
    model = variants.open_model(config, parts, training_parts)
    train_on(model, batches, config.max_batches)
    return model, held_out


def train_on(model, batches, count):
    """Trains a seq2seq_copy.Model on the next batches of an iterator; returns their losses."""
    most = most_steps(model.config)
    calls = (list(itertools.islice(batches, min(most, count - done))) for done in range(0, count, most))
    return [loss for _, losses, *_ in train(model, calls) for loss in losses]


def parser(docstring, seeds=None):
    """Returns the parser of an experiment's command line. seeds is the default of --seeds, if there is that flag."""
    parser = argparse.ArgumentParser(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)
    if seeds is not None:
        kind = flag_type(whole_number(1, 1000))
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
