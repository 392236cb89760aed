"""The made-up files of docs/own-data.md: their form, and that each of them trains."""

import datetime
import re
import sys

import pytest

from experiments import make_pairs
from tests.running import ROOT, long, posix, run, start_process

TINY = ["--max-batches", "2", "--batch-size", "5", "--encoder-hidden-units", "4", "--samples", "0", "--xla", "off"]
OPTIONS = {form: ["--symbols", "characters"] for form in ("dates", "numbers")}


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


def test_numbers_are_written_as_they_are_said():
    said = {7: "seven", 40: "forty", 13: "thirteen", 85: "eighty-five", 607: "six hundred and seven"}
    said |= {1000: "one thousand", 20_016: "twenty thousand and sixteen"}
    said |= {999_318: "nine hundred and ninety-nine thousand three hundred and eighteen"}
    assert {number: make_pairs.in_words(number) for number in said} == said
    made = dict(pairs_of("numbers", 2000))
    assert len(set(made.values())) == 2000


def test_commands_say_what_to_do():
    made = dict(pairs_of("commands", 3000))
    assert made["jump left twice"] == "LTURN JUMP LTURN JUMP"
    assert made["walk around right"] == " ".join(["RTURN WALK"] * 4)
    for inputs, target in made.items():
        if " after " in inputs:
            first, then = inputs.split(" after ")
            if first in made and then in made:
                assert target == f"{made[then]} {made[first]}"


LONG = [long(form) for form in make_pairs.FORMS if form != "numbers"]


@pytest.mark.parametrize("form", ["numbers", *LONG])
def test_each_form_trains(form, tmp_path):
    lines = list(make_pairs.make(form, 60))
    assert len({line.split("\t")[0] for line in lines}) == 60
    assert lines == list(make_pairs.make(form, 60))
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    status, stdout, _ = run(["--data", "pairs.tsv", *TINY, *OPTIONS.get(form, [])], tmp_path)
    assert status == 0
    assert "49 pairs to learn, 5 for validation, 6 for the test; " in stdout
    assert "  symbol error rate  " in stdout


@pytest.mark.parametrize("arguments", ["poems 3", "dates few", "dates", "dates 3 -1", "dates 3 1 2", "--help"])
def test_bad_arguments_are_one_line_and_help_is_none(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["make_pairs", *arguments.split()])
    with pytest.raises(SystemExit) as end:
        make_pairs.main()
    stdout, stderr = capsys.readouterr()
    is_help = arguments == "--help"
    assert (end.value.code, stderr.count("\n")) == ((0, 0) if is_help else (2, 1))
    assert all((form in stdout) == is_help for form in make_pairs.FORMS)


@posix
def test_an_output_that_cannot_be_written_is_one_line_or_none():
    with open("/dev/full", "w") as full:
        process = start_process(["dates", "100"], ROOT, module="experiments.make_pairs", stdout=full)
        assert process.communicate()[1].endswith("No space left on device\n")
    assert process.returncode == 1
    process = start_process(["dates", "20000"], ROOT, module="experiments.make_pairs")
    assert "\t" in process.stdout.readline()
    process.stdout.close()  # as head -1 does
    assert (process.stderr.read(), process.wait()) == ("", 1)
