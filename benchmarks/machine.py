"""The machine: what it is, how fast it multiplies, and whether it is doing something else."""

import contextlib
import os
import platform
import sys
import time
from pathlib import Path

from benchmarks import peers
from experiments.common import output_of

QUIET = 0.15  # share of all cores; with more in use, the machine is busy with something else
LOOK = 0.3  # seconds
PATIENCE = 300  # seconds that a benchmark waits for a quiet machine, in total


def describe():
    """Returns the processor, the number of cores and all versions, as text."""
    parts = [f"{os.cpu_count()} cores", f"Python {platform.python_version()}"]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        parts = [*{line.partition(": ")[2] for line in lines if line.startswith("model name")}, *parts]
    for python, package in ((peers.PYTHON, "tensorflow"), (peers.TORCH_PYTHON, "torch"), (peers.JAX_PYTHON, "jax")):
        if not python.exists():
            continue
        program = f"import importlib.metadata as m; print(m.version({package!r}))"
        parts.append(f"{package} {output_of([python, '-c', program]).strip()}")
    return ", ".join(parts)


def matrix_product_bound():
    """Returns GFLOP/s of one core in the decoder's matrix product, and how many steps per second that allows."""
    program = """if True:
        import timeit, numpy
        a, b = (numpy.ones(shape, numpy.float32) for shape in ([100, 60], [60, 160]))
        print(2000 * 2 * 100 * 60 * 160 / min(timeit.repeat(lambda: a @ b, number=2000, repeat=10)) / 1e9)"""
    flops = float(output_of([peers.PYTHON, "-c", program], env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}))
    encoder = 2 * 8 * 2 * 100 * (20 + 20) * 80
    decoder = 11 * 2 * 100 * ((20 + 40) * 160 + 40 * 10)
    step = 3 * (encoder + decoder)  # forwards, and two products backwards for each
    return (
        f"A step multiplies matrices for {step / 1e6:.0f} MFLOP. One core multiplies [100, 60] by [60, 160] at "
        f"{flops:.0f} GFLOP/s, which allows {flops * 1e9 / step:.0f} steps per second."
    )


def share_in_use():
    """Returns the share of all cores that is in use now, from 0 to 1."""

    def ticks():
        numbers = [int(number) for number in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]  # of these, idle and waiting for the disk

    (all_before, idle_before), _, (all_after, idle_after) = ticks(), time.sleep(LOOK), ticks()
    return 1 - (idle_after - idle_before) / max(1, all_after - all_before)


class Quiet:
    """Waits for a quiet machine before each round, and remembers where it could not get one."""

    def __init__(self):
        self.patience, self.shares = PATIENCE, []

    def wait(self):
        """Waits until no other process is busy; all peers must be idle. Does nothing without /proc."""
        if not Path("/proc/stat").exists():
            return
        start = time.perf_counter()
        share = share_in_use()
        while share > QUIET and time.perf_counter() - start < self.patience:
            if sys.stderr.isatty():
                message = f"\rwaiting: other processes use {share:4.0%} of the machine "
                print(message, end="", file=sys.stderr, flush=True)
            time.sleep(2)
            share = share_in_use()
        self.patience -= time.perf_counter() - start
        self.shares.append(share)

    def note(self):
        """Returns a sentence about the rounds since the last note."""
        busy, rounds = [share for share in self.shares if share > QUIET], len(self.shares)
        self.shares = []
        if not rounds:
            return "It is not known whether the machine was quiet."
        if not busy:
            return "The machine was quiet before each round."
        start = f"**Not a quiet machine**: before {len(busy)} of {rounds} rounds"
        return f"{start}, other processes used up to {max(busy):.0%} of it."
