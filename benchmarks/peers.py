"""The processes that are compared, each with its own environment, and how they are asked."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from support.tensorflow import compile_cache, startup

ROOT = Path(__file__).parent.parent
PYTHON, JAX_PYTHON, TORCH_PYTHON = (ROOT / f".venv{name}" / "bin/python" for name in ("", "-jax", "-torch"))
SCRIPT, RAW_RNN, TALK = "seq2seq_copy.py", "seq2seq_copy.py --xla off", "the talk's graph"
TORCH, TORCH_COMPILE, JAX, TUNED_JAX = "PyTorch eager", "torch.compile", "jax.jit", "jax.jit, tuned"
PEERS = {
    SCRIPT: (PYTHON, "benchmarks.peer_tensorflow", "compiled"),
    RAW_RNN: (PYTHON, "benchmarks.peer_tensorflow", "raw_rnn"),
    TALK: (PYTHON, "benchmarks.peer_tensorflow", "talk"),
    TORCH: (TORCH_PYTHON, "benchmarks.peer_torch", "eager"),
    TORCH_COMPILE: (TORCH_PYTHON, "benchmarks.peer_torch", "compile"),
    JAX: (JAX_PYTHON, "benchmarks.peer_jax", "idiomatic"),
    TUNED_JAX: (JAX_PYTHON, "benchmarks.peer_jax", "tuned"),
}
KEEP_PROGRAMS = (SCRIPT, TORCH_COMPILE, JAX, TUNED_JAX)
LARGEST_DIFFERENCE = 1e-3  # of the losses of the first steps, relative


def environment(cache, threads=None):
    """Returns the environment in which every peer keeps its compiled programs in a folder.

    threads: int, how many an operation uses; None for each peer's own choice.
    """
    names = (startup.THREADS, "OMP_NUM_THREADS", "NPROC") if threads else ()  # of TensorFlow, PyTorch and JAX
    settings = {
        compile_cache.SETTING: str(cache),
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # otherwise it keeps only what takes a second to compile
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return os.environ | settings | dict.fromkeys(names, str(threads))


def compare(losses):
    """Returns the largest relative difference of the losses from the first peer's; ends the benchmark if it is large.

    losses: list of lists, the losses of each peer in its first steps.
    """
    difference = np.abs(np.array(losses) / losses[0] - 1).max()
    if not difference <= LARGEST_DIFFERENCE:
        raise SystemExit(f"the peers do not do the same: their losses differ by {difference:.1%}")
    return difference


class Process:
    """A process that sends lines of JSON, and takes training steps when it is asked to; see work.py."""

    def __init__(self, command, environment):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.start = time.perf_counter()
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, bufsize=1, **pipes)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a peer ended: {' '.join(map(str, self.process.args))}")
        return json.loads(line)

    def ask(self, count):
        print(count, file=self.process.stdin)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def process_of(name, work, task, cache, threads=None):
    """Returns the arguments of Process for a peer. task: "job", or how many losses it reports."""
    python, module, form = PEERS[name]
    return [python, "-m", module, work, form, str(task)], environment(cache, threads)


class Job(NamedTuple):
    """A whole job: training and decoding."""

    seconds: float  # from the start of the process to its end
    to_step_50: float  # seconds from the start of the process
    losses: list  # of the first steps
    exact: float  # share of the held-out sequences
    decoded: int  # held-out sequences


def do_job(name, work, cache):
    """Lets a peer do the whole job; returns a Job."""
    with Process(*process_of(name, work, "job", cache)) as peer:
        losses = peer.answer()["losses"]
        to_step_50 = time.perf_counter() - peer.start
        end = peer.answer()
        peer.process.wait()
        return Job(time.perf_counter() - peer.start, to_step_50, losses, end["exact"], end["decoded"])
