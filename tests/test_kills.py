"""Runs that are stopped at random moments, by each of three signals, against one that never was."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT, posix
from same_end import assert_same_end


@posix
@pytest.mark.parametrize(
    "name, times, xla",
    [("SIGKILL", "12", "off"), ("SIGINT", "6", "off"), ("SIGTERM", "6", "off"), ("SIGKILL", "3", "on")],
)
def test_a_run_stopped_at_random_comes_to_the_same_end(name, times, xla, tmp_path):
    command = [sys.executable, "-m", "tests.killed_runs", str(tmp_path), name, times, xla]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert re.match(rf"stopped {times} times, with a checkpoint after these batches: \[", process.stdout)
    stopped = sorted(Path(tmp_path).glob("stopped-*"))
    assert stopped
    for run in stopped:
        assert_same_end(tmp_path / "whole", run)
