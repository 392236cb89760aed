"""Runs that are stopped at 25 random moments each, by each of three signals, against one that never was."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import ROOT
from same_end import assert_same_end


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_a_run_stopped_25_times_comes_to_the_same_end(name, tmp_path):
    command = [sys.executable, str(ROOT / "tests/killed_runs.py"), str(tmp_path), name, "25"]
    process = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert re.match(r"stopped 25 times, with a checkpoint after these batches: \[", process.stdout)
    stopped = sorted(Path(tmp_path).glob("stopped-*"))
    assert stopped
    for run in stopped:
        assert_same_end(tmp_path / "whole", run)
