"""Kills a run again and again at random moments, resumes it each time, and lets it come to its end.

    python tests/killed_runs.py FOLDER KILLS

TensorFlow is imported once; each run is a fork of this process. In FOLDER, `whole` is the run that was never
stopped and `killed` the other one.
"""

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import runs
import seq2seq_copy
from config import read_command

ARGUMENTS = ["--max-batches", "1500", "--batch-size", "20", "--samples", "0", "--encoder-hidden-units", "10"]
seq2seq_copy.KEEP_EVERY = 3  # many checkpoints, so that many kills meet one being written
seq2seq_copy.HELD_OUT_SEQUENCES = 500
seq2seq_copy.EVALUATION_BATCH = 50


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

    run, chance, kept = Path("killed"), random.Random(0), []
    while True:
        resumed = batches_kept(run) is not None
        if run.exists() and not resumed:  # killed before its first checkpoint
            shutil.rmtree(run)
        child = start(["--resume", "killed"] if resumed else [*ARGUMENTS, "--run-dir", "killed"])
        if len(kept) == kills:
            assert os.waitpid(child, 0)[1] == 0, Path("log").read_text()
            break
        time.sleep(chance.uniform(0.5, 1.5))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kept.append(batches_kept(run))
        else:  # it was faster than the kill: once more from the start
            assert status == 0, Path("log").read_text()
            shutil.rmtree(run)
    print(f"killed {kills} times, with a checkpoint after these batches: {kept}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
