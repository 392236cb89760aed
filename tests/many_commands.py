"""Carries out many commands, each in a fork of one process that has imported TensorFlow.

    python -m tests.many_commands < COMMANDS

COMMANDS is JSON: a list of [folder, arguments]. Prints as JSON a list of [exit status, stdout, stderr].
"""

import json
import os
import sys
import tempfile

import seq2seq_copy
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import process


def carry_out(folder, arguments):
    """Forks a process that carries out a command; returns its exit status, stdout and stderr."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if child == 0:
            try:
                os.chdir(folder)
                os.dup2(stdout.fileno(), 1)
                os.dup2(stderr.fileno(), 2)
                sys.argv = ["seq2seq_copy.py", *arguments]
                process.run(seq2seq_copy.main)
            except SystemExit as end:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(end.code)
            finally:
                sys.excepthook(*sys.exc_info())
                os._exit(99)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in (stdout, stderr):
            file.seek(0)
        return status, stdout.read().decode(), stderr.read().decode()


if __name__ == "__main__":
    assert tf.__version__  # imports TensorFlow, for all forks
    print(json.dumps([carry_out(*command) for command in json.load(sys.stdin)]))
