"""Stops a run again and again at random moments, resumes it each time, and lets it come to its end.

    python -m tests.killed_runs FOLDER SIGNAL TIMES XLA

TensorFlow is imported once; each run is a fork of this process. In FOLDER, `whole` is the run that was never stopped.
`stopped-0`, `stopped-1` and so on were.
"""

import dataclasses
import importlib
import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path

import seq2seq_copy
from support.run import folder
from support.tensorflow import tensorflow_v1 as tf
from support.terminal.command import read_command

BATCHES = 60
ARGUMENTS = ["--batch-size", "20", "--samples", "0", "--encoder-hidden-units", "10", "--max-batches", str(BATCHES)]
# Many checkpoints, so that many signals meet one being written; few sequences, so that a run is short.
SETTINGS = {"keep_every": 3, "held_out_sequences": 100}


def start(arguments):
    """Forks a process that carries out the command; returns its number."""
    child = os.fork()
    if child == 0:
        with open("log", "w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            command = read_command(arguments)
            if not command.resume:
                command = command._replace(config=dataclasses.replace(command.config, **SETTINGS))
            os._exit(seq2seq_copy.run_training(command))
        finally:
            os._exit(99)
    return child


def wait_for(child):
    """Waits for a process; returns its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_finished(run):
    return folder.batches_kept(run) == BATCHES and folder.has_ended(run)


def main(path, number, times, xla):
    os.chdir(path)
    assert tf.__version__  # imports TensorFlow, for all forks
    importlib.import_module("matplotlib.figure")
    ARGUMENTS.extend(["--xla", xla])
    start_of_whole = time.perf_counter()
    assert wait_for(start([*ARGUMENTS, "--run-dir", "whole"])) == 0, Path("log").read_text()
    duration = time.perf_counter() - start_of_whole

    chance, stops = random.Random(0), []
    for run in (Path(f"stopped-{count}") for count in itertools.count()):
        while not is_finished(run):
            is_resumable = (run / "config.json").exists()
            child = start(["--resume", str(run)] if is_resumable else [*ARGUMENTS, "--run-dir", f"{run}"])
            if len(stops) < times:
                time.sleep(chance.uniform(0, duration))
                os.kill(child, number)
                status = wait_for(child)
                assert status in (0, -number, 128 + number), Path("log").read_text()
                if status != 0:
                    stops.append(folder.batches_kept(run))
            else:
                assert wait_for(child) == 0, Path("log").read_text()
        if len(stops) == times:
            break
    print(f"stopped {times} times, with a checkpoint after these batches: {stops}")


if __name__ == "__main__":
    main(sys.argv[1], signal.Signals[sys.argv[2]], int(sys.argv[3]), sys.argv[4])
