"""What goes wrong for the user, rather than in the program."""


class UserError(Exception):
    """The message is one line for the user, and names the flag or file.

    status: int, the exit status: 2 for bad input, 1 for what fails later.
    """

    def __init__(self, message, status=2):
        super().__init__(message)
        self.status = status


def reason(error):
    """Returns in one line why a file cannot be read or written, from an exception."""
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]


def counted(number, noun):
    """Returns a number with its noun: 1 batch, 2 batches."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"
