"""Starts the command in forks of a server, tests/fork_server.py, which has imported TensorFlow once for all of them.

That saves the three seconds of the import. Some tests need a separate process instead (running.py): they check how
Python itself starts, and what TensorFlow prints and reads while it is imported.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
QUICK = {"keep_every": 10, "held_out_sequences": 200}  # settings that no flag sets
SLOW_TO_IMPORT = ("tensorflow.compat.v1", "matplotlib.backends.backend_agg", "matplotlib.figure")


class Forks:
    """A server that starts commands.

    modules: what the server imports before it forks, besides the command's own modules.
    """

    def __init__(self, modules=SLOW_TO_IMPORT):
        self.modules, self.running = modules, set()

    def __enter__(self):
        self.socket, socket_of_server = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with socket_of_server:
            command = [sys.executable, "-m", "tests.fork_server", str(socket_of_server.fileno()), *self.modules]
            # A fork keeps only one thread, and NumPy would start others.
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
            self.server = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[socket_of_server.fileno()])
        return self

    def __exit__(self, *_):
        for child in self.running:
            os.kill(child, signal.SIGKILL)
        self.socket.close()
        self.server.wait()

    def ask(self, descriptors=(), **request):
        socket.send_fds(self.socket, [json.dumps(request).encode()], descriptors)
        return json.loads(self.socket.recv(1000))

    def fork(self, arguments, folder, streams, **options):
        """Starts the command in a folder; returns its process number.

        Args:
          arguments: list of str.
          folder: pathlib.Path.
          streams: list of three file descriptors, for standard input, output and error.
          options: environment, a dict of all variables; and the options of fork_server.run(): module or program, the
            name or the text of what runs in place of the command; settings, a dict of fields of the Settings that no
            flag sets; largest_file, in bytes; before, "module:function", to be called first.
        """
        child = self.ask(streams, arguments=[*arguments], folder=str(folder), **options)
        self.running.add(child)
        return child

    def start(self, arguments, folder, name="alone", settings=QUICK, environment=None, **options):
        """Starts the command; returns its process number. It prints into NAME.out and NAME.err in the folder."""
        variables = os.environ | (environment or {})
        paths = [os.devnull, *(Path(folder, f"{name}.{ending}") for ending in ("out", "err"))]
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(open(path, mode)).fileno() for path, mode in zip(paths, "rww")]
            return self.fork(arguments, folder, streams, settings=settings, environment=variables, **options)

    def wait(self, child, timeout=300):
        """Returns the exit status, minus the signal that ended the process, or None if it still runs."""
        give_up_at = time.monotonic() + timeout
        while (status := self.ask(wait=child)) is None and time.monotonic() < give_up_at:
            time.sleep(0.01)
        if status is not None:
            self.running.remove(child)
        return status


class Fork:
    """A command in a fork, with the part of subprocess.Popen that the tests need.

    stdout is a pipe by default. stderr is a file by default, so that nobody needs to read both at once.
    """

    def __init__(self, forks, arguments, folder, stdin=None, stdout=None, stderr=None, **options):
        self.forks, self.returncode = forks, None
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
            self.pid = forks.fork(arguments, folder, streams, **options)

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def poll(self, timeout=0):
        if self.returncode is None:
            self.returncode = self.forks.wait(self.pid, timeout)
        return self.returncode

    def wait(self, timeout=300):
        if self.poll(timeout) is None:
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
