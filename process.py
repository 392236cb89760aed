"""How the process ends: by Ctrl-C or SIGTERM while a run trains, and with which message and exit status."""

import contextlib
import os
import signal
import sys

import runs
from tensorflow_v1 import tf


@contextlib.contextmanager
def stop_at_signal():
    """Gives a list that SIGINT (Ctrl-C) or SIGTERM is put into; once it has been, the next one ends the process."""
    received = []

    def receive(number, frame):
        received.append(number)
        for number in before:
            signal.signal(number, signal.SIG_DFL)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, receive)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(main, command):
    """Carries out a command and ends the process.

    Args:
      main: function from the command to an exit status; what it raises for the user becomes one line on stderr.
      command: a Command.

    Raises:
      SystemExit: always.
    """
    # A report shows at once, in a pipe as well, and a symbol that the terminal does not know ends no run.
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        status = main(command)
    except runs.RunError as error:
        print(f"seq2seq_copy.py: {error}", file=sys.stderr)
        status = 2
    except (MemoryError, tf.errors.ResourceExhaustedError):
        status = "seq2seq_copy.py: too little memory for these sizes"
    except FloatingPointError as error:
        status = f"seq2seq_copy.py: {error}"
    except OSError as error:
        # Whoever closed the pipe behind stdout has had enough.
        status = 1 if isinstance(error, BrokenPipeError) else f"seq2seq_copy.py: {error}"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # stdout may be what cannot be written
    sys.exit(status)
