"""Starts the command for the tests: in its own process, or in a fork of one that has imported TensorFlow."""

import functools
import os
import struct
import subprocess
import sys
import tempfile

import pytest

from support.run.run_folder import RunFolder
from tests.forks import ROOT, SLOW_TO_IMPORT, Fork, Forks

try:
    import fcntl
    import resource
    import termios
except ImportError:  # on Windows
    fcntl = resource = termios = None

SHORT = ["--max-batches", "120", "--batches-in-epoch", "50", "--samples", "2", "--batch-size", "20", "--xla", "off"]
ENDLESS = ["--max-batches", "1000000", "--xla", "off"]
posix = pytest.mark.skipif(resource is None, reason="needs the signals, limits and terminals of Linux or macOS")
can_fork = sys.platform == "linux"  # libraries of macOS do not survive a fork
ALTERED = ("module", "program", "settings", "largest_file", "before")  # what a command gets besides its flags
started = []  # all processes, so that conftest.py can end those that a failed test leaves running
servers = []  # for conftest.py to stop


@functools.cache
def server(modules=SLOW_TO_IMPORT):
    servers.append(Forks(modules).__enter__())
    return servers[-1]


def start_process(arguments, folder, env=None, **options):
    """Starts the command in its own process. Options as for subprocess.Popen and fork_server.run()."""
    altered = {name: options.pop(name) for name in ALTERED if name in options}
    command, env = [sys.executable, str(ROOT / "seq2seq_copy.py")], dict(os.environ) if env is None else env
    if altered:
        program = f"import sys; from tests import fork_server; fork_server.run(sys.argv[1:], **{altered})"
        command, env = [sys.executable, "-c", program], env | {"PYTHONPATH": str(ROOT)}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    started.append(subprocess.Popen([*command, *arguments], cwd=folder, env=env, **options))
    return started[-1]


def start(arguments, folder, modules=SLOW_TO_IMPORT, env=None, **options):
    """Starts the command in a fork, see forks.Fork, or in its own process if a fork is not possible.

    modules: imported by the server of the fork. env and options: as for subprocess.Popen and fork_server.run().
    """
    env = dict(os.environ) if env is None else env
    changed = {name for name, value in env.items() if os.environ.get(name) != value} - {"PYTHONPATH"}
    is_read_early = any(name.startswith(("PYTHON", "XLA")) for name in changed)  # before a server forks
    if not can_fork or "preexec_fn" in options or is_read_early:
        return start_process(arguments, folder, env=env, **options)
    started.append(Fork(server(modules), arguments, folder, environment=env, **options))
    return started[-1]


def run(arguments, folder, text=None, start=start, **options):
    """Runs the command until it ends; returns exit status, stdout and stderr."""
    with tempfile.TemporaryFile("w+") as lines:
        if text is not None:
            lines.write(text)
            lines.seek(0)
            options["stdin"] = lines
        process = start(arguments, folder, **options)
        stdout, stderr = process.communicate(timeout=300)
    return process.returncode, stdout, stderr


def run_process(arguments, folder, text=None, **options):
    """Does the same as run(), in a process that imports TensorFlow itself."""
    return run(arguments, folder, text, start_process, **options)


def files(folder):
    """Returns the files below a folder, except those of runs."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if path.parts[0] != "runs")


def batches_saved(run):
    """Returns how many batches came before the newest checkpoint of a run; None if there is none."""
    return max((checkpoint.batches for checkpoint in RunFolder(run).checkpoints()), default=None)


def only_run(folder):
    """Returns the folder of the only run in runs/."""
    (run_folder,) = (folder / "runs").iterdir()
    return run_folder


def open_terminal():
    """Returns the two ends of a terminal of 80 columns, the user's end first."""
    user, process = os.openpty()
    fcntl.ioctl(user, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    return user, process
