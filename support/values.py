"""Checks of the values of settings: functions from text to a value. A ValueError says what would be right."""

import math
import os
from pathlib import Path

from helpers import INT32_MAX

FLOAT32_MAX = 3.4e38
PICTURE_ENDINGS = (".png", ".svg", ".pdf", ".jpg")


def whole_number(minimum, maximum=INT32_MAX):
    """Returns a function from text to an int in minimum ... maximum."""

    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise ValueError(f"{text!r} is not a whole number from {minimum} to {maximum}")
        return value

    convert.metavar = "N"
    return convert


def decimal_number(is_allowed, description):
    """Returns a function from text to a float that is allowed. description names these numbers."""

    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not is_allowed(value):
            raise ValueError(f"{text!r} is not {description}")
        return value

    convert.metavar = "X"
    return convert


positive_number = decimal_number(lambda value: 0 < value < FLOAT32_MAX, "a finite number above 0")
probability = decimal_number(lambda value: 0 <= value <= 1, "a number from 0 to 1")
below_one = decimal_number(lambda value: 0 <= value < 1, "a number from 0 to below 1")
share = decimal_number(lambda value: 0 < value <= 1, "a number above 0 and at most 1")
share.metavar = "SHARE"


def one_of(*words):
    """Returns a function that takes one of the words and nothing else."""

    def convert(text):
        if text not in words:
            raise ValueError(f"{text!r} is not one of {' '.join(words)}")
        return text

    convert.metavar = "|".join(words)
    return convert


def file_path(text):
    """Turns text into a path that TensorFlow can write. Empty text is an unset variable of the shell."""
    if not text or "\0" in text:
        raise ValueError(f"{text!r} is no path")
    try:
        text.encode()
        os.fsencode(text)
    except UnicodeError:
        problem = "is not UTF-8, or not in the character set of this system"
        raise ValueError(f"{text!r} {problem}") from None
    return Path(text)


file_path.metavar = "FILE"


def tensorflow_path(text):
    """Turns text into a path under which TensorFlow finds what it has written. It takes some names for patterns."""
    path = file_path(text)
    patterns = [character for character in "*?[\\" if character in text and character != os.sep]
    if patterns:
        raise ValueError(f"{text!r} holds {patterns[0]}, which TensorFlow takes for a pattern; choose another path")
    return path


def picture_path(text):
    """Turns text into the path of a picture of a known format."""
    path = file_path(text)
    if path.suffix.lower() not in PICTURE_ENDINGS:
        raise ValueError(f"{text!r} must end in one of {' '.join(PICTURE_ENDINGS)}")
    return path


picture_path.metavar = "FILE"
