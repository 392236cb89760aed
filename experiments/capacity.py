"""How long a sequence fits into how many units, and how each model falls beyond the lengths that it was trained on.

    python -m experiments.capacity             three seeds
    python -m experiments.capacity --seeds 1   one seed

Trains LSTM, GRU, and LSTM with attention, with 10 to 160 units in the decoder, on sequences of 3 to 30 symbols. Asks
each for 200 sequences of every length up to 40, and of some up to 300, and finds the length at which half of them are
exact. Prints Markdown tables, and saves plots/capacity.png and plots/memory-length.png.

All models get the same number of batches. They are trained with teacher forcing: the question is what the state holds,
and with the decoder's own predictions as its inputs the same batches teach less. The last table shows how much, and
what other budgets and lengths in training change.
"""

import argparse
import functools
import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from support.terminal.settings import Config, whole_number
from tqdm import tqdm

import helpers
from experiments import training
from helpers import FIRST_SYMBOL
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import pictures

SEEDS = 3
BATCHES = 1000
UNITS = (10, 20, 40, 80, 160)  # of the decoder: half of them in each direction of the encoder
USUAL_UNITS = 40
ASKED_LENGTHS = (*range(3, 41), 45, 50, 60, 75, 100, 150, 200, 300)
SHOWN_LENGTHS = (10, 20, 30, 40, 50, 100, 200, 300)  # in the table
SEQUENCES = 200  # of each length

FORMS = {  # settings, and with how many units
    "LSTM": ({}, UNITS),
    "GRU": ({"cell": "gru"}, UNITS),
    "LSTM, Luong attention": ({"attention": "luong"}, UNITS[:3]),  # which copy all lengths in training
}
BAHDANAU = {"LSTM, Bahdanau attention": {"attention": "bahdanau"}}
HEAD = "| model | units | weights | length at 50 % | worst | best | bits | bits a unit |\n" + "|---" * 8 + "|"
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


def settings(units, **changes):
    """Returns the settings of a model, as for Config."""
    common = {"max_batches": BATCHES, "length_to": 30, "feedback": "teacher", "held_out_sequences": 1}
    return common | {"encoder_hidden_units": units // 2} | changes


@functools.cache
def questions():
    """Returns a helpers.Batch of SEQUENCES random sequences for each of ASKED_LENGTHS."""
    config, generator = Config(), np.random.default_rng(1_000_000)
    shapes = [(SEQUENCES, length) for length in ASKED_LENGTHS]
    return [
        helpers.task_batch("copy", list(generator.integers(FIRST_SYMBOL, config.vocab_size, shape, np.int32)))
        for shape in shapes
    ]


def measure(settings):
    """Trains a model.

    Args:
      settings: dict of keyword arguments of a settings.Config.

    Returns:
      weights: int, how many numbers the model learns.
      exact: float [lengths], the share of exact answers for each of ASKED_LENGTHS.
      right: float [lengths], the share of symbols, EOS among them, that are right.
    """
    model = training.build(Config(**settings))
    weights = sum(math.prod(variable.shape.as_list()) for variable in tf.trainable_variables())
    training.take(model, model.config.max_batches)
    answers = [training.evaluate(model, batch) for batch in questions()]
    model.session.close()
    exact = np.array([exact.mean() for exact, _ in answers])
    right = np.array([tokens.mean() for _, tokens in answers]) / (np.array(ASKED_LENGTHS) + 1)
    return weights, exact, right


def length_at_half(lengths, exact):
    """Returns the length at which the share of exact answers falls below a half for good, interpolated linearly.

    Args:
      lengths: int [n], growing.
      exact: float [n], a share for each length.

    Returns:
      float; 0 if no share reaches a half, the last length if the last share does.
    """
    reached = np.flatnonzero(np.asarray(exact) >= 0.5)
    if not reached.size:
        return 0.0
    last = reached[-1]
    if last + 1 == len(lengths):
        return float(lengths[last])
    return float(np.interp(0.5, [exact[last + 1], exact[last]], [lengths[last + 1], lengths[last]]))


def halves(runs):
    """Returns the length_at_half() of each of some results of measure()."""
    return np.array([length_at_half(ASKED_LENGTHS, exact) for _, exact, _ in runs])


def bits(length):
    """Returns the bits of a random sequence of symbols."""
    return length * math.log2(Config.vocab_size - FIRST_SYMBOL)


def row(title, units, runs):
    """Returns a line of the tables."""
    lengths, weights = halves(runs), runs[0][0]
    median = np.median(lengths)
    figures = f"{median:.1f} | {lengths.min():.1f} | {lengths.max():.1f} | {bits(median):.0f}"
    return f"| {title} | {units} | {weights:,} | {figures} | {bits(median) / units:.2f} |"


def capacity_picture(results):
    """Draws the length at which half of the answers are exact over the units.

    Args:
      results: dict from (title, units) to a list of results of measure().
    """
    figure = Figure(figsize=(7, 4.8), dpi=120, layout="constrained")
    axes = figure.subplots()
    for (title, (_, sizes)), marker in zip(FORMS.items(), "os^"):
        lengths = np.array([halves(results[title, units]) for units in sizes])  # [units, seeds]
        axes.plot(sizes, np.median(lengths, axis=1), marker=marker, label=title)
        axes.fill_between(sizes, lengths.min(axis=1), lengths.max(axis=1), alpha=0.2)
    axes.axhline(30, color="gray", linewidth=0.8, linestyle=":")
    axes.annotate("longest in training", (UNITS[-1], 30), ha="right", va="bottom", fontsize=8, color="gray")
    one_each = np.array(UNITS[:3])
    axes.plot(one_each, one_each, "--", color="gray", linewidth=0.8, label="one symbol (3 bits) a unit")
    axes.set_xscale("log", base=2)
    axes.set_xticks(UNITS, [str(units) for units in UNITS])
    axes.set_xlabel("units of the decoder")
    axes.set_ylabel("length at which half are exact [symbols]")
    axes.set_ylim(0)
    in_bits = axes.secondary_yaxis("right", functions=(bits, lambda amount: amount / bits(1)))
    in_bits.set_ylabel("the same in bits")
    seeds = len(results[next(iter(results))])
    axes.set_title(f"What fits into the units after {BATCHES:,} batches: median and range of seeds 0 to {seeds - 1}")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def length_picture(results):
    """Draws exact answers and right symbols over the length, from a dict from title to results of measure()."""
    figure = Figure(figsize=(9, 4.2), dpi=120, layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, kind, label in zip(panels, (1, 2), ("sequences that are exact [%]", "symbols that are right [%]")):
        for (title, runs), style in zip(results.items(), ("o-", "s-", "^-", "v--")):
            shares = 100 * np.array([run[kind] for run in runs])  # [seeds, lengths]
            axes.plot(ASKED_LENGTHS, np.median(shares, axis=0), style, markersize=3, label=title)
            axes.fill_between(ASKED_LENGTHS, shares.min(axis=0), shares.max(axis=0), alpha=0.2)
        axes.axvspan(3, 30, color="gray", alpha=0.12, linewidth=0)
        axes.set_xscale("log")
        axes.set_xticks([3, 5, 10, 20, 30, 50, 100, 200, 300], ["3", "5", "10", "20", "30", "50", "100", "200", "300"])
        axes.minorticks_off()
        axes.set_xlabel("length of the sequence")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    panels[1].axhline(100 / (Config.vocab_size - FIRST_SYMBOL), color="gray", linestyle=":", label="by chance")
    panels[1].legend(fontsize=8)
    seeds = len(next(iter(results.values())))
    figure.suptitle(
        f"{USUAL_UNITS} units, trained on 3 to 30 symbols (gray): median and range of seeds 0 to {seeds - 1}"
    )
    return figure


def main():
    parser = argparse.ArgumentParser(description="How long a sequence fits into how many units.")
    parser.add_argument("--seeds", type=whole_number(1, 1000), default=SEEDS, metavar="N", help=f"default: {SEEDS}")
    seeds = range(parser.parse_args().seeds)
    models = {(title, units): settings(units, **form) for title, (form, sizes) in FORMS.items() for units in sizes}
    models |= {(title, USUAL_UNITS): settings(USUAL_UNITS, **form) for title, form in BAHDANAU.items()}
    checks = {title: settings(**{"units": USUAL_UNITS} | changes) for title, changes in CHECKS.items()}

    @functools.cache
    def measured(model):
        return [measure(dict(model) | {"seed": seed}) for seed in progress(seeds)]

    def runs_of(model):
        return measured(tuple(sorted(model.items())))

    progress = functools.partial(tqdm, unit=" runs", disable=None, leave=False)
    print(HEAD)
    results = {}
    for (title, units), model in models.items():
        results[title, units] = runs_of(model)
        print(row(title, units, results[title, units]), flush=True)

    by_title = {title: results[title, USUAL_UNITS] for title in (*FORMS, *BAHDANAU)}
    pictures.save(capacity_picture(results), Path("plots/capacity.png"))
    pictures.save(length_picture(by_title), Path("plots/memory-length.png"))

    shown = [ASKED_LENGTHS.index(length) for length in SHOWN_LENGTHS]
    print(f"\n| exact, then symbols right | {' | '.join(map(str, SHOWN_LENGTHS))} |")
    print("|---|" + "---|" * len(shown))
    for title, runs in by_title.items():
        exact, right = (100 * np.median([run[kind] for run in runs], axis=0) for kind in (1, 2))
        print(f"| {title} | {' | '.join(f'{exact[index]:.0f}, {right[index]:.0f} %' for index in shown)} |")

    print(f"\n{HEAD}")
    for title, model in checks.items():
        print(row(title, 2 * model["encoder_hidden_units"], runs_of(model)), flush=True)


if __name__ == "__main__":
    main()
