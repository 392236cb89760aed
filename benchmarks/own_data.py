"""This script, PyTorch and JAX at the sizes of own data: python -m benchmarks.own_data.

The model is the one that --data trains by default (docs/own-data.md). The peers must reach the same losses without
dropout. Then they are timed with it: each draws its own coins.
"""

import itertools
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks import machine, peers, tables, work
from benchmarks.peers import JAX, SCRIPT, TORCH
from experiments.common import parser, print_table
from support.errors import counted
from support.settings import FOR_PAIRS, Settings

PEERS = (SCRIPT, TORCH, JAX)
MODEL = Settings(length_from=5, length_to=12, **FOR_PAIRS)
VOCABULARIES = (50, 10_000)
THREADS = (1, 2)
CHECKED = 10  # losses
ROUNDS, SECONDS = 5, 2.0  # of each form in each round


def take_turns(path, cache, threads, *how):
    """Returns the first losses of each peer, and its steps per second of each round, by the number of threads too."""
    forms = {
        (name, number): [peers.process_of(name, path, CHECKED, cache, number)]
        for name, number in itertools.product(PEERS, threads)
    }
    firsts, rates, _ = tables.take_turns(forms, *how)
    return [first["losses"] for first in firsts.values()], rates


def rows(folder, quiet):
    """Yields the rows of the table; the ratios are to the better number of threads of each peer."""
    path = folder / "work.npz"
    for vocab_size in VOCABULARIES:
        work.make(path, replace(MODEL, vocab_size=vocab_size, dropout=0.0))
        losses, _ = take_turns(path, folder, THREADS[:1], 0, 0, quiet)
        peers.compare(losses)
        work.make(path, replace(MODEL, vocab_size=vocab_size))
        _, rates = take_turns(path, folder, THREADS, ROUNDS, SECONDS, quiet)
        best = {name: max((rates[name, threads] for threads in THREADS), key=statistics.median) for name in PEERS}
        for name in PEERS:
            cells = [tables.median_and_spread(rates[name, threads], 1) for threads in THREADS]
            yield [f"{vocab_size:,}", name, *cells, *(tables.ratio(best[name], best[other]) for other in PEERS[1:])]


def main():
    parser(__doc__).parse_args()
    print(machine.describe() + "\n", flush=True)
    quiet = machine.Quiet()
    head = ["symbols", "", *(f"{counted(threads, 'thread')}, steps/s" for threads in THREADS)]
    with tempfile.TemporaryDirectory() as folder:
        print_table([*head, *(f"to {name}" for name in PEERS[1:])], rows(Path(folder), quiet))
    print(f"{ROUNDS} rounds of {SECONDS} s: median, and least to most. {quiet.note()}")


if __name__ == "__main__":
    main()
