"""Files of public data sets become pairs, and so do other files. The lines are made up in the forms of real ones."""

import re
import subprocess
import sys

import pytest

from experiments import public_pairs
from support.errors import UserError
from tests.running import ROOT, posix

EXAMPLES = {
    "scan": ("IN: hop twice OUT: I_HOP I_HOP\n", "hop twice\tI_HOP I_HOP\n"),
    "cogs": ("A cat slept .\tcat ( x _ 1 ) AND sleep . agent ( x _ 2 , x _ 1 )\tin_distribution\n",
             "A cat slept .\tcat ( x _ 1 ) AND sleep . agent ( x _ 2 , x _ 1 )\n"),
    "inflection": ("ev ba\u015f\tev ba\u015flar\tN;NOM;PL\n",
                   "e v \u2423 b a \u015f N NOM PL\te v \u2423 b a \u015f l a r\n"),
    "lexicon": (";;; a comment\nTOM'S  T AA1 M Z\r\nread(1) R EH1 D # past\n",
                "T O M ' S\tT AA M Z\nr e a d\tR EH D\n"),
}  # fmt: skip


@pytest.mark.parametrize("form", public_pairs.FORMS)
def test_a_public_file_becomes_pairs(form, tmp_path, capsys):
    text, expected = EXAMPLES[form]
    (tmp_path / "public").write_bytes(text.encode())
    public_pairs.main([form, str(tmp_path / "public")])
    assert capsys.readouterr().out == expected


def test_a_file_of_another_form_is_one_line_and_nothing_is_written(tmp_path, capsys):
    (tmp_path / "public").write_text("a\tb\tN\nlemma\tform\n")
    with pytest.raises(UserError, match="public': line 2 is not of the form inflection: lemma TAB form TAB tags$"):
        public_pairs.main(["inflection", str(tmp_path / "public")])
    with pytest.raises(UserError, match="none': No such file or directory$"):
        public_pairs.main(["scan", str(tmp_path / "none")])
    with pytest.raises(SystemExit):
        public_pairs.main(["poems", "file"])
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


@posix
def test_the_commands_of_the_documentation_make_pairs(tmp_path):
    commands = re.findall(r"`python (-c '.*?' < FILE > pairs.tsv)`", (ROOT / "docs/own-data.md").read_text())
    files = (
        ('"ice cream","5"" of ice, cold"\r\nb,c\r\n', 'ice cream\t5" of ice, cold\nb\tc\n'),
        ('{"input": "a b", "target": "\\u00e9"}\n{"target": "d", "input": "c"}\n', "a b\t\u00e9\nc\td\n"),
        ("e\u0301\t\u00e9\n", "\u00e9\t\u00e9\n"),
    )
    for command, (content, expected) in zip(commands, files, strict=True):
        (tmp_path / "FILE").write_text(content, encoding="utf-8", newline="")
        subprocess.run(f"{sys.executable} {command}", shell=True, check=True, cwd=tmp_path)
        assert (tmp_path / "pairs.tsv").read_text(encoding="utf-8") == expected
