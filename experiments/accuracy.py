"""How exactly the default model copies, over seeds 0 to 9.

    python -m experiments.accuracy

Runs the command itself with 3,001 and with 10,000 batches, two runs at a time, and prints a Markdown table: exact match
on the 10,000 held-out sequences of each run, and on those that never occur in its training.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parent.parent / "seq2seq_copy.py"
SEEDS = range(10)
BUDGETS = (3001, 10_000)


def metrics_of(max_batches, seed):
    """Trains one run; returns what its metrics.json holds."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--max-batches", str(max_batches), "--seed", str(seed), "--run-dir", "run", "--samples", "0"]
        subprocess.run([sys.executable, SCRIPT, *flags], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return json.loads((Path(folder) / "run/metrics.json").read_text())


def row(title, shares):
    """Returns a line of the table, with the median and the worst of the shares."""
    figures = [*shares, np.median(shares), min(shares)]
    return f"| {title} | {' | '.join(f'{100 * share:.2f} %' for share in figures)} |"


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"| `--seed` | {' | '.join(map(str, SEEDS))} | median | worst |")
    print("|---|" + "---|" * (len(SEEDS) + 2))
    with ThreadPoolExecutor(2) as threads:
        for max_batches in BUDGETS:
            runs = list(threads.map(lambda seed, budget=max_batches: metrics_of(budget, seed), SEEDS))
            print(row(f"{max_batches} batches", [run["exact_match"]["share"] for run in runs]))
            print(row("of these, never seen in training", [run["exact_match_never_seen"]["share"] for run in runs]))


if __name__ == "__main__":
    main()
