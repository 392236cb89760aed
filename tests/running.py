"""Starting the real command in a process of its own, for the tests."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

try:
    import fcntl
    import resource
    import termios
except ImportError:  # on Windows
    fcntl = resource = termios = None

ROOT = Path(__file__).parent.parent
SHORT = ["--max-batches", "120", "--batches-in-epoch", "50", "--samples", "2", "--batch-size", "20", "--xla", "off"]
ENDLESS = ["--max-batches", "1000000", "--xla", "off"]
posix = pytest.mark.skipif(resource is None, reason="needs the signals, limits and terminals of Linux or macOS")
started = []  # all processes, for conftest.py to end what a failed test leaves running


def start(arguments, folder, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    command = [sys.executable, str(ROOT / "seq2seq_copy.py"), *arguments]
    started.append(subprocess.Popen(command, cwd=folder, **options))
    return started[-1]


def run(arguments, folder, text=None, **options):
    """Returns exit status, stdout and stderr."""
    if text is not None:
        options["stdin"] = subprocess.PIPE
    process = start(arguments, folder, **options)
    stdout, stderr = process.communicate(text, timeout=300)
    return process.returncode, stdout, stderr


def files(folder):
    """Returns the files below a folder, except those of runs."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if path.parts[0] != "runs")


def open_terminal():
    """Returns the two ends of a terminal of 80 columns, that of the user first."""
    user, process = os.openpty()
    fcntl.ioctl(user, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    return user, process
