"""Maps of predicted step x input position: what an answer depends on, and where the decoder looks."""

import logging

from helpers import EXTRA_DECODER_STEPS, FIRST_SYMBOL
from support import outside
from support.settings import RESERVED

HEADINGS = {
    "memory": "what each prediction depends on:\nchange of its probability when an input symbol is replaced",
    "attention": "where the decoder looks",
}
SCALES = {"memory": "mean change", "attention": "weight"}
MOST_LABELS = 40  # on an axis; of a longer sequence every second symbol is named, or every third ...
LONGEST_LABEL = 20  # characters
COLORS = {"cmap": "Blues", "vmin": 0, "vmax": 1}

log = logging.getLogger(__name__)


def new_figure(width, height):
    """Returns an empty matplotlib Figure, in inches. The user's matplotlibrc, which may need LaTeX, is ignored."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcdefaults()
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def draw(maps, config, growth=None):
    """Draws maps of a few sequences side by side, a row for each kind of map.

    Args:
      maps: dict from "memory", "attention" or both to a list of (inputs int [length], symbols int [steps], values
        float [rows, columns]) for each sequence. Rows and columns are steps and length, or fewer if neighbours were
        taken together.
      config: the settings.Settings.
      growth: dict from a batch to values like those of the maps, drawn in a row below them; None for no such row.

    Returns:
      A matplotlib Figure.
    """
    names, drawn = label_names(config), [panel for panels in maps.values() for panel in panels]
    shown = {symbol for inputs, symbols, _ in drawn for symbol in (*inputs, *symbols)}
    fonts = fonts_for("".join(names[symbol] for symbol in shown))
    longest = max(len(part) for inputs, symbols, _ in drawn for part in (inputs, symbols))
    side = min(5, max(3, 0.14 * longest))  # of a panel, in inches
    style = {"fontfamily": fonts, "fontsize": min(9, 40 * side / min(longest, MOST_LABELS))}
    width = max(6, side * max(map(len, maps.values())))
    heights = [side + 0.6] * len(maps) + ([0.8 * min(3, width / len(growth)) + 0.6] if growth else [])
    figure = new_figure(width, sum(heights) + 0.4)
    figure.suptitle(outside.label(title(config)), fontsize=11, wrap=True, fontfamily=fonts)
    rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for row, (name, panels) in zip(rows, maps.items()):
        row.suptitle(HEADINGS[name], fontsize=10)
        for panel, axes in zip(panels, row.subplots(1, len(panels), squeeze=False)[0]):
            image = draw_panel(axes, *panel, names, style)
        row.axes[0].set_ylabel("predicted")
        row.colorbar(image, ax=row.axes, label=SCALES[name], shrink=0.6, panchor=False)
    if growth:
        draw_growth(rows[-1], growth)
    return figure


def draw_panel(axes, inputs, symbols, values, names, style):
    """Draws the map of one sequence, with its symbols, or as many of them as there is room for."""
    extent = (-0.5, len(inputs) - 0.5, len(symbols) - 0.5, -0.5)
    image = axes.imshow(values, extent=extent, aspect=aspect(len(symbols), len(inputs)), **COLORS)
    for axis, part in ((axes.xaxis, inputs), (axes.yaxis, symbols)):
        places = range(0, len(part), -(-len(part) // MOST_LABELS))
        axis.set_ticks(places, [outside.label(names[part[place]]) for place in places], **style)
    if max(len(names[symbol]) for symbol in inputs) > 2:
        axes.tick_params("x", rotation=90)
    axes.set_xlabel("input")
    return image


def aspect(rows, columns):
    """Returns matplotlib's name for square cells, or for others if the map would be a thin bar."""
    return "equal" if max(rows, columns) <= 4 * min(rows, columns) else "auto"


def draw_growth(row, growth):
    """Draws how the mean of the maps above grew."""
    row.suptitle("how it grew: the mean of these maps during training", fontsize=10)
    for (batch, values), axes in zip(growth.items(), row.subplots(1, len(growth), squeeze=False)[0]):
        axes.imshow(values, aspect=aspect(len(values), len(values[0])), **COLORS)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"batch {batch}", fontsize=9)


def panels_of(batch, prediction, alignment):
    """Returns the maps of attention for draw().

    Args:
      batch: a helpers.Batch.
      prediction: int32 [decoder_time, batch].
      alignment: float32 [decoder_time, batch, time], the weights.
    """
    sequences = []
    for column, length in enumerate(batch.lengths):
        steps = batch.target_lengths[column] + EXTRA_DECODER_STEPS
        weights = alignment[:steps, column, :length]
        sequences.append((batch.inputs[:length, column], prediction[:steps, column], weights))
    return sequences


def reported(metrics, config):
    """Returns what the figures of a run are about, a dict as in metrics.json."""
    if not config.data:
        return "held-out sequences"
    return "test inputs" if "test" in metrics else "validation inputs"


def title(config):
    """Returns the task, the unusual parts of the model and the seed, in a few words."""
    changes = [config.cell.upper()] if config.cell != "lstm" else []
    changes += [f"{config.layers} layers"] if config.layers > 1 else []
    changes += [f"{config.encoder} encoder"] if config.encoder != "bidirectional" else []
    changes += [f"{config.attention} attention"] if config.attention != "none" else []
    return ", ".join([config.data.name if config.data else config.task, *changes, f"seed {config.seed}"])


def label_names(config):
    """Returns how each symbol is written on an axis: PAD and EOS by their names, long names shortened."""
    names = [*RESERVED, *map(outside.named, config.vocabulary[FIRST_SYMBOL:])]
    return [
        name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}" for name in names
    ]


def fonts_for(characters):
    """Returns names of fonts: the usual one, and the installed one that has most of the characters it lacks."""
    from matplotlib import font_manager

    def found_in(path):
        try:
            return missing.intersection(font_manager.get_font(path).get_charmap())
        except (OSError, RuntimeError):  # removed after matplotlib listed it, or not readable
            return set()

    missing = set(map(ord, characters))
    missing -= found_in(font_manager.findfont("DejaVu Sans"))
    if not missing:
        return ["DejaVu Sans"]
    # The font of last resort shows every character as a box.
    fonts = [font for font in font_manager.fontManager.ttflist if not font.name.startswith("Last Resort")]
    font = max(fonts, key=lambda font: len(found_in(font.fname)))
    for character in sorted(missing - found_in(font.fname))[:1]:
        log.warning("no installed font has %s; it is drawn as a box", ascii(chr(character)))
    return ["DejaVu Sans", font.name]
