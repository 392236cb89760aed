import sys

import pytest
import running
from hypothesis import settings

if sys.platform == "win32":  # what needs the terminals and the limits of Unix
    collect_ignore = ["test_benchmarks.py", "test_command.py", "test_pairs.py", "test_predict.py"]

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def no_process_is_left_running():
    yield
    for process in running.started:
        process.kill()
        process.wait()
    running.started.clear()
