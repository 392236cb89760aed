"""How exactly the default model copies, over seeds 0 to 9.

    python -m experiments.accuracy

Runs the command itself with 3,001 and with 10,000 batches, two runs at a time, and prints a Markdown table: exact match
on the 10,000 held-out sequences of each run, and on the ones that never occur in its training.
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

SEEDS = range(10)
BUDGETS = (3001, 10_000)


def exact_match(max_batches, seed):
    """Trains one run; returns the exact share of all held-out sequences, and of those never seen in training."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--max-batches", str(max_batches), "--seed", str(seed), "--run-dir", "run", "--samples", "0"]
        common.output_of([sys.executable, SCRIPT, *flags], cwd=folder)
        metrics = json.loads((Path(folder) / "run/metrics.json").read_text())
    return metrics["exact_match"]["share"], metrics["exact_match_never_seen"]["share"]


def rows():
    with ThreadPoolExecutor(2) as threads:
        for max_batches in BUDGETS:
            runs = threads.map(functools.partial(exact_match, max_batches), SEEDS)
            for title, shares in zip((f"{max_batches} batches", "of these, never seen in training"), zip(*runs)):
                yield [title, *map(percent, [*shares, np.median(shares), min(shares)])]


def main():
    common.parser(__doc__).parse_args()
    common.print_table(["`--seed`", *SEEDS, "median", "worst"], rows())


if __name__ == "__main__":
    main()
