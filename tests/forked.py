"""Runs the command many times in forks of one process that has imported TensorFlow once.

    python -m tests.forked

reads requests from standard input, a line of JSON each, and answers each with a line of JSON:

    {"start": {"arguments": [...], "folder": "...", "name": "...", "environment": {...}, "settings": {...}}}
        starts the command in a folder, with its output in NAME.out and NAME.err; answers with the process number.
        settings replace fields of the Config that no flag sets. "drift": true gives each worker other weights.
    {"wait": number, "timeout": seconds}
        answers with the exit status, or null if the process still runs.
"""

import dataclasses
import importlib
import json
import os
import signal
import sys
import time
import traceback

import numpy as np

import seq2seq_copy
from support.graph import cluster
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import agreement, command, process


def start(arguments, folder, name, environment, settings, drift=False):
    """Forks a process that carries out the command; returns its number."""
    child = os.fork()
    if child:
        return child
    try:
        os.chdir(folder)
        for ending, descriptor in (("out", 1), ("err", 2)):
            os.dup2(os.open(f"{name}.{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream, descriptor in (("stdout", 1), ("stderr", 2)):
            setattr(sys, stream, os.fdopen(descriptor, "w", 1, closefd=False))
        os.environ.update(environment)
        sys.argv[1:] = arguments

        def read_command():
            typed = command.read_command()
            config = typed.config and dataclasses.replace(typed.config, **settings)
            return typed._replace(config=config)

        seq2seq_copy.read_command = read_command
        if drift:
            share_variables = cluster.Cluster.share_variables
            cluster.Cluster.share_variables = lambda self, session: (
                share_variables(self, session),
                session.run(tf.global_variables_initializer()),
                tf.trainable_variables()[0].load(np.full(tf.trainable_variables()[0].shape, self.index), session),
            )
        process.run(seq2seq_copy.main)
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code or 0)
    except BaseException as error:
        traceback.print_exception(error)
    finally:
        os._exit(99)


def wait(child, timeout):
    """Returns the exit status of a process, minus the signal that ended it, or None if it still runs."""
    give_up_at = time.monotonic() + timeout
    while time.monotonic() < give_up_at:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None


def main():
    assert tf.__version__  # imports TensorFlow, for all forks
    importlib.import_module("matplotlib.figure")
    agreement.digest_of_program()  # all forks are of the same program, even if somebody edits it meanwhile
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for line in sys.stdin:
        request = json.loads(line)
        answer = start(**request["start"]) if "start" in request else wait(request["wait"], request["timeout"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
