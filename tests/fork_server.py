"""The server of tests/forks.py.

    python -m tests.fork_server SOCKET MODULES

imports the command and MODULES, then answers requests from a socket; each is one message in JSON. A command comes with
the file descriptors of its standard streams; the answer is a process number. The answer to {"wait": number} is the exit
status, or null if that process still runs.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
import traceback
from dataclasses import replace

from support.tensorflow import startup
from support.terminal import main as command
from support.terminal import process


def start(server, streams, request):
    """Forks a process that carries out a command; returns its number."""
    assert len(os.listdir("/proc/self/task")) == 1, "a fork would wait for threads that it does not have"
    child = os.fork()
    if child == 0:
        server.close()
        try:
            carry_out(streams, **request)
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            os._exit(1 if isinstance(end.code, str) else end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(99)
    for stream in streams:
        os.close(stream)
    return child


def carry_out(streams, arguments, folder, environment, **options):
    """Does the same as `python seq2seq_copy.py`. Arguments as for Forks.fork()."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, closefd=False) for number, mode in enumerate("rww"))
    sys.stderr.reconfigure(line_buffering=True, errors="backslashreplace")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run(arguments, **options)


def run(arguments, module=None, program=None, settings=None, largest_file=None, before=None):
    """Runs the command, or another module or program, and ends the process. Options as for Forks.fork()."""
    if largest_file is not None:
        import resource  # Windows has none

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    if settings is not None:
        read_command = command.read_command
        command.read_command = lambda: with_settings(read_command(), settings)
    if before is not None:
        source, function = before.split(":")
        getattr(importlib.import_module(source), function)()
    sys.argv = ["seq2seq_copy.py", *arguments]
    if module is not None:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif program is not None:
        exec(program, {"__name__": "__main__"})
    else:
        command.run()
    sys.exit()


def report_slowly():
    """Makes training wait after each report, so that a signal reaches it before it finishes."""
    write = process.write
    process.write = lambda *arguments: (write(*arguments), time.sleep(0.05))


def with_settings(typed, settings):
    return typed._replace(config=replace(typed.config, **settings))


def main(descriptor, *modules):
    if modules:
        startup.set_environment()
    with startup.silent_stderr():
        for module in modules:
            importlib.import_module(module)
    gc.freeze()  # so that forks share the memory of all this
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with socket.socket(fileno=int(descriptor)) as server:
        while True:
            message, streams, _, _ = socket.recv_fds(server, 1 << 20, 3)
            if not message:
                return
            request = json.loads(message)
            if "wait" in request:
                ended, status = os.waitpid(request["wait"], os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if ended else None
            else:
                answer = start(server, streams, request)
            server.send(json.dumps(answer).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
