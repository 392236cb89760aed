"""How the process starts and ends: messages, exit status, the current step, and Ctrl-C or SIGTERM on the way."""

import contextlib
import logging
import os
import signal
import stat
import sys

from tqdm import tqdm

from support import outside
from support.errors import UserError, reason
from support.signals import HANGUP, SIGNALS, handle, handling

PROGRAM = "seq2seq_copy.py"  # every message on stderr begins with this name

log = logging.getLogger(__name__)


class Stop:
    """Whether training should stop, and with which exit status. It stops after the current call of the session."""

    status = 0

    def request(self, status):
        """Asks training to stop with an exit status. The first request decides."""
        self.status = self.status or status


@contextlib.contextmanager
def stop_at_signal(stop):
    """Lets signals request a Stop.

    A second Ctrl-C or SIGTERM ends the process. A second SIGHUP does not: terminal and shell may each send one.
    """

    def receive(number, frame):
        stop.request(128 + number)
        if number == HANGUP:
            for descriptor in (1, 2):
                if stat.S_ISCHR(os.fstat(descriptor).st_mode):  # a terminal that is gone
                    silence(descriptor)
        else:
            handle(signal.SIG_DFL, [number for number in SIGNALS if number != HANGUP])

    with handling(receive):
        yield


@contextlib.contextmanager
def show_step(step):
    """Shows the current step on a terminal; the line is erased afterwards."""
    with tqdm(bar_format=f"{step} ...", leave=False, disable=None):
        yield


def write(text, stop):
    """Prints above the progress bar. If standard output cannot be written, asks a Stop with exit status 1."""
    try:
        tqdm.write(text)
    except OSError as error:
        silence(1)
        stop.request(1)
        if not isinstance(error, BrokenPipeError):  # the reader has closed the pipe
            log.warning("cannot write to standard output: %s", error.strerror)


def silence(descriptor):
    """Discards everything that is written to a file descriptor from now on."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def run(main):
    """Runs the command and ends the process.

    Args:
      main: function without arguments that returns an exit status. An error that it raises for the user becomes one
        line on stderr.

    Raises:
      SystemExit: always.
    """
    handle(signal.SIG_DFL, [signal.SIGINT])  # outside of training, Ctrl-C simply ends the process
    open_closed_streams()
    # Each line of output shows at once, in a pipe as well. A symbol that the terminal cannot show does not end a run.
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    logging.getLogger("support").addHandler(Messages())  # all that support/ logs, a line each
    logging.getLogger("support").propagate = False  # TensorFlow has its own handler for everything that is logged
    os.environ.pop("MPLBACKEND", None)  # of windows; matplotlib stops at one that it does not know
    try:
        status = main()
    except Exception as error:
        status, message = explain(error)
        if message:
            print(f"{PROGRAM}: {outside.message(message)}", file=sys.stderr)
        if isinstance(error, OSError):
            silence(1)  # stdout may be what cannot be written
    sys.exit(status)


def open_closed_streams():
    """Discards standard output or error if it was closed before the process started.

    Otherwise the next file that is opened would take its place, and receive what TensorFlow writes there.
    """
    for descriptor, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            silence(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


class Messages(logging.Handler):
    """Prints what is logged on stderr, a line each, above a progress bar if there is one."""

    def emit(self, record):
        tqdm.write(f"{PROGRAM}: {outside.message(record.getMessage())}", file=sys.stderr)


def explain(error):
    """Returns the exit status for an exception, and a line for the user or None. Raises one that is not for users."""
    if isinstance(error, UserError):
        return error.status, str(error)
    if isinstance(error, BrokenPipeError):  # the reader of stdout has closed the pipe
        return 1, None
    if isinstance(error, OSError) and error.filename is not None:
        return 1, f"cannot use {str(error.filename)!r}: {reason(error)}"
    if isinstance(error, (OSError, FloatingPointError)):
        return 1, str(error)
    tensorflow = sys.modules.get("tensorflow")  # importing it for this would take seconds, or fail again
    if isinstance(error, ImportError):  # TensorFlow may have put a whole trace into the message
        lines = str(error).splitlines() or [type(error).__name__]
        return 1, f"cannot load a library: {next((line for line in lines if 'Error: ' in line), lines[0])}"
    no_memory = (MemoryError, *([tensorflow.errors.ResourceExhaustedError] if tensorflow else []))
    if isinstance(error, no_memory):
        return 1, "too little memory for these sizes"
    raise error
