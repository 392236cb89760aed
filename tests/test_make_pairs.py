"""The made-up files of docs/own-data.md: their form, and that each of them trains."""

import datetime
import re
import subprocess
import sys

import pytest
from running import ROOT, run

from experiments import make_pairs

TINY = ["--max-batches", "2", "--batch-size", "5", "--encoder-hidden-units", "4", "--samples", "0", "--xla", "off"]
OPTIONS = {"dates": ["--symbols", "characters"]}


def pairs_of(form, lines=300):
    return [line.rstrip("\n").split("\t") for line in make_pairs.make(form, lines)]


def test_sums_and_dates_are_right():
    for inputs, target in pairs_of("additions"):
        first, second = inputs.replace(" ", "").split("+")
        assert int(first) + int(second) == int(target.replace(" ", ""))
    for inputs, target in pairs_of("dates"):
        date = datetime.date.fromisoformat(target)
        assert str(date.year) in inputs
        assert re.search(rf"\b{date.day}\b", inputs)


def test_commands_say_what_to_do():
    made = dict(pairs_of("commands", 3000))
    assert made["jump left twice"] == "LTURN JUMP LTURN JUMP"
    assert made["walk around right"] == " ".join(["RTURN WALK"] * 4)
    for inputs, target in made.items():
        if " after " in inputs:
            first, then = inputs.split(" after ")
            if first in made and then in made:
                assert target == f"{made[then]} {made[first]}"


@pytest.mark.parametrize("form", make_pairs.FORMS)
def test_each_form_trains(form, tmp_path):
    lines = list(make_pairs.make(form, 60))
    assert len({line.split("\t")[0] for line in lines}) == 60
    assert lines == list(make_pairs.make(form, 60))
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    status, stdout, _ = run(["--data", "pairs.tsv", *TINY, *OPTIONS.get(form, [])], tmp_path)
    assert status == 0
    assert "54 pairs to learn, 6 held out; " in stdout
    assert "  symbol error rate  " in stdout


def test_bad_arguments_are_one_line():
    command = [sys.executable, "-m", "experiments.make_pairs", "poems", "3"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 1
    assert process.stderr.startswith("usage: ")
    assert process.stderr.count("\n") == 1
