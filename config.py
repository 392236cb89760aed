"""The settings of a run, and the flags that change them.

Config is the one place for a default: the flags, their help and their checks are read off its fields.
Nothing here needs TensorFlow, so that --help and a typo are answered at once.
"""

import argparse
import math
import os
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path

from helpers import FIRST_SYMBOL

INT32_MAX = 2**31 - 1
LARGEST_SIZE = 10_000  # of a vector or a sequence; far more than memory and patience allow
PICTURE_ENDINGS = (".png", ".svg", ".pdf", ".jpg")


def whole_number(minimum, maximum=INT32_MAX):
    """Returns an argparse type: text to an int in minimum ... maximum."""

    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {minimum} to {maximum}")
        return value

    return convert


def positive_number(text):
    """An argparse type: text to a finite float above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number above 0")
    return value


def picture_path(text):
    """An argparse type: text to the path of a picture that could be saved there."""
    path = Path(text)
    if path.suffix.lower() not in PICTURE_ENDINGS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in one of {' '.join(PICTURE_ENDINGS)}")
    if os.path.isdir(path):
        raise argparse.ArgumentTypeError(f"{text!r} is a folder")
    return path


def setting(default, kind, group, text):
    """A field of Config with all that its flag needs: argparse type, group and help text."""
    return field(default=default, metadata={"type": kind, "group": group, "help": text})


@dataclass(frozen=True)
class Config:
    """The settings of one run."""

    max_batches: int = setting(3001, whole_number(1), "training", "batches to train on")
    batch_size: int = setting(100, whole_number(1), "training", "sequences in a batch")
    learning_rate: float = setting(0.015, positive_number, "training", "Adam's first step size; falls linearly to 0")
    seed: int = setting(0, whole_number(0), "training", "decides the initial weights and all data")

    length_from: int = setting(3, whole_number(1, LARGEST_SIZE), "data", "shortest sequence")
    length_to: int = setting(8, whole_number(1, LARGEST_SIZE), "data", "longest sequence")
    vocab_size: int = setting(
        10, whole_number(FIRST_SYMBOL + 1, LARGEST_SIZE), "data", "symbols, with PAD = 0 and EOS = 1"
    )

    input_embedding_size: int = setting(
        20, whole_number(1, LARGEST_SIZE), "model", "length of the vector that stands for a symbol"
    )
    encoder_hidden_units: int = setting(
        20,
        whole_number(1, LARGEST_SIZE),
        "model",
        "units of the encoder in each direction; the decoder has twice as many",
    )

    batches_in_epoch: int = setting(1000, whole_number(1), "report", "batches from one printed report to the next")
    samples: int = setting(3, whole_number(0), "report", "sequences of the batch that a report prints")
    plot: Path = setting(Path("plots/loss.png"), picture_path, "report", "where the loss curve is saved")


class OneLineErrorParser(argparse.ArgumentParser):
    """argparse, with an error that is one line long instead of the usage and the error."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')} (see --help)\n")


def flag(name):
    return "--" + name.replace("_", "-")


def flag_parser():
    """Returns the parser of the command line, one flag for each field of Config."""
    parser = OneLineErrorParser(
        prog="seq2seq_copy.py",
        description="Trains a sequence-to-sequence model to repeat random integer sequences, "
        "and reports how many held-out sequences it repeats exactly.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    groups = {}
    for entry in fields(Config):
        title = entry.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        groups[title].add_argument(
            flag(entry.name),
            type=entry.metadata["type"],
            default=entry.default,
            help=entry.metadata["help"],
            metavar={int: "N", float: "X", Path: "FILE"}[entry.type],
        )
    return parser


def config_from_flags(arguments=None):
    """Reads the command line.

    Args:
      arguments: list of str; None for the command line of this process.

    Returns:
      A Config whose picture can be saved: its folder is there and can be written.

    Raises:
      SystemExit: status 0 after --help; status 2 after one line on stderr that names the wrong flag.
    """
    parser = flag_parser()
    config = Config(**vars(parser.parse_args(arguments)))
    if config.length_from > config.length_to:
        parser.error(f"--length-from: {config.length_from} is more than --length-to {config.length_to}")
    if config.samples > config.batch_size:
        parser.error(f"--samples: {config.samples} is more than --batch-size {config.batch_size}")
    try:
        config.plot.parent.mkdir(parents=True, exist_ok=True)
        tempfile.NamedTemporaryFile(dir=config.plot.parent, prefix=config.plot.name).close()
    except OSError as error:
        parser.error(f"--plot: cannot write in the folder {str(config.plot.parent)!r}: {error.strerror}")
    return config
