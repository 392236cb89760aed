"""Turns the files of public data sets into files of pairs for --data (docs/own-data.md names the sets).

    python -m experiments.public_pairs FORM FILE > pairs.tsv

FORM is scan, cogs, inflection (SIGMORPHON) or lexicon (CMUdict). SIGMORPHON's pronunciations are pairs already.
"""

import re
import sys

from support.errors import UserError, as_user_error
from support.terminal import process
from support.terminal.flags import OneLineErrorParser
from support.values import file_path


def scan(line):
    """IN: command OUT: actions. Lake and Baroni, "Generalization without systematicity", 2018."""
    return line.removeprefix("IN: ").split(" OUT: ")


def cogs(line):
    """sentence TAB logical form TAB kind. Kim and Linzen, "COGS: A compositional generalization challenge", 2020."""
    return line.split("\t")[:2]


def inflection(line):
    """lemma TAB form TAB tags. Letters and tags become symbols, and a space is written as U+2423."""
    lemma, form, tags = line.split("\t")
    return " ".join([*letters(lemma), *tags.split(";")]), " ".join(letters(form))


def lexicon(line):
    """SOUND  S AW1 N D, and SOUND(1) for another pronunciation. The digits, which mark stress, are left out."""
    word, sounds = line.split(maxsplit=1)
    return " ".join(re.sub(r"\(\d+\)$", "", word)), re.sub(r"\d| *#.*", "", sounds)


def letters(word):
    return word.replace(" ", "\u2423")


FORMS = {form.__name__: form for form in (scan, cogs, inflection, lexicon)}


def convert(form, text):
    """Yields the lines of a file of pairs for the text of a file of one of FORMS."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.startswith(";;;"):  # a comment in CMUdict
            try:
                inputs, target = FORMS[form](line)
            except ValueError:
                known = FORMS[form].__doc__.partition(".")[0]
                raise UserError(f"line {number} is not of the form {form}: {known}") from None
            yield f"{inputs}\t{target}\n"


def main(arguments=None):
    """Prints the pairs that the command line asks for, if the whole file is of that form; returns the exit status."""
    parser = OneLineErrorParser(prog="public_pairs", description=__doc__.split("\n")[0])
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("file", type=file_path, metavar="FILE")
    form, path = parser.parse(arguments).values()
    with as_user_error(repr(str(path)), UnicodeDecodeError, UserError):
        lines = list(convert(form, path.read_text(encoding="utf-8-sig")))
    sys.stdout.writelines(lines)
    return 0


if __name__ == "__main__":
    process.run(main)
