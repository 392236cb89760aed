"""What a process of the tests does that starts the command; see running.py."""

import functools
import importlib
import os
import runpy
import signal
import sys
import time

from support.settings import Settings
from support.terminal import command, main, process


def carry_out(streams, arguments, folder, environment, imports_tensorflow=False, **options):
    """Does the same as `python seq2seq_copy.py` in a new process, but for modules that are already loaded.

    Args:
      streams: three file descriptors that become standard input, output and error.
      arguments, folder: what is typed, list of str, and where, a pathlib.Path.
      environment: dict of all its variables.
      imports_tensorflow: whether TensorFlow is imported again, as PYTHONPATH may name another.
      options: as for run().
    """
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    if imports_tensorflow:
        forget("tensorflow")
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, closefd=False) for number, mode in enumerate("rww"))
    sys.stderr.reconfigure(line_buffering=True, errors="backslashreplace")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run(arguments, **options)


def run(arguments, module=None, program=None, script=None, settings=None, largest_file=None, before=None):
    """Runs the command, and ends the process.

    Args:
      arguments: what is typed, list of str.
      module, program: the name or the text of what runs in place of the command.
      script: a copy of seq2seq_copy.py with what it needs beside it, str, which runs in place of the command.
      settings: dict of fields of the Settings of a new run that no flag sets.
      largest_file: int, bytes.
      before: "module:function", to be called first.
    """
    if largest_file is not None:
        import resource  # Windows has none

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    if settings is not None:
        command.Settings = functools.partial(Settings, **settings)
    if before is not None:
        source, function = before.split(":")
        getattr(importlib.import_module(source), function)()
    sys.argv = ["seq2seq_copy.py", *arguments]
    if module is not None:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif program is not None:
        exec(program, {"__name__": "__main__"})
    elif script is not None:
        forget("seq2seq_copy", "helpers", "support")
        sys.path.insert(0, os.path.dirname(script))
        runpy.run_path(script, run_name="__main__")
    else:
        main.run()
    sys.exit()


def forget(*packages):
    """Makes the next import of some modules or packages read them again."""
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]


def report_slowly():
    """Makes training wait after each report, so that a signal reaches it before it finishes."""
    write = process.write
    process.write = lambda *arguments: (write(*arguments), time.sleep(0.05))
