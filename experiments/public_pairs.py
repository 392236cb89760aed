"""Turns the files of public data sets into files of pairs for --data (docs/own-data.md names the sets).

    python -m experiments.public_pairs FORM FILE > pairs.tsv

FORM is scan, cogs, inflection (SIGMORPHON) or lexicon (CMUdict). SIGMORPHON's pronunciations are pairs already.
"""

import argparse
import re
import sys
from pathlib import Path


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
    """WORD  S OU1 N D Z, and WORD(1) for another pronunciation. The digits, which mark stress, are left out."""
    word, sounds = line.split(maxsplit=1)
    return " ".join(re.sub(r"\(\d+\)$", "", word)), re.sub(r"\d| *#.*", "", sounds)


def letters(word):
    return word.replace(" ", "\u2423")


FORMS = {form.__name__: form for form in (scan, cogs, inflection, lexicon)}


def convert(form, text):
    """Yields the lines of a file of pairs for the text of a file of one of FORMS."""
    for line in text.split("\n"):
        if line and not line.startswith(";;;"):  # a comment in CMUdict
            inputs, target = FORMS[form](line)
            yield f"{inputs}\t{target}\n"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m experiments.public_pairs")
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    try:
        sys.stdout.writelines(convert(given.form, given.file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        parser.error(f"{str(given.file)!r}: {error}")


if __name__ == "__main__":
    main()
