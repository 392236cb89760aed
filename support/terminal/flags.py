"""Flags of the command line, derived from the fields of settings.Config."""

import argparse
import difflib
import functools
import sys

from support import outside
from support.settings import flag

METAVARS = {"int": "N", "float": "X", "Path": "FILE"}


class OneLineErrorParser(argparse.ArgumentParser):
    """argparse with errors of one line, without the usage."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {outside.message(message.removeprefix('argument '))} (see --help)\n")

    def parse(self, arguments=None):
        """Returns a dict of what was typed. arguments: list of str; None for the command line of this process."""
        arguments = sys.argv[1:] if arguments is None else arguments
        for argument in arguments:
            if argument.startswith("--") and argument.endswith("=--"):  # argparse reads no value here, or a list
                self.error(f"{argument[:-3]}: '--' is not a value")
        known, others = self.parse_known_args(arguments)
        if others:
            self.error(f"unrecognized arguments: {' '.join(others)}{self.suggestion(others)}")
        return vars(known)

    def suggestion(self, others):
        """Returns a question that names the flag that was probably meant; an empty str if none is similar."""
        flags = [option for action in self._actions for option in action.option_strings]
        typed = [argument.partition("=")[0] for argument in others if argument.startswith("-")]
        meant = [found for argument in typed for found in difflib.get_close_matches(argument, flags, 1)]
        return f"; did you mean {meant[0]}?" if meant else ""


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
