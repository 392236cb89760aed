import atexit
import collections
import importlib.metadata
import os
import shutil
import signal
import sys
import tempfile

import pytest
from hypothesis import settings

from support.errors import counted
from support.run.run_folder import ENDED
from support.tensorflow import compile_cache
from tests import running

if sys.platform == "win32":  # these need the terminals and the limits of Unix
    collect_ignore = ["test_benchmarks.py", "test_command.py", "test_pairs.py", "test_predict.py"]

# A shell may start the tests in the background with these signals ignored; the processes they start would inherit it.
for name in ("SIGHUP", "SIGINT"):
    if signal.getsignal(getattr(signal, name, signal.SIGINT)) == signal.SIG_IGN:
        signal.signal(getattr(signal, name), signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

# Without LLVM's optimisations and XLA's newer emitters, compiling takes less than half as long; the default run of
# test_command.py has both. TensorFlow 2.16 prints more if XLA has flags, and older versions do not know the second one.
version = importlib.metadata.version("tensorflow")
if not version.startswith("2.16."):
    older_emitters = " --xla_cpu_use_fusion_emitters=false" if version >= "2.21" else ""
    os.environ.setdefault("XLA_FLAGS", f"--xla_backend_optimization_level=0{older_emitters}")

# Tests share compiled programs. The processes of the tests inherit the name of the folder.
if compile_cache.SETTING not in os.environ:
    os.environ[compile_cache.SETTING] = tempfile.mkdtemp(prefix="seq2seq_copy-programs-")
    atexit.register(shutil.rmtree, os.environ[compile_cache.SETTING], ignore_errors=True)


@pytest.fixture(scope="session")
def stopped(tmp_path_factory):
    """A tiny run of 21 batches, stopped after the checkpoint at 11, as if by kill -9."""
    folder = tmp_path_factory.mktemp("stopped")
    sizes = "--batch-size 2 --vocab-size 5 --length-to 4 --input-embedding-size 2 --encoder-hidden-units 2"
    arguments = f"--max-batches 21 {sizes} --samples 0 --xla off --run-dir run"
    settings = {"keep_every": 10, "held_out_sequences": 9}
    assert running.run(arguments.split(), folder, settings=settings)[::2] == (0, "")
    shutil.rmtree(folder / "run/checkpoints/21")
    for name in ("metrics.json", "loss.png", ENDED):
        (folder / "run" / name).unlink()
    return folder / "run"


@pytest.fixture(autouse=True)
def no_process_is_left_running():
    yield
    for process in running.started:
        process.kill()
        process.wait()
    running.started.clear()
    os.environ.pop(compile_cache.FLAGS, None)  # set where a test trains in this process; others would inherit it


def pytest_terminal_summary(terminalreporter):
    """Says what was left out, and why, in one line for each reason."""
    reasons = collections.Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"left out: {counted(count, 'test')}. {reason.removeprefix('Skipped: ')}")
