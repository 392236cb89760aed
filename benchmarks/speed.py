"""Training steps a second, once all is prepared: of each peer, and as the sizes grow."""

import contextlib
import statistics

import numpy as np

from benchmarks import machine, peers, work
from benchmarks.peers import JAX, PEERS, RAW_RNN, SCRIPT, TALK, TORCH_COMPILE, Peer
from benchmarks.tables import median_and_spread, median_ratio, table

ROUNDS, STEPS = 15, 100
GROWTH = {  # one size at a time; the others as by default
    "batch_size": [10, 32, 100, 320, 1000],
    "encoder_hidden_units": [20, 64, 128, 256],
    "length_to": [8, 16, 32, 64, 128],
}
GROWTH_ROUNDS, GROWTH_SECONDS = 3, 1


def same_losses(losses):
    """Returns the largest relative difference to the losses of tf.nn.raw_rnn; ends the benchmark if it is large."""
    expected = np.array(losses[RAW_RNN])
    difference = max(np.abs(np.array(values) / expected - 1).max() for values in losses.values())
    if difference > peers.LARGEST_DIFFERENCE:
        raise SystemExit(f"the peers do not do the same: their losses differ by {difference:.1%}")
    return difference


def steps_a_second(path, caches, quiet):
    """Prints how fast each peer takes the same steps; returns the medians.

    Args:
      path: of the work.
      caches: dict of name to the folder of the peer's compiled programs.
      quiet: a machine.Quiet.
    """
    with contextlib.ExitStack() as stack:
        processes, losses = {}, {}
        for name in PEERS:
            processes[name] = stack.enter_context(Peer(name, path, caches[name]))
            losses[name] = processes[name].answer()["losses"]
        difference = same_losses(losses)
        rates = {name: [] for name in PEERS}
        for _ in range(ROUNDS):
            quiet.wait()
            for name, peer in processes.items():
                rates[name].append(peer.take_steps(STEPS))

    print("## Training steps a second\n")
    print(f"{ROUNDS} rounds of {STEPS} steps: median, and least to most. The losses of the first {work.CHECKED_LOSSES}")
    print(f"steps agree to {difference:.0e}. {quiet.note()}\n")
    others = (JAX, TALK, TORCH_COMPILE)
    table(
        ["", "steps/s", *(f"to {name}" for name in others), "peak memory [MB]"],
        [
            [
                name,
                median_and_spread(rates[name]),
                *(f"{median_ratio(rates[name], rates[other]):.2f}" for other in others),
                f"{peer.memory:.0f}, {peer.memory - peer.after_import:.0f} after the imports",
            ]
            for name, peer in processes.items()
        ],
    )
    print(machine.matrix_product_bound() + "\n", flush=True)
    return {name: statistics.median(values) for name, values in rates.items()}


def rates_of_size(folder, sizes, quiet):
    """Returns the steps a second of both peers in each round, their memory after the imports, and symbols of a step."""
    path = folder / f"{'-'.join(map(str, sizes.values()))}.npz"
    work.make(path, **sizes)
    with Peer(SCRIPT, path, folder / "growth") as script, Peer(JAX, path, folder / "growth") as jax:
        both = {SCRIPT: script, JAX: jax}
        for peer in both.values():
            peer.answer()
        steps = {name: max(1, int(GROWTH_SECONDS * peer.take_steps(2))) for name, peer in both.items()}
        quiet.wait()
        rates = {name: [] for name in both}
        for _ in range(GROWTH_ROUNDS):
            for name, peer in both.items():
                rates[name].append(peer.take_steps(steps[name]))
        memory = {name: peer.memory - peer.after_import for name, peer in both.items()}
    return rates, memory, sum(int(batch.lengths.sum()) for batch in work.load(path).batches) / work.BATCHES


def growth(folder, quiet):
    """Prints how speed and memory depend on the sizes; returns dict of size to {peer: [symbols a second]}."""
    print(f"## How cost grows\n\nOne size at a time. Median of {GROWTH_ROUNDS} rounds, the peers in turn.\n")
    measured, curves = {}, {}
    for size, values in GROWTH.items():
        rows, curves[size] = [], {SCRIPT: [], JAX: []}
        for value in values:
            sizes = {size: value} | ({"length_from": value} if size == "length_to" else {})
            key = str(vars(work.SETTINGS) | sizes)  # the default size appears twice
            if key not in measured:
                measured[key] = rates_of_size(folder, sizes, quiet)
            rates, memory, symbols = measured[key]
            row = [str(value)]
            for name in (SCRIPT, JAX):
                rate = statistics.median(rates[name])
                curves[size][name].append(rate * symbols)
                row += [f"{rate:.1f}", f"{1e6 / rate / symbols:.2f}", f"{memory[name]:.0f}"]
            rows.append([*row, f"{median_ratio(rates[SCRIPT], rates[JAX]):.2f}"])
        columns = ["steps/s", "µs a symbol", "MB after the imports"]
        table([size, *columns, *(f"jax.jit: {column}" for column in columns), "script / jax.jit"], rows)
    ratios = [median_ratio(rates[SCRIPT], rates[JAX]) for rates, *_ in measured.values()]
    print(
        f"script / jax.jit over all {len(ratios)} sizes: geometric mean {statistics.geometric_mean(ratios):.2f},",
        end=" ",
    )
    print(f"least {min(ratios):.2f}. {quiet.note()}\n", flush=True)
    return curves
