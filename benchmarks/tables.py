"""The tables that compare the peers: the whole job, training steps per second, and how these depend on the sizes."""

import contextlib
import functools
import math
import statistics
import tempfile
from pathlib import Path

from benchmarks import machine, peers, work
from benchmarks.peers import COMMAND, JAX, JOBS, KEEP_PROGRAMS, PEERS, SCRIPT, TALK, TORCH_COMPILE, Peer
from experiments.common import percent, print_table
from support.settings import Settings

LEAST_EXACT = 0.98
ROUNDS, STEPS = 15, 100
GROWTH = {  # one size at a time; the others have their defaults
    "batch_size": [10, 32, 100, 320, 1000],
    "encoder_hidden_units": [20, 64, 128, 256],
    "length_to": [8, 16, 32, 64, 128],
}
GROWTH_CHECKED = 3  # losses; soon rounding decides between two equally likely symbols of a long sequence
GROWTH_ROUNDS = 3  # of about a second for each peer


def median_and_spread(values, digits=0):
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def ratio(values, others):
    """Returns the median of the ratios within a round, over the rounds that both have."""
    return statistics.median(value / other for value, other in zip(values, others))


def whole_jobs(path, folder, quiet):
    """Prints how long each peer takes for the whole job, with and without cached programs.

    Args:
      path: of the work.
      folder: pathlib.Path for the compiled programs.
      quiet: a machine.Quiet.

    Returns:
      cold, warm: dicts of name to the peers.Job of each round.
      caches: dict of name to the folder with the compiled programs of the last round.
    """
    cold, warm = ({name: [] for name in JOBS} for _ in range(2))
    caches = {}
    for round_number in range(max(JOBS.values())):
        for name in [name for name, rounds in JOBS.items() if round_number < rounds]:
            quiet.wait()
            caches[name] = Path(tempfile.mkdtemp(dir=folder))
            for runs in (cold, warm) if name in KEEP_PROGRAMS else (cold,):
                runs[name].append(peers.do_job(name, path, caches[name]))
    difference = check([job for runs in (cold, warm) for jobs in runs.values() for job in jobs])
    print("## The whole job\n")
    print(f"From the start of the process to its end: {Settings.max_batches:,} batches, then the answers to")
    print(f"{Settings.held_out_sequences:,} held-out sequences. Cold: no compiled programs from an earlier start;")
    print("warm: the same again. Median seconds, and least to most. Ratios: the seconds of jax.jit to those of the")
    print(f"peer. The losses of the first {work.CHECKED_LOSSES} steps agree to {difference:.0e}. {quiet.note()}\n")
    head = ["", "cold [s]", "warm [s]", "to jax.jit, cold", "to jax.jit, warm", "to step 50, cold [s]"]
    head += ["to step 50, warm [s]", "exact", "rounds"]
    print_table(head, [job_row(name, cold, warm) for name in [*PEERS, COMMAND]])
    return cold, warm, caches


def check(jobs):
    """Ends the benchmark if the jobs are not equal; returns the largest relative difference of their first losses."""
    difference = peers.compare([job.losses for job in jobs if job.losses])
    if {job.decoded for job in jobs} != {Settings.held_out_sequences}:
        raise SystemExit(f"the peers do not do the same: they decode {[job.decoded for job in jobs]} sequences")
    if min(job.exact for job in jobs) < LEAST_EXACT:
        raise SystemExit(f"a peer does not learn: exact are {[job.exact for job in jobs]}")
    return difference


def job_row(name, cold, warm):
    """Returns a row of the table; a cell is empty where there is nothing to measure."""
    jobs = cold[name] + warm[name]
    seconds, of_jax = ([[job.seconds for job in runs[key]] for runs in (cold, warm)] for key in (name, JAX))
    to_step_50 = [[job.to_step_50 for job in runs[name] if job.to_step_50] for runs in (cold, warm)]
    exact = sorted({percent(job.exact) for job in jobs})
    return [
        name,
        *(median_and_spread(values, 1) if values else "" for values in seconds),
        *(f"{ratio(*pair):.2f}" if all(pair) else "" for pair in zip(of_jax, seconds)),
        *(f"{statistics.median(values):.1f}" if values else "" for values in to_step_50),
        exact[0] if len(exact) == 1 else f"{exact[0]} to {exact[-1]}",
        JOBS[name],
    ]


def take_turns(path, caches, rounds, steps_of, quiet, checked=work.CHECKED_LOSSES):
    """Lets peers take training steps, one after the other in each round.

    Args:
      path: of the work.
      caches: dict of name to the folder of the peer's compiled programs.
      rounds: int.
      steps_of: function from a Peer to how many steps it takes in a round.
      quiet: a machine.Quiet.
      checked: int, how many of the first losses must agree.

    Returns:
      dict of name to the Peer, which knows its rates and its memory.
      The largest relative difference of their first losses.
    """
    with contextlib.ExitStack() as stack:
        processes, losses, steps = {}, [], {}
        for name, cache in caches.items():
            processes[name] = stack.enter_context(Peer(name, path, cache))
            losses.append(processes[name].answer()["losses"][:checked])
            steps[name] = steps_of(processes[name])
        for _ in range(rounds):
            quiet.wait()
            for name, peer in processes.items():
                peer.rates.append(peer.take_steps(steps[name]))
        return processes, peers.compare(losses)


def steps_per_second(path, caches, quiet):
    """Prints how fast each peer takes the same steps; returns the medians. Arguments as for take_turns()."""
    caches = {name: caches[name] for name in PEERS}
    processes, difference = take_turns(path, caches, ROUNDS, lambda peer: STEPS, quiet)
    print("## Training steps per second\n")
    print(f"{ROUNDS} rounds of {STEPS} steps: median, and least to most. The losses of the first {work.CHECKED_LOSSES}")
    print(f"steps agree to {difference:.0e}. {quiet.note()}\n")
    others = (JAX, TALK, TORCH_COMPILE)
    print_table(
        ["", "steps/s", *(f"to {name}" for name in others), "peak memory [MB]"],
        [
            [
                name,
                median_and_spread(peer.rates),
                *(f"{ratio(peer.rates, processes[other].rates):.2f}" for other in others),
                f"{peer.memory:.0f}, {peer.after_imports:.0f} after the imports",
            ]
            for name, peer in processes.items()
        ],
    )
    print(machine.matrix_product_bound() + "\n", flush=True)
    return {name: statistics.median(peer.rates) for name, peer in processes.items()}


@functools.cache
def peers_of_size(config, folder, quiet):
    """Returns this script and jax.jit after their rounds, dict of name to Peer, and the mean of symbols per batch."""
    path = folder / "growth.npz"
    work.make(path, config)
    caches = dict.fromkeys([SCRIPT, JAX], folder / "growth")
    processes, _ = take_turns(
        path, caches, GROWTH_ROUNDS, lambda peer: math.ceil(peer.take_steps(2)), quiet, GROWTH_CHECKED
    )
    return processes, sum(int(batch.lengths.sum()) for batch in work.load(path).batches) / work.BATCHES


def growth(folder, quiet):
    """Prints how speed and memory depend on the sizes; returns dict of size to {peer: [symbols per second]}."""
    print(f"## How cost grows\n\nOne size at a time. Median of {GROWTH_ROUNDS} rounds, the peers in turn.\n")
    ratios, curves = {}, {}
    for size, values in GROWTH.items():
        rows, curves[size] = [], {SCRIPT: [], JAX: []}
        for value in values:
            config = Settings(**{size: value} | ({"length_from": value} if size == "length_to" else {}))
            both, symbols = peers_of_size(config, folder, quiet)  # the default sizes occur twice, but are measured once
            row = [value]
            for name, peer in both.items():
                rate = statistics.median(peer.rates)
                curves[size][name].append(rate * symbols)
                row += [f"{rate:.1f}", f"{1e6 / rate / symbols:.2f}", f"{peer.after_imports:.0f}"]
            ratios[config] = ratio(both[SCRIPT].rates, both[JAX].rates)
            rows.append([*row, f"{ratios[config]:.2f}"])
        columns = ["steps/s", "µs per symbol", "MB after the imports"]
        print_table([size, *columns, *(f"jax.jit: {column}" for column in columns), "script / jax.jit"], rows)
    mean, least = statistics.geometric_mean(ratios.values()), min(ratios.values())
    print(f"script / jax.jit over all {len(ratios)} sizes: geometric mean {mean:.2f}, least {least:.2f}.")
    print(f"{quiet.note()}\n", flush=True)
    return curves
