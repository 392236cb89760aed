"""Untrusted input: files that may never end, and text that a terminal or a picture would obey."""

import errno
import json
import os
import re
import stat

LARGEST_FILE = 100_000_000  # bytes of a file that is read in one piece; 100,000 symbols fit
LONGEST_MESSAGE = 400  # characters
# Control characters, which a terminal would obey, and what nobody sees: white space besides " ", and joiners and
# variation selectors that join nothing.
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u061c\u115f\u1160\u1680\u180e\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000"
    "\u3164\ufeff\uffa0]|(?<!\\S)[\u200c\u200d\ufe00-\ufe0f](?!\\S)"
)


def printable(text):
    """Returns a text in which each hidden character is written as JSON writes it."""
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def named(text):
    """Does the same with names such as U+202F, for a symbol in a picture or on a page."""
    return HIDDEN.sub(lambda found: f"U+{ord(found[0]):04X}", text)


def message(text):
    """Returns a text as one printable line; the middle of a very long one is left out."""
    line, half = printable(text), LONGEST_MESSAGE // 2
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:half]} ... {line[-half:]}"


def label(text):
    """Returns a text so that matplotlib draws it as it is. It takes text between two dollar signs for a formula."""
    return printable(text).replace("$", r"\$")


def open_file(path):
    """Opens a file to read its bytes. A pipe that nobody writes into is empty; open() would wait for a writer."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(file.fileno(), True)
    return file


def read_json(path):
    """Reads a JSON file. It may begin with a byte order mark.

    Args:
      path: pathlib.Path.

    Raises:
      OSError: it cannot be read, is very large, or is a pipe or a device, which may never end.
      ValueError: it does not hold JSON.
    """
    with open_file(path) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return parse_json(content)


def parse_json(text):
    """Returns the value of a JSON text, a str or bytes. Raises ValueError if it is not valid."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
