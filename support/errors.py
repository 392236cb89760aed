"""Errors that are reported to the user, as opposed to bugs in the program."""

import contextlib


class UserError(Exception):
    """The message is one line for the user, and names the flag or file.

    status: int, the exit status: 2 for bad input, 1 for a later failure.
    """

    def __init__(self, message, status=2):
        super().__init__(message)
        self.status = status


def reason(error):
    """Returns the reason why a file cannot be read or written, one line, from an exception."""
    return (getattr(error, "strerror", None) or str(error)).partition("\n")[0]


@contextlib.contextmanager
def as_user_error(what, *kinds):
    """Turns an OSError, or an error of other kinds, into a UserError that says what, and the reason."""
    try:
        yield
    except (OSError, *kinds) as error:
        raise UserError(f"{what}: {reason(error)}") from None


def counted(number, noun):
    """Returns a number with its noun: 1 batch, 2 batches."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"
