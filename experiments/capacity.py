"""How long a sequence fits into how many units, and how each model fails beyond the lengths that it was trained on.

    python -m experiments.capacity             three seeds
    python -m experiments.capacity --seeds 1   one seed

Trains LSTM, GRU, and LSTM with attention, with 10 to 160 units in the decoder, on sequences of 3 to 30 symbols. Asks
each for 200 sequences of every length up to 40, and of some up to 300, and finds the length at which half of them are
exact. Prints Markdown tables, and saves plots/capacity.png and plots/memory-length.png.

All models get the same number of batches. They are trained with teacher forcing: the question is what the state holds,
but with the decoder's own predictions as its inputs the same batches teach less. The last table shows how much less,
and what other budgets and lengths in training change.
"""

import functools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

import helpers
from experiments import common
from helpers import FIRST_SYMBOL
from seq2seq_copy import evaluate
from support.pictures import heat_maps, pictures
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

SEEDS = 3
BATCHES = 1000
UNITS = (10, 20, 40, 80, 160)  # of the decoder: half of them in each direction of the encoder
USUAL_UNITS = 40
ASKED_LENGTHS = (*range(3, 41), 45, 50, 60, 75, 100, 150, 200, 300)
SHOWN_LENGTHS = (10, 20, 30, 40, 50, 100, 200, 300)  # in the table
SEQUENCES = 200  # of each length

FORMS = {  # settings, and the numbers of units
    "LSTM": ({}, UNITS),
    "GRU": ({"cell": "gru"}, UNITS),
    "LSTM, Luong attention": ({"attention": "luong"}, UNITS[:3]),  # these already copy all lengths in training
}
BAHDANAU = {"LSTM, Bahdanau attention": {"attention": "bahdanau"}}
HEAD = ["model", "units", "weights", "length at 50 %", "worst", "best", "bits", "bits per unit"]
CHECKS = {  # settings that differ
    "LSTM": {},
    "a third of the batches": {"max_batches": BATCHES // 3},
    "four times the batches": {"max_batches": 4 * BATCHES},
    "the decoder reads its own predictions in training": {"feedback": "argmax"},
    "LSTM, 10 units": {"units": 10},
    "10 units, four times the batches": {"units": 10, "max_batches": 4 * BATCHES},
    "10 units, trained on 3 to 10 symbols": {"units": 10, "length_to": 10},
    "LSTM, 160 units": {"units": 160},
    "160 units, a third of the batches": {"units": 160, "max_batches": BATCHES // 3},
}


def config_of(units, **changes):
    """Returns the Settings of a model."""
    usual = {"max_batches": BATCHES, "length_to": 30, "feedback": "teacher", "held_out_sequences": 1}
    return Settings(encoder_hidden_units=units // 2, **usual | changes)


@functools.cache
def questions():
    """Returns a helpers.Batch of SEQUENCES random sequences for each of ASKED_LENGTHS."""
    generator = np.random.default_rng(1_000_000)
    return [
        helpers.task_batch("copy", list(generator.integers(FIRST_SYMBOL, Settings.vocab_size, shape, np.int32)))
        for shape in [(SEQUENCES, length) for length in ASKED_LENGTHS]
    ]


def measure(config):
    """Trains a model; returns its number of weights, and by length the shares of exact answers and of right symbols."""
    model, _, _ = common.train_model(config)
    weights = sum(math.prod(variable.shape.as_list()) for variable in tf.trainable_variables())
    answers = [evaluate(model, batch) for batch in questions()]
    model.session.close()
    exact = np.array([exact.mean() for exact, _ in answers])
    right = np.array([tokens.mean() for _, tokens in answers]) / (np.array(ASKED_LENGTHS) + 1)
    return weights, exact, right


def length_at_half(lengths, exact):
    """Returns the length at which the share of exact answers falls below a half for good, interpolated linearly.

    It is 0 if no share reaches a half, and the last length if the last share does.
    """
    reached = np.flatnonzero(np.asarray(exact) >= 0.5)
    if not reached.size:
        return 0.0
    last = reached[-1]
    if last + 1 == len(lengths):
        return float(lengths[last])
    return float(np.interp(0.5, [exact[last + 1], exact[last]], [lengths[last + 1], lengths[last]]))


def halves(runs):
    """Returns the length_at_half() of each result of measure()."""
    return np.array([length_at_half(ASKED_LENGTHS, exact) for _, exact, _ in runs])


def bits(length):
    """Returns how many bits a random sequence of symbols holds."""
    return length * math.log2(Settings.vocab_size - FIRST_SYMBOL)


def row(title, config, runs):
    """Returns a row of the tables."""
    units = 2 * config.encoder_hidden_units
    lengths, weights = halves(runs), runs[0][0]
    length = np.median(lengths)
    shown = [f"{number:.1f}" for number in (length, lengths.min(), lengths.max())]
    return [title, units, f"{weights:,}", *shown, f"{bits(length):.0f}", f"{bits(length) / units:.2f}"]


def capacity_picture(results):
    """Draws the length at which half are exact over the units; results: those of measure(), by (title, units)."""
    seeds = len(next(iter(results.values())))
    title = f"What fits into the units after {BATCHES:,} batches: median and range of seeds 0 to {seeds - 1}"
    labels = {"xlabel": "units of the decoder", "ylabel": "length at which half are exact [symbols]", "title": title}
    figure, axes = common.new_axes(7, 4.8, **labels)
    for (title, (_, sizes)), style in zip(FORMS.items(), ("o-", "s-", "^-")):
        lengths = np.transpose([halves(results[title, units]) for units in sizes])  # [seeds, units]
        common.plot_spread(axes, sizes, lengths, style, label=title)
    axes.axhline(30, color="gray", linewidth=0.8, linestyle=":")
    axes.annotate("longest in training", (UNITS[-1], 30), ha="right", va="bottom", fontsize=8, color="gray")
    axes.plot(UNITS[:3], UNITS[:3], "--", color="gray", linewidth=0.8, label="one symbol (3 bits) per unit")
    axes.set_xscale("log", base=2)
    axes.set_xticks(UNITS, [str(units) for units in UNITS])
    axes.set_ylim(0)
    in_bits = axes.secondary_yaxis("right", functions=(bits, lambda amount: amount / bits(1)))
    in_bits.set_ylabel("the same in bits")
    axes.legend()
    return figure


def length_picture(results):
    """Draws how exact and how right the answers are over the length; results: those of measure(), by title."""
    figure = heat_maps.new_figure(9, 4.2)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, kind, label in zip(panels, (1, 2), ("sequences that are exact [%]", "symbols that are right [%]")):
        for (title, runs), style in zip(results.items(), ("o-", "s-", "^-", "v--")):
            shares = [100 * run[kind] for run in runs]  # [seeds, lengths]
            common.plot_spread(axes, ASKED_LENGTHS, shares, style, markersize=3, label=title)
        axes.axvspan(3, 30, color="gray", alpha=0.12, linewidth=0)
        axes.set_xscale("log")
        axes.set_xticks([3, 5, 10, 20, 30, 50, 100, 200, 300], ["3", "5", "10", "20", "30", "50", "100", "200", "300"])
        axes.minorticks_off()
        axes.set(xlabel="length of the sequence", ylabel=label)
        axes.grid(alpha=0.3)
    panels[1].axhline(100 / (Settings.vocab_size - FIRST_SYMBOL), color="gray", linestyle=":", label="by chance")
    panels[1].legend(fontsize=8)
    seeds = len(next(iter(results.values())))
    figure.suptitle(
        f"{USUAL_UNITS} units, trained on 3 to 30 symbols (gray): median and range of seeds 0 to {seeds - 1}"
    )
    return figure


def length_rows(results):
    """Yields the rows of the table of SHOWN_LENGTHS; results as for length_picture()."""
    for title, runs in results.items():
        exact, right = (100 * np.median([run[kind] for run in runs], axis=0) for kind in (1, 2))
        shown = map(ASKED_LENGTHS.index, SHOWN_LENGTHS)
        yield [title, *(f"{exact[index]:.0f}, {right[index]:.0f} %" for index in shown)]


def main():
    seeds = range(common.parser(__doc__, SEEDS).parse_args().seeds)
    progress = functools.partial(tqdm, unit=" runs", disable=None, leave=False)

    @functools.cache
    def runs_of(config):
        return [measure(replace(config, seed=seed)) for seed in progress(seeds)]

    models = {(title, units): config_of(units, **form) for title, (form, sizes) in FORMS.items() for units in sizes}
    models |= {(title, USUAL_UNITS): config_of(USUAL_UNITS, **form) for title, form in BAHDANAU.items()}
    common.print_table(HEAD, (row(title, config, runs_of(config)) for (title, _), config in models.items()))
    results = {key: runs_of(config) for key, config in models.items()}
    pictures.save(capacity_picture(results), Path("plots/capacity.png"))

    by_title = {title: results[title, USUAL_UNITS] for title in (*FORMS, *BAHDANAU)}
    common.print_table(["exact, then symbols right", *SHOWN_LENGTHS], length_rows(by_title))
    pictures.save(length_picture(by_title), Path("plots/memory-length.png"))

    checks = {title: config_of(**{"units": USUAL_UNITS} | changes) for title, changes in CHECKS.items()}
    common.print_table(HEAD, (row(title, config, runs_of(config)) for title, config in checks.items()))


if __name__ == "__main__":
    main()
