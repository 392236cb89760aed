"""Stops a run again and again at random moments, resumes it each time, and lets it come to its end.

    python tests/killed_runs.py FOLDER SIGNAL TIMES XLA

TensorFlow is imported once; each run is a fork of this process. In FOLDER, `whole` is the run that was never
stopped; `stopped-0`, `stopped-1` and so on are the ones that were.
"""

import functools
import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path

import runs
import seq2seq_copy
from config import read_command
from tensorflow_v1 import tf

BATCHES = 60
ARGUMENTS = ["--batch-size", "20", "--samples", "0", "--encoder-hidden-units", "10", "--max-batches"] + [str(BATCHES)]
seq2seq_copy.KEEP_EVERY = 3  # many checkpoints, so that many signals meet one being written
seq2seq_copy.HELD_OUT_SEQUENCES = 500
seq2seq_copy.EVALUATION_BATCH = 50
# Only for speed: graphs as they are, which start sooner, and no pictures.
unoptimized = tf.ConfigProto()
unoptimized.graph_options.rewrite_options.disable_meta_optimizer = True
tf.Session = functools.partial(tf.Session, config=unoptimized)
seq2seq_copy.pictures.save = lambda figure, *paths: None


def start(arguments):
    """Forks a process that carries out the command; returns its number."""
    child = os.fork()
    if child == 0:
        with open("log", "w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            os._exit(seq2seq_copy.main(read_command(arguments)))
        finally:
            os._exit(99)
    return child


def ended(child):
    """Waits for a process; returns its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def finished(run):
    return runs.batches_kept(run) == BATCHES and (run / "metrics.json").exists()


def main(folder, number, times, xla):
    os.chdir(folder)
    ARGUMENTS.extend(["--xla", xla])
    start_of_whole = time.perf_counter()
    assert ended(start([*ARGUMENTS, "--run-dir", "whole"])) == 0, Path("log").read_text()
    duration = time.perf_counter() - start_of_whole

    chance, stops = random.Random(0), []
    for run in (Path(f"stopped-{count}") for count in itertools.count()):
        while not finished(run):
            resumable = (run / "config.json").exists()
            child = start(["--resume", str(run)] if resumable else [*ARGUMENTS, "--run-dir", f"{run}"])
            if len(stops) < times:
                time.sleep(chance.uniform(0, duration))
                os.kill(child, number)
                status = ended(child)
                assert status in (0, -number, 128 + number), Path("log").read_text()
                if status != 0:
                    stops.append(runs.batches_kept(run))
            else:
                assert ended(child) == 0, Path("log").read_text()
        if len(stops) == times:
            break
    print(f"stopped {times} times, with a checkpoint after these batches: {stops}")


if __name__ == "__main__":
    main(sys.argv[1], signal.Signals[sys.argv[2]], int(sys.argv[3]), sys.argv[4])
