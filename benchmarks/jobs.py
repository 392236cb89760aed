"""The whole job: from the start of a process to its end, with training on 3,001 batches and 10,000 answers between."""

import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import peers, work
from benchmarks.peers import JAX, KEEP_PROGRAMS, PEERS, RAW_RNN, SCRIPT, TALK, TORCH, TORCH_COMPILE, TUNED_JAX
from benchmarks.tables import median_and_spread, median_ratio, table

COMMAND = "`python seq2seq_copy.py`, as typed"
ROUNDS = {SCRIPT: 5, JAX: 5, TUNED_JAX: 3, COMMAND: 3, RAW_RNN: 2, TALK: 2, TORCH: 1, TORCH_COMPILE: 1}
LEAST_EXACT = 0.98


def whole_jobs(path, folder, quiet):
    """Prints how long each peer takes for the whole job, without and with kept programs.

    Args:
      path: of the work.
      folder: pathlib.Path for the compiled programs.
      quiet: a machine.Quiet.

    Returns:
      cold, warm: dicts of name to the peers.Job of each round.
      caches: dict of name to the folder with the compiled programs of the last round.
    """
    cold, warm = ({name: [] for name in ROUNDS} for _ in range(2))
    caches = {}
    for round_number in range(max(ROUNDS.values())):
        for name in [name for name, rounds in ROUNDS.items() if round_number < rounds]:
            quiet.wait()
            caches[name] = Path(tempfile.mkdtemp(dir=folder))
            cold[name].append(do(name, path, caches[name]))
            if name in (*KEEP_PROGRAMS, COMMAND):
                warm[name].append(do(name, path, caches[name]))
    difference = check([job for runs in (cold, warm) for jobs in runs.values() for job in jobs])
    print("## The whole job\n")
    print(f"From the start of the process to its end: {work.SETTINGS.max_batches:,} batches, then the answers to")
    print(f"{work.SETTINGS.held_out_sequences:,} held-out sequences. Cold: no compiled programs from an earlier start;")
    print(
        "warm: the same again. Median seconds, and least to most. Ratios: the seconds of jax.jit to those of the peer."
    )
    print(f"The losses of the first {work.CHECKED_LOSSES} steps agree to {difference:.0e}. {quiet.note()}\n")
    head = ["", "cold [s]", "warm [s]", "to jax.jit, cold", "to jax.jit, warm", "to step 50, cold [s]"]
    head += ["to step 50, warm [s]", "exact", "rounds"]
    table(head, [row(name, cold, warm) for name in [*PEERS, COMMAND]])
    return cold, warm, caches


def do(name, path, cache):
    return peers.run_command(cache) if name == COMMAND else peers.do_job(name, path, cache)


def check(jobs):
    """Ends the benchmark if the jobs are not equal; returns the largest relative difference of their first losses."""
    losses = np.array([job.losses for job in jobs if job.losses])
    difference = np.abs(losses / losses[0] - 1).max()
    if difference > peers.LARGEST_DIFFERENCE:
        raise SystemExit(f"the peers do not do the same: their losses differ by {difference:.1%}")
    if {job.decoded for job in jobs} != {work.SETTINGS.held_out_sequences}:
        raise SystemExit(f"the peers do not do the same: they decode {[job.decoded for job in jobs]} sequences")
    if min(job.exact for job in jobs) < LEAST_EXACT:
        raise SystemExit(f"a peer does not learn: exact are {[job.exact for job in jobs]}")
    return difference


def row(name, cold, warm):
    seconds = [[job.seconds for job in run[name]] for run in (cold, warm)]
    to_jax = [
        f"{median_ratio([job.seconds for job in run[JAX]], values):.2f}" if values else ""
        for run, values in zip((cold, warm), seconds)
    ]
    to_step_50 = [[job.to_step_50 for job in run[name] if job.to_step_50] for run in (cold, warm)]
    exact = sorted({f"{job.exact:.2%}" for run in (cold, warm) for job in run[name]})
    return [
        name,
        *(median_and_spread(values, 1) if values else "" for values in seconds),
        *to_jax,
        *(f"{statistics.median(values):.1f}" if values else "" for values in to_step_50),
        exact[0] if len(exact) == 1 else f"{exact[0]} to {exact[-1]}",
        str(ROUNDS[name]),
    ]
