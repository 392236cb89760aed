"""Flags of the command line, read off the fields of settings.Config."""

import argparse
import functools
import sys

from support.settings import flag

LONGEST_ERROR = 400  # characters
METAVARS = {"int": "N", "float": "X", "Path": "FILE"}


class OneLineErrorParser(argparse.ArgumentParser):
    """argparse, with an error that is one line instead of the usage and the error."""

    def error(self, message):
        line = " ".join(message.removeprefix("argument ").split())
        if len(line) > LONGEST_ERROR:
            line = f"{line[: LONGEST_ERROR // 2]} ... {line[-LONGEST_ERROR // 2 :]}"
        self.exit(2, f"{self.prog}: {line} (see --help)\n")

    def parse(self, arguments=None):
        """Returns a dict of what was typed. arguments: list of str; None for the command line of this process."""
        arguments = sys.argv[1:] if arguments is None else arguments
        for argument in arguments:
            if argument.startswith("--") and argument.endswith("=--"):  # which argparse takes for no value, or a list
                self.error(f"{argument[:-3]}: '--' is not a value")
        return vars(self.parse_args(arguments))


def flag_type(kind):
    """Turns a function of support.values into an argparse type."""

    @functools.wraps(kind)
    def convert(text):
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def add_settings(parser, entries):
    """Adds the flags of fields of Config to a parser, in their groups."""
    groups = {}
    for entry in entries:
        title, kind = entry.metadata["group"], entry.metadata["type"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        groups[title].add_argument(
            flag(entry.name),
            type=flag_type(kind),
            help=entry.metadata["help"] + ("" if entry.default is None else f" (default: {entry.default})"),
            metavar=getattr(kind, "metavar", METAVARS.get(entry.type)),
        )
