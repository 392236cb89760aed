"""The page of symptoms: its lines of Python and its commands are run, and print what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from running import ROOT

PAGE = ROOT / "docs/when-it-fails.md"


def commands():
    """Returns each command of the page that runs the script, and the lines that it prints, with ... for gaps."""
    blocks = re.findall(r"^    \$ (python seq2seq_copy\.py .*)\n((?:(?:    .*)?\n)*)", PAGE.read_text(), re.MULTILINE)
    return [(command, [line.strip() for line in printed.splitlines() if line.strip()]) for command, printed in blocks]


def without_figures(line):
    """Returns a line with # for sequences and figures, which differ between processors."""
    return re.sub(r"\[[\d ]*\]|\d[\d.]*", "#", line.strip())


def test_the_lines_of_python_print_what_it_says():
    command = [sys.executable, "-m", "doctest", "-o", "ELLIPSIS", str(PAGE)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, "")


def test_the_commands_print_what_it_says(tmp_path):
    """One after the other, because a command asks the run before it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    assert len(commands()) == 4
    for command, expected in commands():
        process = subprocess.run(
            command.replace("seq2seq_copy.py", str(ROOT / "seq2seq_copy.py")),
            shell=True,
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        printed = map(without_figures, process.stdout.splitlines())
        for line in expected:
            assert line == "..." or without_figures(line) in printed, f"{command} does not print {line}"
