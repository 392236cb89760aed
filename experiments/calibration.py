"""Whether the default model is right as often as it is sure.

    python -m experiments.calibration

Trains the default command with seeds 0 to 9, two runs at a time. Asks each run, by `--predict - --json`, for its
answers to 10,000 random sequences from a stream of their own. Prints a Markdown table of the symbols of the answers
(EOS among them) by their probability, and saves plots/calibration.png.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from support.terminal.settings import Config

from helpers import EOS, FIRST_SYMBOL, random_sequences
from support.terminal import pictures

SCRIPT = Path(__file__).parent.parent / "seq2seq_copy.py"
SEEDS = range(10)
SEQUENCES = 10_000
EDGES = [0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.000001]  # of probability


def answers_of(seed):
    """Trains and asks one run.

    Returns:
      probabilities: float [symbols], of each symbol that it answers.
      is_right: bool [symbols], whether the sequence has the same symbol, or its end, at that place.
    """
    config = Config()
    symbols = (config.length_from, config.length_to, FIRST_SYMBOL, config.vocab_size)
    sequences = [sequence.tolist() for sequence in next(random_sequences(*symbols, SEQUENCES, 1_000_000 + seed))]
    lines = "\n".join(" ".join(map(str, sequence)) for sequence in sequences)
    with tempfile.TemporaryDirectory() as folder:
        options = {"cwd": folder, "check": True, "capture_output": True, "text": True}
        subprocess.run([sys.executable, SCRIPT, "--seed", str(seed), "--samples", "0"], **options)
        asked = subprocess.run([sys.executable, SCRIPT, "--predict", "-", "--json"], input=lines, **options)
    probabilities, is_right = [], []
    for sequence, line in zip(sequences, asked.stdout.splitlines()):
        (prediction,) = json.loads(line)["predictions"]
        answer = [*map(int, prediction["symbols"]), *([EOS] if prediction["ended"] else [])]
        expected = [*sequence, EOS, *[None] * len(answer)]
        probabilities += prediction["probabilities"]
        is_right += [symbol == right for symbol, right in zip(answer, expected)]
    return np.array(probabilities), np.array(is_right)


def picture(rows):
    """Draws how often symbols are wrong over how unsure the model is of them, from the rows of the table."""
    figure = Figure(figsize=(6, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    unsure = np.array([100 * (1 - mean) for _, _, mean, _ in rows])
    wrong = np.array([100 * (1 - right) for *_, right in rows])
    bounds = np.array([100 * 3 / symbols for _, symbols, *_ in rows])  # the rule of three
    some = wrong > 0
    axes.loglog(unsure[some], wrong[some], "o", color="tab:green", label="the default model, seeds 0 to 9")
    axes.loglog(unsure[~some], bounds[~some], "v", color="tab:green", mfc="none", label="no error: less, with 95 %")
    axes.loglog(unsure, unsure, ":", color="gray", label="as sure as right")
    axes.set_xlabel("100 % minus the mean probability [%]")
    axes.set_ylabel("symbols that are wrong [%]")
    axes.set_title("How often a symbol is wrong, by how sure the model is")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with ThreadPoolExecutor(2) as threads:
        probabilities, is_right = map(np.concatenate, zip(*threads.map(answers_of, SEEDS)))
    rows = []
    print("| probability | symbols | mean probability | right |\n|---|---|---|---|")
    for low, high in zip(EDGES, EDGES[1:]):
        inside = (probabilities >= low) & (probabilities < high)
        if inside.any():
            rows.append((low, int(inside.sum()), probabilities[inside].mean(), is_right[inside].mean()))
            _, symbols, mean, right = rows[-1]
            print(f"| {low:g} to {min(high, 1):g} | {symbols} | {100 * mean:.3f} % | {100 * right:.3f} % |")
    print(f"\n{len(is_right)} symbols, mean probability {probabilities.mean():.4%}, right {is_right.mean():.4%}")
    pictures.save(picture(rows), Path("plots/calibration.png"))


if __name__ == "__main__":
    main()
