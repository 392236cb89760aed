"""The pictures that a run saves. matplotlib is imported where one is drawn, because it takes its time."""

import io
import os
import warnings

import numpy as np

from helpers import FIRST_SYMBOL
from support.data import pairs
from support.run import folder
from support.terminal.settings import EVALUATION_BATCH, SettingsError

SMOOTHING_WINDOW = 50  # batches
ALIGNED_SEQUENCES = 4  # in the picture of attention
MOST_LABELS = 60  # steps of a sequence whose symbols are written beside its attention
LONGEST_LABEL = 20  # characters


def loss_curve(rows, metrics, config):
    """Draws the loss above the share of held-out sequences that are not exact, both over batches on log axes.

    Args:
      rows: a history.Row for each batch. The losses are above 0.
      metrics: what report.metrics() returned.
      config: the settings.Config.

    Returns:
      A matplotlib Figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    figure = Figure(figsize=(8, 6), dpi=120, layout="constrained")
    loss_axes, error_axes = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    exact = metrics["exact_match"]
    achieved = f"{exact['share']:.2%} of {exact['sequences']} held-out sequences exact"
    figure.suptitle(f"{title(config)}: {achieved}", fontsize=11, parse_math=False, wrap=True)

    batches, losses = [row.batch for row in rows], [row.loss for row in rows]
    window = min(SMOOTHING_WINDOW, len(rows))
    marker = "." if len(rows) <= SMOOTHING_WINDOW else None
    loss_axes.semilogy(batches, losses, marker=marker, color="tab:blue", alpha=0.3, linewidth=0.8, label="each batch")
    middles, means = moving_average(np.log(np.maximum(losses, np.finfo(np.float32).tiny)), window)
    loss_axes.semilogy(
        middles, np.exp(means), marker=marker, color="tab:blue", label=f"geometric mean of {window} batches"
    )
    loss_axes.set_ylabel("cross-entropy [nats per step]")

    # A log axis has no 0: a model without an error is drawn where half an error would be.
    nothing = 100 / (2 * exact["sequences"])
    evaluated = [row for row in rows if row.held_out_exact_match is not None]
    percent = [max(nothing, 100 * (1 - row.held_out_exact_match)) for row in evaluated]
    few = min(EVALUATION_BATCH, exact["sequences"])
    error_axes.semilogy(
        [row.batch for row in evaluated], percent, color="tab:green", marker=".", label=f"the first {few} sequences"
    )
    final = max(nothing, 100 * (1 - exact["share"]))
    error_axes.semilogy(
        [rows[-1].batch], [final], "D", color="tab:red", label=f"all {exact['sequences']} at the end", clip_on=False
    )
    error_axes.set_ylabel("held-out, not exact [%]")
    error_axes.set_xlabel("batch")
    error_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    powers = [power for power in 10.0 ** np.arange(-4, 3) if power > 1.5 * nothing]
    error_axes.set_yticks([nothing, *powers], ["0", *(f"{power:g}" for power in powers)])
    error_axes.set_ylim(nothing / 1.5, 130)
    loss_axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
    loss_axes.yaxis.set_minor_formatter(FuncFormatter(lambda loss, _: f"{loss:g}" if f"{loss:e}"[0] in "25" else ""))
    error_axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    if min(losses) * 2 > max(losses):  # too flat for a log axis
        loss_axes.set_yscale("linear")
    for axes in (loss_axes, error_axes):
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def title(config):
    """Returns what a run learns, and with what, in a few words."""
    changes = [config.cell.upper()] if config.cell != "lstm" else []
    changes += [f"{config.layers} layers"] if config.layers > 1 else []
    changes += [f"{config.encoder} encoder"] if config.encoder != "bidirectional" else []
    changes += [f"{config.attention} attention"] if config.attention != "none" else []
    return ", ".join([config.data.name if config.data else config.task, *changes, f"seed {config.seed}"])


def attention(sequences, config):
    """Draws which inputs the decoder attends to when it writes each symbol.

    Args:
      sequences: list of (inputs int [length], symbols int [steps], weights float [steps, length]).
      config: the settings.Config.

    Returns:
      A matplotlib Figure.
    """
    from matplotlib.figure import Figure

    names = label_names(config)
    shown = {symbol for inputs, symbols, _ in sequences for symbol in (*inputs, *symbols)}
    families = fonts_for("".join(names[symbol] for symbol in shown))
    panel = min(5, max(3, 0.14 * max(len(symbols) for _, symbols, _ in sequences)))  # inches
    figure = Figure(figsize=(max(6, panel * len(sequences)), panel + 1.4), dpi=120, layout="constrained")
    for (inputs, symbols, weights), axes in zip(sequences, figure.subplots(1, len(sequences), squeeze=False)[0]):
        aspect = "equal" if len(symbols) <= 4 * len(inputs) else "auto"
        image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect=aspect)
        if len(symbols) <= MOST_LABELS:
            input_names, symbol_names = ([names[symbol] for symbol in part] for part in (inputs, symbols))
            style = {"fontsize": min(9, 40 * panel / len(symbols)), "fontfamily": families, "parse_math": False}
            rotation = 90 if max(map(len, input_names)) > 2 else 0
            axes.set_xticks(range(len(inputs)), input_names, rotation=rotation, **style)
            axes.set_yticks(range(len(symbols)), symbol_names, **style)
        axes.set_xlabel("input")
    figure.axes[0].set_ylabel("predicted")
    figure.colorbar(image, ax=figure.axes, label="weight", shrink=0.6)
    figure.suptitle(
        f"{title(config)}\nwhere the decoder looks", fontsize=10, fontfamily=families, parse_math=False, wrap=True
    )
    return figure


def aligned(batch, prediction, alignment, config):
    """Returns what attention() draws.

    Args:
      batch: a helpers.Batch.
      prediction: int32 [decoder_time, batch].
      alignment: float32 [decoder_time, batch, time], the weights.
      config: the settings.Config.
    """
    sequences = []
    for column, length in enumerate(batch.lengths):
        steps = length + config.extra_decoder_steps
        weights = alignment[:steps, column, :length]
        sequences.append((batch.inputs[:length, column], prediction[:steps, column], weights))
    return sequences


def label_names(config):
    """Returns how each symbol is written on an axis: PAD and EOS by their names, long names shortened."""
    names = [*pairs.RESERVED, *config.vocabulary[FIRST_SYMBOL:]]
    return [
        name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}" for name in names
    ]


def fonts_for(characters):
    """Returns names of fonts: the usual one, and the installed one that has most of the characters it lacks."""
    from matplotlib import font_manager

    def found_in(path):
        try:
            return missing.intersection(font_manager.get_font(path).get_charmap())
        except (OSError, RuntimeError):  # it is gone since matplotlib listed it, or cannot be read
            return set()

    missing = set(map(ord, characters))
    missing -= found_in(font_manager.findfont("DejaVu Sans"))
    if not missing:
        return ["DejaVu Sans"]
    # The font of last resort shows every character as a box.
    fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith("Last Resort")]
    return ["DejaVu Sans", max(fonts, key=lambda font: len(found_in(font.fname))).name]


def moving_average(values, window):
    """Averages values in a sliding window.

    Args:
      values: float [...].
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
      OSError: it cannot be written. An earlier picture of that name is untouched.
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
        except OSError as error:
            raise OSError(f"cannot write {str(path)!r}: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)


def check_path(path):
    """Raises SettingsError if a picture cannot be saved under a path."""
    try:
        folder.check_writable(path)
    except OSError as error:
        raise SettingsError(f"--plot: cannot write {str(path)!r}: {error.strerror}") from None
