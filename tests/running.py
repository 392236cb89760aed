"""Starts the command for the tests: in its own process, or in a fork of one that has imported TensorFlow.

A fork saves the three seconds of the import. Some tests need a process of their own: they check how Python itself
starts, and what TensorFlow prints and reads while it is imported.
"""

import contextlib
import functools
import multiprocessing
import operator
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import reduction
from pathlib import Path
from unittest import mock

import pytest

from support.run.run_folder import RunFolder
from support.terminal.command import read_command
from tests import in_fork

try:
    import fcntl
    import resource
    import termios
except ImportError:  # on Windows
    fcntl = resource = termios = None

ROOT = Path(__file__).parent.parent
SHORT = ["--max-batches", "120", "--batches-in-epoch", "50", "--samples", "2", "--batch-size", "20", "--xla", "off"]
SHORT += ["--held-out-sequences", "200"]
ENDLESS = ["--max-batches", "1000000", "--xla", "off"]
QUICK = {"keep_every": 10, "held_out_sequences": 200}  # settings that no flag sets
long = functools.partial(pytest.param, marks=pytest.mark.long)  # a variant that only make test-all runs
posix = pytest.mark.skipif(resource is None, reason="needs the signals, limits and terminals of Linux or macOS")
can_fork = sys.platform == "linux"  # libraries of macOS do not survive a fork
ALTERED = ("module", "program", "script", "settings", "largest_file", "before")  # what a command gets besides its flags
started = []  # all processes, so that conftest.py can end those that a failed test leaves running


@functools.cache
def forks():
    """Starts Python's fork server; returns the multiprocessing context that forks."""
    from multiprocessing import forkserver  # not on Windows

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    # A fork keeps only one thread, and NumPy would start others.
    with mock.patch.dict(os.environ, PYTHONPATH=str(ROOT), OPENBLAS_NUM_THREADS="1"):
        forkserver.ensure_running()
    return context


class Descriptor(int):
    """A file descriptor that a fork gets a copy of."""

    def __reduce__(self):
        return operator.methodcaller("detach"), (reduction.DupFd(self),)


class Fork:
    """The command in a fork, with the part of subprocess.Popen that the tests need.

    stdout is a pipe by default. stderr is a file by default, so that nobody needs to read both at once. Other
    arguments are those of in_fork.carry_out().
    """

    def __init__(self, arguments, folder, stdin=None, stdout=None, stderr=None, **options):
        with contextlib.ExitStack() as stack:
            if stdin is None:
                stdin = stack.enter_context(open(os.devnull))
            if stdout is None:
                read, stdout = os.pipe()
                stack.callback(os.close, stdout)
                self.stdout = os.fdopen(read)
            if stderr is None:
                stderr = stack.enter_context(tempfile.NamedTemporaryFile("w"))
                self.stderr = os.fdopen(os.open(stderr.name, os.O_RDONLY))
            streams = [stream if isinstance(stream, int) else stream.fileno() for stream in (stdin, stdout, stderr)]
            options |= {"streams": [*map(Descriptor, streams)], "arguments": [*arguments], "folder": folder}
            self.process = forks().Process(target=in_fork.carry_out, kwargs=options, daemon=True)
            self.process.start()
            self.pid = self.process.pid

    @property
    def returncode(self):
        return self.process.exitcode

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def poll(self):
        return self.returncode

    def wait(self, timeout=300):
        self.process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("a fork", timeout)
        return self.returncode

    def communicate(self, timeout=300):
        """Returns what is left of standard output, and all of standard error. Kills a command that takes longer."""
        alarm = threading.Timer(timeout, self.kill)
        alarm.start()
        with self.stdout, self.stderr:
            stdout = self.stdout.read()
            self.wait()
            alarm.cancel()
            return stdout, self.stderr.read()


def start_process(arguments, folder, env=None, **options):
    """Starts the command in its own process. Options as for subprocess.Popen and in_fork.run()."""
    altered = {name: options.pop(name) for name in ALTERED if name in options}
    command, env = [sys.executable, str(ROOT / "seq2seq_copy.py")], dict(os.environ) if env is None else env
    if altered:
        program = f"import sys; from tests import in_fork; in_fork.run(sys.argv[1:], **{altered})"
        command, env = [sys.executable, "-c", program], env | {"PYTHONPATH": str(ROOT)}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    started.append(subprocess.Popen([*command, *arguments], cwd=folder, env=env, **options))
    return started[-1]


def start(arguments, folder, env=None, **options):
    """Starts the command in a Fork, or in its own process if a fork is not possible.

    env and options: as for subprocess.Popen and in_fork.carry_out().
    """
    env = dict(os.environ) if env is None else env
    changed = {name for name, value in env.items() if os.environ.get(name) != value} - {"PYTHONPATH"}
    is_read_early = any(name.startswith(("PYTHON", "XLA")) for name in changed)  # before the server forks
    if not can_fork or "preexec_fn" in options or is_read_early:
        options.pop("imports_tensorflow", None)
        return start_process(arguments, folder, env=env, **options)
    started.append(Fork(arguments, folder, environment=env, **options))
    return started[-1]


def start_with_files(arguments, folder, name="alone", env=None, settings=QUICK, **options):
    """Does the same as start(), but the command prints into NAME.out and NAME.err in the folder."""
    with open(folder / f"{name}.out", "w") as stdout, open(folder / f"{name}.err", "w") as stderr:
        options |= {"env": os.environ | (env or {}), "settings": settings, "stdout": stdout, "stderr": stderr}
        return start(arguments, folder, **options)


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


def succeed(arguments, folder, text=None, start=start, **options):
    """Runs the command, which must succeed without a word on stderr; returns what it prints."""
    status, stdout, stderr = run(arguments, folder, text, start, **options)
    assert (status, stderr) == (0, ""), (status, stderr)
    return stdout


def run_process(arguments, folder, text=None, **options):
    """Does the same as run(), in a process that imports TensorFlow itself."""
    return run(arguments, folder, text, start_process, **options)


def refusal(arguments, capsys):
    """Reads a command line that must be refused, in this process; returns what is then on standard error."""
    with pytest.raises(SystemExit) as end:
        read_command(arguments)
    stdout, stderr = capsys.readouterr()
    assert (end.value.code, stdout) == (2, "")
    return stderr


def files(folder):
    """Returns the files below a folder, except those of runs."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if path.parts[0] != "runs")


def everything(folder):
    """Returns the contents of a folder: the target of each link, the bytes of each file."""
    return {
        path: os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.name != "lock"
    }


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


def wait_for(condition, *passing):
    """Waits until a condition holds, and returns its value. passing: kinds of errors that it may raise at first."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        with contextlib.suppress(*passing):
            if value := condition():
                return value
        time.sleep(0.01)
    raise TimeoutError
