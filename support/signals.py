"""Signals that ask this process to end."""

import contextlib
import signal

# Windows has SIGBREAK for Ctrl-Break, no SIGHUP, and a SIGTERM that nothing can handle.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
HANGUP = getattr(signal, "SIGHUP", None)  # the terminal is gone


@contextlib.contextmanager
def handling(handler):
    """Sets the handler of the signals that end a process, and restores the earlier ones afterwards."""
    earlier = [signal.getsignal(number) for number in SIGNALS]
    handle(handler, SIGNALS)
    try:
        yield
    finally:
        for signal_number, earlier_handler in zip(SIGNALS, earlier):
            signal.signal(signal_number, earlier_handler)


def handle(handler, numbers):
    """Sets the handler of signals, except those that the process was told to ignore at its start (nohup)."""
    for number in numbers:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)
