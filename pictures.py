"""The picture a run saves."""

import itertools
import os
import tempfile

import numpy as np
from matplotlib.figure import Figure

SMOOTHING_WINDOW = 50  # batches


def save_loss_curve(path, rows):
    """Draws the loss above the exact match, both over batches, and saves the picture.

    A picture that is already there is kept, under the next free name: loss.png becomes loss-1.png.

    Args:
      path: pathlib.Path whose ending says the format.
      rows: a runs.Row for each batch.

    Raises:
      OSError: the picture cannot be written; nothing of it is left, and an earlier one is untouched.
    """
    figure = Figure(figsize=(8, 5.5), dpi=120, layout="constrained")
    loss_axes, match_axes = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])

    losses = [row.loss for row in rows]
    loss_axes.semilogy(losses, color="tab:blue", alpha=0.3, linewidth=0.8, label="each batch")
    loss_axes.semilogy(*moving_average(losses), color="tab:blue", label=f"mean of {SMOOTHING_WINDOW} batches")
    loss_axes.set_ylabel("cross-entropy [nats a step]")
    loss_axes.legend()

    evaluated = [row for row in rows if row.held_out_exact_match is not None]
    percent = [100 * row.held_out_exact_match for row in evaluated]
    match_axes.plot([row.batch for row in evaluated], percent, color="tab:green", marker=".")
    match_axes.set_ylabel("held-out exact match [%]")
    match_axes.set_ylim(-3, 103)
    match_axes.set_xlabel("batch")
    for axes in (loss_axes, match_axes):
        axes.grid(alpha=0.3)

    save(figure, path)


def moving_average(values):
    """Returns positions and means of a window that slides over values, each at the middle of its window."""
    window = min(SMOOTHING_WINDOW, len(values))
    means = np.convolve(values, np.full(window, 1 / window), mode="valid")
    return np.arange(means.size) + (window - 1) / 2, means


def save(figure, path):
    """Saves a figure whole or not at all, and keeps an earlier file of that name."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as partial:
        try:
            figure.savefig(partial, format=path.suffix[1:])
            partial.flush()
        except BaseException:
            os.unlink(partial.name)
            raise
    if path.exists():
        names = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(1))
        path.rename(next(name for name in names if not name.exists()))
    os.chmod(partial.name, 0o644)
    os.replace(partial.name, path)
