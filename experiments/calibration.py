"""Whether the default model is right as often as it is sure.

    python -m experiments.calibration

Trains the default command with seeds 0 to 9, two runs at a time. Asks each run, with `--predict - --json`, for its
answers to 10,000 random sequences from a separate stream. Prints a Markdown table of the symbols of the answers,
including EOS, by their probability, and saves plots/calibration.png.
"""

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
SEQUENCES = 10_000
EDGES = [0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.000001]  # of probability


def ask(seed):
    """Trains one run, and asks it.

    Returns:
      probabilities: float [symbols], of each symbol in its answers.
      is_right: bool [symbols], whether the sequence has the same symbol, or its end, in that place.
    """
    config = Settings()
    symbols = (config.length_from, config.length_to, FIRST_SYMBOL, config.vocab_size)
    sequences = [sequence.tolist() for sequence in next(random_sequences(*symbols, SEQUENCES, 1_000_000 + seed))]
    lines = "\n".join(" ".join(map(str, sequence)) for sequence in sequences)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, SCRIPT, "--run-dir", "run"]
        common.output_of([*command, "--seed", str(seed), "--samples", "0"], cwd=folder)
        answers = common.output_of([*command, "--predict", "-", "--json"], cwd=folder, input=lines)
    probabilities, is_right = [], []
    for sequence, line in zip(sequences, answers.splitlines()):
        (prediction,) = json.loads(line)["predictions"]
        answer = [*map(int, prediction["symbols"]), *([EOS] if prediction["ended"] else [])]
        expected = [*sequence, EOS, *[None] * len(answer)]
        probabilities += prediction["probabilities"]
        is_right += [symbol == right for symbol, right in zip(answer, expected)]
    return np.array(probabilities), np.array(is_right)


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
    with ThreadPoolExecutor(2) as threads:
        probabilities, is_right = map(np.concatenate, zip(*threads.map(ask, SEEDS)))
    ranges = list(by_probability(probabilities, is_right))
    rows = [
        [f"{low:g} to {high:g}", count, *(percent(share, 3) for share in both)] for low, high, count, *both in ranges
    ]
    common.print_table(["probability", "symbols", "mean probability", "right"], rows)
    print(f"{len(is_right)} symbols, mean probability {probabilities.mean():.4%}, right {is_right.mean():.4%}")
    pictures.save(picture(ranges), Path("plots/calibration.png"))


if __name__ == "__main__":
    main()
