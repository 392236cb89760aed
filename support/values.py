"""Checks of the values of settings: functions from text to a value. A WrongValue says what would be right.

Each has a metavar, which stands for its values in --help.
"""

import argparse
import contextlib
import os
from pathlib import Path

INT32_MAX = 2**31 - 1
FLOAT32_MAX = 3.4e38
PICTURE_ENDINGS = (".png", ".svg", ".pdf", ".jpg")


class WrongValue(argparse.ArgumentTypeError, ValueError):
    """A ValueError whose message argparse prints."""


def checked(convert, is_allowed, description, metavar):
    """Returns a function from text to a value that convert() makes of it and that is allowed."""

    def read(text):
        with contextlib.suppress(ValueError):
            value = convert(text)
            if is_allowed(value):
                return value
        raise WrongValue(f"{text!r} is not {description}")

    read.metavar = metavar
    return read


def whole_number(minimum, maximum=INT32_MAX):
    """Returns a function from text to an int in minimum ... maximum."""
    description = f"a whole number from {minimum} to {maximum}"
    return checked(int, lambda value: minimum <= value <= maximum, description, "N")


def one_of(*words):
    """Returns a function that takes one of the words and nothing else."""
    return checked(str, words.__contains__, f"one of {' '.join(words)}", "|".join(words))


positive_number = checked(float, lambda value: 0 < value < FLOAT32_MAX, "a finite number above 0", "X")
probability = checked(float, lambda value: 0 <= value <= 1, "a number from 0 to 1", "X")
below_one = checked(float, lambda value: 0 <= value < 1, "a number from 0 to below 1", "X")
share = checked(float, lambda value: 0 < value <= 1, "a number above 0 and at most 1", "SHARE")


def file_path(text):
    """Turns text into a path that TensorFlow can write. Empty text is an unset variable of the shell."""
    if not text or "\0" in text:
        raise WrongValue(f"{text!r} is no path")
    try:
        text.encode()
        os.fsencode(text)
    except UnicodeError:
        raise WrongValue(f"{text!r} is not UTF-8, or not in the character set of this system") from None
    return Path(text)


def tensorflow_path(text):
    """Turns text into a path under which TensorFlow finds what it has written. It takes some names for patterns."""
    path = file_path(text)
    patterns = [character for character in "*?[\\" if character in text and character != os.sep]
    if patterns:
        raise WrongValue(f"{text!r} holds {patterns[0]}, which TensorFlow takes for a pattern; choose another path")
    return path


def picture_path(text):
    """Turns text into the path of a picture of a known format."""
    path = file_path(text)
    if path.suffix.lower() not in PICTURE_ENDINGS:
        raise WrongValue(f"{text!r} must end in one of {' '.join(PICTURE_ENDINGS)}")
    return path


file_path.metavar = picture_path.metavar = "FILE"
