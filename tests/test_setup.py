"""Setting up: the message for a wrong Python, and locked versions that the requirements allow."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from packaging.requirements import Requirement

from tests.running import ROOT


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("version", [(3, 9), (3, 14)])
def test_another_python_is_one_line_and_installs_nothing(version, tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.version_info = {version}")
    command = ["make", "run", f"PYTHON={python}", f"VENV={tmp_path}/venv", "TENSORFLOW="]
    not_below_make = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    process = subprocess.run(command, cwd=ROOT, env=not_below_make, capture_output=True, text=True)
    message, end = process.stderr.splitlines()
    number = ".".join(map(str, version))
    assert message == f"TensorFlow needs Python 3.10 to 3.13, and {python} is {number}; try PYTHON=python3.12"
    assert end.startswith("make: ***")
    assert (process.returncode, process.stdout) == (2, "")
    assert not (tmp_path / "venv").exists()


def test_what_is_left_out_is_one_line_for_each_reason(tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/test_page.py", "-k", "everybody or links"]
    no_browser = os.environ | {"PATH": str(tmp_path)}
    process = subprocess.run(command, cwd=ROOT, env=no_browser, capture_output=True, text=True)
    assert "\nleft out: 2 tests. no Chromium here; apt-get install chromium\n" in process.stdout


def test_the_lock_holds_what_the_requirements_allow_with_hashes_and_names_no_registry():
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links", lock)
    entries = re.findall(r"^(\S+)==(\S+).*((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+)", lock, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^[^#\s]", lock, re.MULTILINE))
    for path in (ROOT / "requirements.txt", ROOT / "tests/requirements.txt"):
        lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
        for requirement in map(Requirement, filter(lambda line: line and not line.startswith("-r"), lines)):
            versions = [version for name, version, _ in entries if name == requirement.name]
            assert versions, f"{requirement.name} is not in requirements.lock; make lock writes it"
            assert all(requirement.specifier.contains(version) for version in versions), requirement
