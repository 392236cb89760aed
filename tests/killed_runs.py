"""Kills a run again and again at random moments, resumes it each time, and lets it come to its end.

    python tests/killed_runs.py FOLDER KILLS

TensorFlow is imported once; each run is a fork of this process. In FOLDER, `whole` is the run that was never
stopped and `killed` the other one.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import runs
import seq2seq_copy
from config import read_command

ARGUMENTS = ["--max-batches", "600", "--batch-size", "20", "--samples", "0", "--encoder-hidden-units", "10"]
seq2seq_copy.KEEP_EVERY = 3  # many checkpoints, so that many kills meet one being written


def start(arguments):
    """Forks a process that carries out the command; returns its number."""
    child = os.fork()
    if child == 0:
        with open("log", "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        try:
            os._exit(seq2seq_copy.main(read_command(arguments)))
        finally:
            os._exit(99)

    return child


def batches_kept(run):
    try:
        return int(runs.newest_checkpoint(run).name)
    except runs.RunError:
        return None


def main(folder, kills):
    os.chdir(folder)
    whole = start([*ARGUMENTS, "--run-dir", "whole"])
    assert os.waitpid(whole, 0)[1] == 0, Path("log").read_text()

    chance, left, kept = random.Random(0), kills, []
    while True:
        resumed = batches_kept(Path("killed")) is not None
        if not resumed:
            for attempt in Path(".").glob("killed"):  # killed before its first checkpoint
                attempt.rename(f"attempt-{left}")
        child = start(["--resume", "killed"] if resumed else [*ARGUMENTS, "--run-dir", "killed"])
        if left == 0:
            assert os.waitpid(child, 0)[1] == 0, Path("log").read_text()
            break
        time.sleep(chance.uniform(0.3, 1.2))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"it ended by itself: {Path('log').read_text()}"
        left -= 1
        kept.append(batches_kept(Path("killed")))
    print(f"killed {kills} times, with a checkpoint after these batches: {kept}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
