import atexit
import os
import shutil
import signal
import sys
import tempfile

import pytest
import running
from hypothesis import settings

from support.graph import programs

if sys.platform == "win32":  # what needs the terminals and the limits of Unix
    collect_ignore = ["test_benchmarks.py", "test_command.py", "test_pairs.py", "test_predict.py"]

# Whoever starts the tests in the background may let them ignore these signals, and what they start would too.
for name in ("SIGHUP", "SIGINT"):
    if signal.getsignal(getattr(signal, name, signal.SIGINT)) == signal.SIG_IGN:
        signal.signal(getattr(signal, name), signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

# What one test has compiled, the others need not. The processes of the tests inherit the name of the folder.
if programs.SETTING not in os.environ:
    os.environ[programs.SETTING] = tempfile.mkdtemp(prefix="seq2seq_copy-programs-")
    atexit.register(shutil.rmtree, os.environ[programs.SETTING], ignore_errors=True)


@pytest.fixture(autouse=True)
def no_process_is_left_running():
    yield
    for process in running.started:
        process.kill()
        process.wait()
    running.started.clear()
