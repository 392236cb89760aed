"""The page of symptoms: its lines of Python and its commands run, and print what it says."""

import re
import shlex

from tests.running import ROOT, run

PAGE = ROOT / "docs/when-it-fails.md"


def commands():
    """Returns each command of the page that runs the script, and the lines that it prints, with ... for gaps."""
    blocks = re.findall(r"^    \$ (python seq2seq_copy\.py .*)\n((?:(?:    .*)?\n)*)", PAGE.read_text(), re.MULTILINE)
    return [(command, [line.strip() for line in printed.splitlines() if line.strip()]) for command, printed in blocks]


def without_figures(line):
    """Returns a line with # for sequences and figures, which differ between processors."""
    return re.sub(r"\[[\d ]*\]|\d[\d.]*", "#", line.strip())


def test_the_lines_of_python_print_what_it_says():
    status, stdout, _ = run(["-o", "ELLIPSIS", str(PAGE)], ROOT, module="doctest")
    assert (status, stdout) == (0, "")


def test_the_commands_print_what_it_says(tmp_path):
    """One after the other, because a command asks the run of the one before."""
    assert len(commands()) == 4
    for command, expected in commands():
        _, stdout, stderr = run(shlex.split(command)[2:], tmp_path)
        printed = {stream: map(without_figures, text.splitlines()) for stream, text in enumerate((stdout, stderr))}
        for line in expected:
            is_error = line.startswith("seq2seq_copy.py: ")
            assert line == "..." or without_figures(line) in printed[is_error], f"{command} does not print {line}"
