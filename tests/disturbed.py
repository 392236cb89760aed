"""The real command in a fork of this process, on a disk that may be full, and what must hold when it ends.

TensorFlow is imported once, for all forks.
"""

import contextlib
import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import seq2seq_copy
from support.terminal import process
from support.terminal.command import read_command
from tests.killed_runs import SETTINGS, wait_for

STATUSES = {  # what happens to a process, and the exit statuses that it may then have
    "nothing": {0},
    "SIGKILL": {0, -signal.SIGKILL},
    "SIGTERM": {0, -signal.SIGTERM, 128 + signal.SIGTERM},
    "SIGINT": {0, -signal.SIGINT, 128 + signal.SIGINT},
    "SIGINT twice": {0, -signal.SIGINT, 128 + signal.SIGINT},
    "full disk": {0, 1, 2},
    "limit on file size": {0, 1, 2},
    "second process": {0, 2},
}
DISK = 64 * 2**20  # bytes
LOGS = Path(tempfile.mkdtemp(prefix="soak-"))  # not on the disk that is filled


class Failure(Exception):
    """Something that must hold does not."""


def check(holds, message):
    if not holds:
        raise Failure(message)


def start(arguments, log="log", largest_file=resource.RLIM_INFINITY):
    """Forks a process that carries out a command; returns its number.

    What it prints goes into two files in LOGS, LOG.1 and LOG.2.
    """
    child = os.fork()
    if child == 0:
        status = 99
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            for descriptor in (1, 2):
                os.dup2(os.open(LOGS / f"{log}.{descriptor}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
            sys.argv[1:] = arguments
            seq2seq_copy.read_command = read_short_command
            process.run(seq2seq_copy.main)
        except SystemExit as error:
            status = error.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            os._exit(status)
    return child


def read_short_command():
    """Like read_command(), but a new run has many checkpoints and few held-out sequences."""
    command = read_command()
    if command.resume or command.predict or command.export:
        return command
    return command._replace(config=dataclasses.replace(command.config, **SETTINGS))


def carry_out(arguments):
    """Runs a command that must succeed; returns what it printed."""
    check_end(wait_for(start(arguments, "undisturbed")), {0}, "undisturbed")
    return (LOGS / "undisturbed.1").read_text()


def check_end(status, allowed, log="log"):
    """Raises Failure unless an exit status is allowed, and one line on stderr explains it if it is 1 or 2."""
    messages = (LOGS / f"{log}.2").read_text()
    check(status in allowed, f"exit status {status}, not one of {sorted(allowed)}: {messages}")
    check("Traceback" not in messages, messages)
    if status in (1, 2):
        check(messages.count("\n") == 1 and messages.startswith("seq2seq_copy.py: "), f"not one line: {messages}")


@contextlib.contextmanager
def small_disk():
    """Makes a small disk in memory the current folder; yields whether this machine allowed it, else it is a large one.

    Yields:
      folder: pathlib.Path.
      is_small: bool.
    """
    disk, here = Path(tempfile.mkdtemp(prefix="soak-disk-")), Path.cwd()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", disk], capture_output=True)
    os.chdir(disk)
    try:
        yield disk, mount.returncode == 0
    finally:
        os.chdir(here)
        if mount.returncode == 0:
            subprocess.run(["umount", disk], check=True)
        shutil.rmtree(disk)


@contextlib.contextmanager
def filled_disk(room):
    """Leaves that many bytes of the disk free."""
    with open("ballast", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(".").free - room))
    try:
        yield
    finally:
        os.unlink("ballast")
