"""Made-up files of pairs, in the forms of docs/own-data.md, because the real ones may not be shipped.

    python -m experiments.make_pairs FORM LINES [SEED] > pairs.tsv

FORM is commands (like SCAN), pronunciations (like CMUdict), inflection (like SIGMORPHON), additions, numbers or dates.
"""

import datetime
import random
import sys

from support.terminal import process
from support.terminal.flags import OneLineErrorParser
from support.values import whole_number

ACTIONS = {"walk": "WALK", "run": "RUN", "jump": "JUMP", "look": "LOOK"}
TURNS = {"left": "LTURN", "right": "RTURN"}
TIMES = {"": 1, "twice": 2, "thrice": 3}
ONSETS = {letters: letters.upper() for letters in [*"bdfklmnprstv", "ch", "sh"]}
ONSETS |= {"c": "K", "qu": "K W", "ph": "F", "st": "S T", "tr": "T R"}
VOWELS = {"a": "AE", "e": "EH", "i": "IH", "o": "AA", "u": "AH", "ee": "IY", "oo": "UW", "ai": "EY", "ou": "AW"}
CODAS = {"": "", "n": "N", "t": "T", "s": "S", "r": "R", "ck": "K", "nd": "N D"}
CASES = {"NOM": "", "ACC": "I", "DAT": "A", "LOC": "DA", "ABL": "DAn", "GEN": "In"}  # capitals: by harmony
UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
UNITS += [f"{stem}teen" for stem in ("thir", "four", "fif", "six", "seven", "eigh", "nine")]
TENS = [f"{stem}ty" for stem in ("", "", "twen", "thir", "for", "fif", "six", "seven", "eigh", "nine")]
MONTHS = [f"{datetime.date(2000, month, 1):%B}".lower() for month in range(1, 13)]


def commands(draw):
    """A command in words and its actions: Lake and Baroni, "Generalization without systematicity", 2018 (SCAN)."""

    def phrase():
        verb, turn, times = draw.choice(list(ACTIONS)), draw.choice(["", *TURNS]), draw.choice(list(TIMES))
        how = draw.choice(["", "opposite", "around"]) if turn else ""
        turned = [TURNS[turn]] if turn else []
        actions = {
            "": [*turned, ACTIONS[verb]],
            "opposite": [*turned, *turned, ACTIONS[verb]],
            "around": [*turned, ACTIONS[verb]] * 4,
        }[how]
        return " ".join(filter(None, [verb, how, turn, times])), actions * TIMES[times]

    (first, then), joint = (phrase(), phrase()), draw.choice(["", "and", "after"])
    if not joint:
        return first[0], " ".join(first[1])
    both = first[1] + then[1] if joint == "and" else then[1] + first[1]
    return f"{first[0]} {joint} {then[0]}", " ".join(both)


def pronunciations(draw):
    """A word in letters and its sounds. c is K, but S before e and i."""
    letters, sounds = [], []
    for _ in range(draw.choice([1, 2, 2, 3, 3, 4])):
        onset, vowel, coda = draw.choice(list(ONSETS)), draw.choice(list(VOWELS)), draw.choice(list(CODAS))
        letters += onset + vowel + coda
        sounds += ["S" if onset == "c" and vowel[0] in "ei" else ONSETS[onset], VOWELS[vowel], CODAS[coda]]
    return " ".join(letters), " ".join(filter(None, sounds))


def inflection(draw):
    """A noun in letters with its tags, and its form, with vowel harmony as in Turkish."""
    vowels, harmony = draw.choice([("aou", {"A": "a", "I": "u"}), ("ei", {"A": "e", "I": "i"})])
    stem = "".join(draw.choice("bdgklmnprstyz") + draw.choice(vowels) for _ in range(draw.choice([1, 2, 2, 3])))
    stem += draw.choice("klmnrst")
    case, number = draw.choice(list(CASES)), draw.choice(["SG", "PL"])
    form = stem + ("lAr" if number == "PL" else "")
    suffix = CASES[case]
    suffix = suffix.replace("D", "t" if form[-1] in "kst" else "d")
    form = "".join(harmony.get(letter, letter) for letter in form + suffix)
    return " ".join([*stem, "N", case, number]), " ".join(form)


def additions(draw):
    """Two numbers and their sum, digit by digit."""
    first, second = draw.randrange(1000), draw.randrange(1000)
    return " ".join(f"{first}+{second}"), " ".join(str(first + second))


def numbers(draw):
    """A number below a million in digits and in English words; each character is a symbol."""
    number = draw.randrange(10 ** draw.randint(1, 6))
    return str(number), in_words(number)


def in_words(number):
    """Returns a number below a million in English words, such as forty-two thousand six hundred and seven."""
    if number < 20:
        return UNITS[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return TENS[tens] + f"-{UNITS[rest]}" * bool(rest)
    size, name, joint = (100, "hundred", " and ") if number < 1000 else (1000, "thousand", " ")
    many, rest = divmod(number, size)
    joint = " and " if rest < 100 else joint
    return f"{in_words(many)} {name}" + f"{joint}{in_words(rest)}" * bool(rest)


def dates(draw):
    """A date as people write it, and in ISO 8601; each character is a symbol."""
    date = datetime.date(1950, 1, 1) + datetime.timedelta(draw.randrange(30_000))
    month = MONTHS[date.month - 1]
    year = date.year
    written = [f"{date.day} {month} {year}", f"{month} {date.day}, {year}", f"{date.day}.{date.month}.{year}"]
    written += [f"{month[:3]} {date.day} {year}"]
    return draw.choice(written), date.isoformat()


FORMS = {form.__name__: form for form in (commands, pronunciations, inflection, additions, numbers, dates)}


def make(form, lines, seed=0):
    """Yields lines of a file of pairs; each input occurs once, if there are enough of them."""
    draw, seen = random.Random(seed), set()
    for _ in range(100 * lines):
        inputs, target = FORMS[form](draw)
        if inputs not in seen:
            seen.add(inputs)
            yield f"{inputs}\t{target}\n"
        if len(seen) == lines:
            return


def main():
    """Prints the lines that the command line asks for; returns the exit status."""
    parser, number = OneLineErrorParser(prog="make_pairs", description=__doc__.split("\n")[0]), whole_number(0)
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("lines", type=number, metavar="LINES")
    parser.add_argument("seed", type=number, metavar="SEED", nargs="?", default=0, help="default: 0")
    sys.stdout.writelines(make(**parser.parse()))
    return 0


if __name__ == "__main__":
    process.run(main)
