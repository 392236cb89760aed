"""The pictures a run saves."""

import io
import os
import warnings

import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SMOOTHING_WINDOW = 50  # batches
MOST_LABELS = 60  # steps of a sequence whose symbols are written beside its attention
LONGEST_LABEL = 20  # characters


def loss_curve(rows):
    """Draws the loss above the exact match, both over batches.

    Args:
      rows: a runs.Row for each batch; the losses are above 0.

    Returns:
      A matplotlib Figure.
    """
    figure = Figure(figsize=(8, 5.5), dpi=120)
    margins = {"left": 0.09, "right": 0.98, "bottom": 0.09, "top": 0.98, "hspace": 0.08}
    loss_axes, match_axes = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2], gridspec_kw=margins)

    batches, losses = [row.batch for row in rows], [row.loss for row in rows]
    window = min(SMOOTHING_WINDOW, len(rows))
    marker = "." if len(rows) <= SMOOTHING_WINDOW else None
    loss_axes.semilogy(batches, losses, marker=marker, color="tab:blue", alpha=0.3, linewidth=0.8, label="each batch")
    middles, means = moving_average(losses, window)
    loss_axes.semilogy(middles, means, marker=marker, color="tab:blue", label=f"mean of {window} batches")
    loss_axes.set_ylabel("cross-entropy [nats a step]")
    loss_axes.legend()

    evaluated = [row for row in rows if row.held_out_exact_match is not None]
    percent = [100 * row.held_out_exact_match for row in evaluated]
    match_axes.plot([row.batch for row in evaluated], percent, color="tab:green", marker=".")
    match_axes.set_ylabel("held-out exact match [%]")
    match_axes.set_ylim(-3, 103)
    match_axes.set_xlabel("batch")
    match_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (loss_axes, match_axes):
        axes.grid(alpha=0.3)
    return figure


def attention(batch, prediction, alignment, config):
    """Draws which inputs the decoder attends to when it writes each symbol.

    Args:
      batch: a helpers.Batch.
      prediction: int32 [decoder_time, batch].
      alignment: float32 [decoder_time, batch, time], the weights.
      config: the Config.

    Returns:
      A matplotlib Figure.
    """
    names = [name[:LONGEST_LABEL] for name in config.vocabulary]
    families = fonts_for("".join(names[symbol] for symbol in np.union1d(batch.inputs, prediction)))
    panel = min(5, max(3, 0.14 * len(prediction)))  # inches
    figure = Figure(figsize=(panel * batch.lengths.size, panel + 1.2), dpi=120, layout="constrained")
    for column, axes in enumerate(figure.subplots(1, batch.lengths.size, squeeze=False)[0]):
        length = batch.lengths[column]
        steps = length + config.extra_decoder_steps
        aspect = "equal" if steps <= 4 * length else "auto"
        image = axes.imshow(alignment[:steps, column, :length], cmap="Blues", vmin=0, vmax=1, aspect=aspect)
        if steps <= MOST_LABELS:
            inputs, predicted = (
                [names[symbol] for symbol in symbols]
                for symbols in (batch.inputs[:length, column], prediction[:steps, column])
            )
            style = {"fontsize": min(9, 40 * panel / steps), "fontfamily": families, "parse_math": False}
            axes.set_xticks(range(length), inputs, rotation=90 if max(map(len, inputs)) > 2 else 0, **style)
            axes.set_yticks(range(steps), predicted, **style)
        axes.set_xlabel("input")
    figure.axes[0].set_ylabel("predicted")
    figure.colorbar(image, ax=figure.axes, label="weight", shrink=0.6)
    return figure


def fonts_for(characters):
    """Returns names of fonts: the usual one, and of those installed the one that knows most of what it lacks."""

    def known(path):
        try:
            return lacking.intersection(font_manager.get_font(path).get_charmap())
        except (OSError, RuntimeError):  # it is gone since matplotlib listed it, or cannot be read
            return set()

    lacking = set(map(ord, characters))
    lacking -= known(font_manager.findfont("DejaVu Sans"))
    if not lacking:
        return ["DejaVu Sans"]
    # The font of last resort knows all characters as boxes.
    fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith("Last Resort")]
    return ["DejaVu Sans", max(fonts, key=lambda font: len(known(font.fname))).name]


def moving_average(values, window):
    """Averages values in a window that slides over them.

    Args:
      values: list of float.
      window: int, 1 ... len(values).

    Returns:
      middles, means: float [len(values) - window + 1], the middle of each position of the window and the mean in it.
    """
    means = np.convolve(values, np.full(window, 1 / window), mode="valid")
    return np.arange(means.size) + (window - 1) / 2, means


def save(figure, *paths):
    """Saves a figure under each path, whole or not at all.

    Args:
      figure: a matplotlib Figure.
      paths: pathlib.Paths whose endings say the format.

    Raises:
      OSError: it cannot be written; an earlier picture of that name is untouched.
    """
    pictures = {}
    for path in paths:
        if path.suffix not in pictures:
            pictures[path.suffix] = io.BytesIO()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Glyph .* missing")  # it is drawn as a box
                figure.savefig(pictures[path.suffix], format=path.suffix[1:])
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{os.getpid()}.partial")
        try:
            partial.write_bytes(pictures[path.suffix].getvalue())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
