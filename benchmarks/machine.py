"""The machine: what it is, and whether it is doing something else."""

import contextlib
import os
import platform
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
        start, share = time.perf_counter(), share_in_use()
        while share > QUIET and time.perf_counter() - start < self.patience:
            time.sleep(2)
            share = share_in_use()
        self.patience -= time.perf_counter() - start
        self.shares.append(share)

    def note(self):
        """Returns a sentence about the rounds since the last note."""
        shares, self.shares = self.shares, []
        busy = [share for share in shares if share > QUIET]
        if not shares:
            return "It is not known whether the machine was quiet."
        if not busy:
            return "The machine was quiet before each round."
        start = f"**Not a quiet machine**: before {len(busy)} of {len(shares)} rounds"
        return f"{start}, other processes used up to {max(busy):.0%} of it."
