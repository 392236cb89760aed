"""The pictures that a run saves. matplotlib is imported only where one is drawn, because it is slow to load."""

import functools
import io
import warnings

import numpy as np

import helpers
from support import outside
from support.pictures import heat_maps, occlusion, page
from support.run.history import EARLY_BATCHES
from support.run.whole_files import behind_link, write_whole

SMOOTHING_WINDOW = 50  # batches
ALIGNED_SEQUENCES = 4  # in the picture of attention


def look_early(run):
    """Keeps what pictures and page show of some early batches. run: a run.Run, before a checkpoint."""
    batch = run.history.rows[-1].batch
    if batch in EARLY_BATCHES:
        occlusion_maps(run, batch)
        page.save_weights(run)


def occlusion_maps(run, batch):
    """Returns occlusion.of_longest(), and adds its mean to the history. batch: the one that the weights are from."""
    maps = occlusion.of_longest(run.model, run.held_out.validation)
    mean = np.mean([changes for *_, changes in maps], axis=0)
    run.history.maps.setdefault(batch, mean.round(4).tolist())  # short in JSON
    return maps


def saves(run, metrics):
    """Returns functions that each draw a picture or the page of a run, and save it in its folder or beside --plot."""
    config, folder, final_batch = run.config, run.folder.path, run.final_batch

    @functools.cache
    def draw(name):
        if name == "loss":
            return loss_curve(run.history.rows, metrics, config, final_batch)
        if name == "memory":
            maps = {name: occlusion_maps(run, final_batch)}
            growth = {batch: values for batch, values in run.history.maps.items() if batch <= final_batch}
            return heat_maps.draw(maps, config, growth)
        batch, model = helpers.take(run.held_out.validation, 0, ALIGNED_SEQUENCES), run.model
        answers = model.session.run([model.decoder_prediction, model.alignment], model.feed(batch))
        return heat_maps.draw({name: heat_maps.panels_of(batch, *answers)}, config)

    @functools.cache
    def content(name, ending):
        return page.of_run(run, metrics) if name == "model" else encode(draw(name), ending)

    def save(name, path, ending):
        write_whole(path, content(name, ending))

    places = paths(config)
    if page.why_none(config):
        del places["model"]
    made = []
    for name, place in places.items():
        own = folder / (page.PAGE if name == "model" else f"{name}.png")
        endings = {behind_link(place): place.suffix, own: own.suffix}  # the target of a link may have any name
        made += [functools.partial(save, name, *each) for each in endings.items()]
    return made


def paths(config):
    """Returns the path of each picture and of the page, by name: all beside --plot, such as memory.png and loss.png."""
    others = ["memory"] + ["attention"] * (config.attention != "none") + ["model"]
    stem = config.plot.stem
    beside = {name: config.plot.with_stem(name if stem == "loss" else f"{stem}-{name}") for name in others}
    return {"loss": config.plot} | beside | {"model": beside["model"].with_suffix(".html")}


def loss_curve(rows, metrics, config, final_batch=None):
    """Draws the loss above the share of validation sequences that are not exact, both over batches on log axes.

    One more point shows the share of the set that the final report is about.

    Args:
      rows: a history.Row for each batch. The losses are above 0.
      metrics: dict of the final figures, as in metrics.json.
      config: the settings.Settings.
      final_batch: int, the batch that the final weights are from; None for the last.

    Returns:
      A matplotlib Figure.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    figure = heat_maps.new_figure(8, 6)
    loss_axes, error_axes = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    exact = metrics["exact_match"]
    kind = heat_maps.reported(metrics, config)
    achieved = f"{exact['share']:.2%} of {exact['sequences']} {kind} exact"
    figure.suptitle(outside.label(f"{heat_maps.title(config)}: {achieved}"), fontsize=11, wrap=True)

    batches, losses = [row.batch for row in rows], [row.loss for row in rows]
    window = min(SMOOTHING_WINDOW, len(rows))
    marker = "." if len(rows) <= SMOOTHING_WINDOW else None
    loss_axes.semilogy(batches, losses, marker=marker, color="tab:blue", alpha=0.3, linewidth=0.8, label="each batch")
    middles, means = moving_average(np.log(np.maximum(losses, np.finfo(np.float32).tiny)), window)
    loss_axes.semilogy(
        middles, np.exp(means), marker=marker, color="tab:blue", label=f"geometric mean of {window} batches"
    )
    validation = [(row.batch, row.validation_loss) for row in rows if row.validation_loss is not None]
    if validation:
        loss_axes.semilogy(*zip(*validation), color="tab:green", marker=".", label="validation")
    loss_axes.set_ylabel("cross-entropy [nats per step]")

    # A log axis has no 0: a model without an error is drawn where half an error would be.
    sets = [exact, *(metrics[name]["exact_match"] for name in ("validation", "test") if name in metrics)]
    nothing = 100 / (2 * max(each["sequences"] for each in sets))
    evaluated = [row for row in rows if row.validation_exact_match is not None]
    percent = [max(nothing, 100 * (1 - row.validation_exact_match)) for row in evaluated]
    error_axes.semilogy([row.batch for row in evaluated], percent, color="tab:green", marker=".", label="validation")
    final = max(nothing, 100 * (1 - exact["share"]))
    last = rows[-1].batch if final_batch is None else final_batch
    error_axes.semilogy([last], [final], "D", color="tab:red", label=f"{kind}, at the end", clip_on=False)
    error_axes.set_ylabel("not exact [%]")
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


def save(figure, path):
    """Saves a figure, whole or not at all. A link stays; its target is written.

    Args:
      figure: a matplotlib Figure.
      path: a pathlib.Path whose suffix gives the format.

    Raises:
      OSError: it cannot be written. An earlier picture of that name is untouched.
    """
    write_whole(behind_link(path), encode(figure, path.suffix))


def encode(figure, ending):
    """Returns the bytes of a picture in the format of a file suffix."""
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # it is drawn as a box
        figure.savefig(picture, format=ending[1:])
    return picture.getvalue()
