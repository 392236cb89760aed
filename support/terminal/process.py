"""How the process starts and ends: its messages, its exit status, and Ctrl-C or SIGTERM on the way."""

import contextlib
import logging
import os
import signal
import sys

from support.graph import tensorflow_v1 as tf
from support.run.folder import RunError

PROGRAM = "seq2seq_copy.py"  # every message on stderr begins with this name
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_at_signal():
    """Yields a list that the first SIGINT (Ctrl-C) or SIGTERM is put into. A second one ends the process."""
    received = []

    def receive(number, frame):
        received.append(number)
        handle(signal.SIG_DFL)

    with handling(receive):
        yield received


@contextlib.contextmanager
def hold_signals():
    """Holds back SIGINT and SIGTERM. Yields a function that raises SystemExit if one has come.

    A handler that raises could interrupt TensorFlow at any point, and it does not survive that at every point.
    """
    received = []

    def exit_if_received():
        if received:
            sys.exit(128 + received[0])

    with handling(lambda number, frame: received.append(number)):
        yield exit_if_received


@contextlib.contextmanager
def handling(handler):
    """Sets the handler of SIGINT and SIGTERM, and afterwards the earlier ones."""
    earlier = [signal.getsignal(number) for number in SIGNALS]
    handle(handler)
    try:
        yield
    finally:
        for signal_number, earlier_handler in zip(SIGNALS, earlier):
            signal.signal(signal_number, earlier_handler)


def handle(handler):
    for number in SIGNALS:
        signal.signal(number, handler)


def run(main):
    """Runs the command and ends the process.

    Args:
      main: function without arguments that returns an exit status. What it raises for the user becomes one line on
        stderr.

    Raises:
      SystemExit: always.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # outside of training, Ctrl-C simply ends the process
    # Each line of output shows at once, in a pipe as well. A symbol that the terminal does not know ends no run.
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    show_warnings()
    try:
        status = main()
    except Exception as error:
        status, message = explain(error)
        if message:
            print(f"{PROGRAM}: {message}", file=sys.stderr)
        if isinstance(error, OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # stdout may be what cannot be written
    sys.exit(status)


def show_warnings():
    """Prints what support/ logs on stderr, a line each, like all other messages."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{PROGRAM}: %(message)s"))
    logging.getLogger("support").addHandler(handler)
    logging.getLogger("support").propagate = False  # TensorFlow has a handler of its own for all that is logged


def explain(error):
    """Returns the exit status for an exception, and a line for the user or None. Raises what is not for the user."""
    if isinstance(error, RunError):
        return 2, str(error)
    if isinstance(error, BrokenPipeError):  # whoever closed the pipe behind stdout has had enough
        return 1, None
    if isinstance(error, (OSError, FloatingPointError)):
        return 1, str(error)
    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        return 1, str(error) if type(error) is MemoryError and str(error) else "too little memory for these sizes"
    raise error
