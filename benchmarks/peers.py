"""The processes that are compared, each with its own environment, and how they are asked."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments import common
from support.tensorflow import compile_cache

ROOT = Path(__file__).parent.parent
PYTHON, JAX_PYTHON, TORCH_PYTHON = (ROOT / f".venv{name}" / "bin/python" for name in ("", "-jax", "-torch"))
SCRIPT, RAW_RNN, TALK = "seq2seq_copy.py", "seq2seq_copy.py --xla off", "the talk's graph"
TORCH, TORCH_COMPILE, JAX, TUNED_JAX = "PyTorch eager", "torch.compile", "jax.jit", "jax.jit, tuned"
COMMAND = "`python seq2seq_copy.py`, as typed"
PEERS = {
    SCRIPT: (PYTHON, "benchmarks.peer_tensorflow", "compiled"),
    RAW_RNN: (PYTHON, "benchmarks.peer_tensorflow", "raw_rnn"),
    TALK: (PYTHON, "benchmarks.peer_tensorflow", "talk"),
    TORCH: (TORCH_PYTHON, "benchmarks.peer_torch", "eager"),
    TORCH_COMPILE: (TORCH_PYTHON, "benchmarks.peer_torch", "compile"),
    JAX: (JAX_PYTHON, "benchmarks.peer_jax", "idiomatic"),
    TUNED_JAX: (JAX_PYTHON, "benchmarks.peer_jax", "tuned"),
}
JOBS = {SCRIPT: 5, JAX: 5, TUNED_JAX: 3, COMMAND: 3, RAW_RNN: 2, TALK: 2, TORCH: 1, TORCH_COMPILE: 1}  # rounds of each
KEEP_PROGRAMS = (SCRIPT, TORCH_COMPILE, JAX, TUNED_JAX, COMMAND)
LARGEST_DIFFERENCE = 1e-3  # of the losses of the first steps, relative


def environment(cache):
    """Returns the environment in which every peer keeps its compiled programs in a folder."""
    return os.environ | {
        compile_cache.SETTING: str(cache),
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # otherwise it keeps only what takes a second to compile
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def compare(losses):
    """Returns the largest relative difference of the losses from the first peer's; ends the benchmark if it is large.

    losses: list of lists, the losses of each peer in its first steps.
    """
    difference = np.abs(np.array(losses) / losses[0] - 1).max()
    if difference > LARGEST_DIFFERENCE:
        raise SystemExit(f"the peers do not do the same: their losses differ by {difference:.1%}")
    return difference


class Peer:
    """A process that takes training steps when it is asked to.

    rates: list of float, steps per second of each round.
    memory: float, its peak in MB.
    after_imports: float, how much of it came after the imports.
    """

    def __init__(self, name, work, cache, task="steps"):
        python, module, form = PEERS[name]
        self.rates, self.start = [], time.perf_counter()
        self.process = subprocess.Popen(
            [python, "-m", module, work, form, task],
            cwd=ROOT,
            env=environment(cache),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a peer ended: {' '.join(map(str, self.process.args))}")
        return json.loads(line)

    def take_steps(self, count):
        """Returns steps per second; also sets the memory."""
        print(count, file=self.process.stdin)
        answer = self.answer()
        self.memory, self.after_imports = answer["memory"], answer["memory"] - answer["after_import"]
        return count / answer["seconds"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class Job(NamedTuple):
    """A whole job: training and decoding."""

    seconds: float  # from the start of the process to its end
    to_step_50: float  # seconds from the start of the process; None if it does not report them
    losses: list  # of the first steps
    exact: float  # share of the held-out sequences
    decoded: int  # held-out sequences


def do_job(name, work, cache):
    """Lets a peer, or the COMMAND, do the whole job; returns a Job."""
    if name == COMMAND:
        return run_command(cache)
    with Peer(name, work, cache, "job") as peer:
        losses = peer.answer()["losses"]
        to_step_50 = time.perf_counter() - peer.start
        end = peer.answer()
        peer.process.wait()
        return Job(time.perf_counter() - peer.start, to_step_50, losses, end["exact"], end["decoded"])


def run_command(cache):
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        common.output_of([PYTHON, common.SCRIPT], cwd=folder, env=environment(cache))
        seconds = time.perf_counter() - start
        (metrics,) = Path(folder).glob("runs/*/metrics.json")
        exact = json.loads(metrics.read_text())["exact_match"]
    return Job(seconds, None, [], exact["share"], exact["sequences"])
