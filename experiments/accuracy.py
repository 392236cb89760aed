"""How exactly the default model copies, over seeds 0 to 9, and whether it is right as often as it is sure.

    python -m experiments.accuracy

Runs the command itself with 3,001 and with 10,000 batches, two runs at a time. Prints a Markdown table of the exact
match on the 10,000 held-out sequences of each run, and on the ones that never occur in its training. Asks each run of
3,001 batches, with `--predict - --json`, for its answers to 10,000 random sequences from a separate stream. Prints a
table of the symbols of these answers, including EOS, by their probability, and saves plots/calibration.png.
"""

import functools
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from experiments import common
from experiments.common import SCRIPT, percent
from helpers import EOS, FIRST_SYMBOL, random_sequences
from support.pictures import pictures
from support.settings import Settings

SEEDS = range(10)
MORE_BATCHES = 10_000
SEQUENCES = 10_000  # that a run is asked for
EDGES = [0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.000001]  # of probability


def train(max_batches, seed, ask=None):
    """Trains a run; returns the exact shares of all and of never seen held-out sequences, and what ask() returns."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, SCRIPT, "--run-dir", "run"]
        flags = ["--max-batches", str(max_batches), "--seed", str(seed), "--samples", "0"]
        common.output_of([*command, *flags], cwd=folder)
        metrics = json.loads((Path(folder) / "run/metrics.json").read_text())
        answered = ask and ask([*command, "--predict", "-", "--json"], folder, seed)
    return [metrics[name]["share"] for name in ("exact_match", "exact_match_never_seen")], answered


def answers(command, folder, seed):
    """Asks a run for random sequences; returns the probability of each answered symbol, and whether it is right."""
    config = Settings()
    symbols = (config.length_from, config.length_to, FIRST_SYMBOL, config.vocab_size)
    sequences = [sequence.tolist() for sequence in next(random_sequences(*symbols, SEQUENCES, 1_000_000 + seed))]
    lines = "\n".join(" ".join(map(str, sequence)) for sequence in sequences)
    probabilities, is_right = [], []
    for sequence, line in zip(sequences, common.output_of(command, cwd=folder, input=lines).splitlines()):
        (prediction,) = json.loads(line)["predictions"]
        answer = [*map(int, prediction["symbols"]), *([EOS] if prediction["ended"] else [])]
        expected = [*sequence, EOS, *[None] * len(answer)]
        probabilities += prediction["probabilities"]
        is_right += [symbol == right for symbol, right in zip(answer, expected)]
    return np.array(probabilities), np.array(is_right)


def rows(max_batches, shares):
    """Yields two rows of the first table. shares: those of train(), for each seed."""
    for title, of_seeds in zip((f"{max_batches} batches", "of these, never seen in training"), zip(*shares)):
        yield [title, *map(percent, [*of_seeds, np.median(of_seeds), min(of_seeds)])]


def by_probability(probabilities, is_right):
    """Yields (low, high, symbols, mean probability, share that is right) for each range of probability."""
    for low, high in zip(EDGES, EDGES[1:]):
        inside = (probabilities >= low) & (probabilities < high)
        if inside.any():
            yield low, min(high, 1), inside.sum(), probabilities[inside].mean(), is_right[inside].mean()


def picture(ranges):
    """Draws how often symbols are wrong over how unsure the model is of them; ranges come from by_probability()."""
    _, _, symbols, means, right = np.transpose(ranges)
    unsure, wrong = 100 * (1 - means), 100 * (1 - right)
    some = wrong > 0
    title = "How often a symbol is wrong, by how sure the model is"
    labels = {"xlabel": "100 % minus the mean probability [%]", "ylabel": "symbols that are wrong [%]", "title": title}
    figure, axes = common.new_axes(6, 4.5, **labels)
    axes.loglog(unsure[some], wrong[some], "o", color="tab:green", label="the default model, seeds 0 to 9")
    bounds = 100 * 3 / symbols[~some]  # the rule of three
    axes.loglog(unsure[~some], bounds, "v", color="tab:green", mfc="none", label="no error: less, with 95 %")
    axes.loglog(unsure, unsure, ":", color="gray", label="as sure as right")
    axes.legend()
    return figure


def main():
    common.parser(__doc__).parse_args()
    default = Settings.max_batches
    head = ["`--seed`", *SEEDS, "median", "worst"]
    with ThreadPoolExecutor(2) as threads:
        shares, answered = zip(*threads.map(functools.partial(train, default, ask=answers), SEEDS))
        common.print_table(head, rows(default, shares))
    probabilities, is_right = map(np.concatenate, zip(*answered))
    ranges = list(by_probability(probabilities, is_right))
    table = [
        [f"{low:g} to {high:g}", count, *(percent(each, 3) for each in both)] for low, high, count, *both in ranges
    ]
    common.print_table(["probability", "symbols", "mean probability", "right"], table)
    print(f"{len(is_right)} symbols, mean probability {probabilities.mean():.4%}, right {is_right.mean():.4%}")
    pictures.save(picture(ranges), Path("plots/calibration.png"))
    with ThreadPoolExecutor(2) as threads:
        shares, _ = zip(*threads.map(functools.partial(train, MORE_BATCHES), SEEDS))
        common.print_table(head, rows(MORE_BATCHES, shares))


if __name__ == "__main__":
    main()
