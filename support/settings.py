"""The settings of a run: defaults, checks, and how they are read from a file.

The numbers of the recipe and their defaults are in seq2seq_copy.Config, all others here. The flags and their help are
in terminal/flags.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers import ALPHABET_VOCAB_SIZE, EXTRA_DECODER_STEPS, FIRST_SYMBOL, LETTERS, TASKS
from seq2seq_copy import Config
from support import limits, outside
from support.errors import UserError, as_user_error
from support.limits import LARGEST_LAYER, LARGEST_VOCABULARY, LONGEST_SEQUENCE, MOST_LAYERS
from support.values import (
    below_one,
    file_path,
    one_of,
    picture_path,
    positive_number,
    probability,
    share,
    whole_number,
)

RESERVED = ("<PAD>", "<EOS>")  # how PAD and EOS are written; no other symbol may be written like this
UNKNOWN_NAME = "<UNK>"  # how an unknown symbol is written; no other may be written like this


class DataFacts(NamedTuple):
    """What a run knows of the user's pairs, besides the lengths and the size of the vocabulary, which are in Config."""

    buckets: tuple = ()  # of (longest input, longest target), for the pairs that share a batch; see pairs.buckets()
    untrained: tuple = ()  # of str: the names that are in no training pair
    names: tuple = ()  # of str: how the symbols from FIRST_SYMBOL on are written
    sha256: str = ""  # of the files
    lines: tuple = ()  # how many are trained on, validate and test


@dataclass(frozen=True)
class Settings(Config):
    """The settings of one run: the numbers of the script, and what the command needs besides."""

    until: float | None = None
    patience: int | None = None
    keep: str = "last"
    xla: str = "on"
    device: str = "auto"
    data: Path | None = None
    validation_data: Path | None = None
    test_data: Path | None = None
    symbols: str = "words"
    min_count: int = 1
    cell: str = "lstm"
    layers: int = 1
    encoder: str = "bidirectional"
    attention: str = "none"
    feedback: str = "argmax"
    teacher_probability: float = 1.0
    dropout: float = 0.0
    samples: int = 3
    plot: Path = Path("plots/loss.png")

    # No flag of training sets these.
    max_answer: int | None = None  # see longest_answer
    started_from: str = ""  # the run whose weights this one starts with; it matters until the first checkpoint
    keep_every: int = 100  # batches between checkpoints, and between points of the exact-match curve
    facts: DataFacts = DataFacts()

    def to_json(self):
        """Returns what config.json holds: a dict in the types of JSON, with the facts among the settings."""
        values = asdict(self)
        values |= values.pop("facts")._asdict()
        return json.loads(json.dumps(values, default=str))  # default: of a path

    @property
    def fixed(self):
        """The settings that a run keeps from its start to its end, as JSON holds them."""
        return {name: value for name, value in self.to_json().items() if name not in MAY_CHANGE}

    @property
    def decoder_hidden_units(self):
        """The units of the decoder, which starts from the final states of both directions of the encoder, or of one."""
        return self.encoder_hidden_units * (1 if self.encoder == "forward" else 2)

    @property
    def decoder_steps(self):
        """How many steps the decoder makes for the longest target."""
        return self.sizes[-1][1]

    @property
    def sizes(self):
        """The sizes of batches with a compiled program each: (longest input, most decoder steps), the largest last."""
        buckets = self.facts.buckets or ((self.length_to, self.length_to),)
        return [(length, target_length + EXTRA_DECODER_STEPS) for length, target_length in buckets]

    @property
    def longest_answer(self):
        """How many steps an answer to a user may take, including EOS; None if it depends on the input."""
        return self.max_answer or (self.decoder_steps if self.data else None)

    def answer_steps(self, lengths):
        """Returns how many steps the answers to inputs of these lengths, int or int [...], may take."""
        longest = self.longest_answer
        return lengths + EXTRA_DECODER_STEPS if longest is None else np.full_like(lengths, longest)

    @property
    def known(self):
        """Words that say which symbols there are, to complete: 'x' is not a symbol."""
        return "of the training data" if self.data else f"from {self.vocabulary[FIRST_SYMBOL]} to {self.vocabulary[-1]}"

    @property
    def vocabulary(self) -> Sequence[str]:
        """How each symbol is written."""
        if self.task == "alphabet" or self.data is not None:
            return [*RESERVED, *(self.facts.names or LETTERS)]
        return [str(symbol) for symbol in range(self.vocab_size)]


# What a flag or a file may set, and how its text becomes a value.
KINDS = {
    "max_batches": whole_number(1),
    "batch_size": whole_number(1),
    "learning_rate": positive_number,
    "until": share,
    "patience": whole_number(1),
    "keep": one_of("last", "best"),
    "seed": whole_number(0),
    "xla": one_of("on", "off"),
    "device": one_of("auto", "cpu", "gpu"),
    "task": one_of(*TASKS),
    "data": file_path,
    "validation_data": file_path,
    "test_data": file_path,
    "held_out_sequences": whole_number(1, 1_000_000),
    "symbols": one_of("words", "characters", "characters:words", "words:characters"),
    "min_count": whole_number(1),
    "length_from": whole_number(1, LONGEST_SEQUENCE),
    "length_to": whole_number(1, LONGEST_SEQUENCE),
    "vocab_size": whole_number(FIRST_SYMBOL + 1, LARGEST_VOCABULARY + FIRST_SYMBOL),
    "input_embedding_size": whole_number(1, LARGEST_LAYER),
    "encoder_hidden_units": whole_number(1, LARGEST_LAYER),
    "cell": one_of("lstm", "gru"),
    "layers": whole_number(1, MOST_LAYERS),
    "encoder": one_of("bidirectional", "forward"),
    "attention": one_of("none", "bahdanau", "luong"),
    "feedback": one_of("argmax", "teacher", "scheduled"),
    "teacher_probability": probability,
    "dropout": below_one,
    "batches_in_epoch": whole_number(1),
    "samples": whole_number(0),
    "plot": picture_path,
    "adam_beta2": below_one,
    "clip_norm": positive_number,
    "warm_up": below_one,
}
# With own data these are the defaults, found by measuring (docs/own-data.md). --plain turns them off.
FOR_PAIRS = {
    "attention": "luong",
    "feedback": "teacher",
    "encoder_hidden_units": 128,
    "input_embedding_size": 64,
    "dropout": 0.4,
    "learning_rate": 0.01,
    "batch_size": 64,
    "keep": "best",
}
FEW_PAIRS = 1000  # to learn; up to so many, these are the defaults in place of those above
FOR_FEW_PAIRS = {
    "encoder_hidden_units": 32,
    "input_embedding_size": 32,
    "dropout": 0.3,
    "learning_rate": 0.03,
    "batch_size": 32,
}
DATA_FILES = ("data", "validation_data", "test_data")
MAY_CHANGE = {*DATA_FILES, "names", "untrained", "max_answer", "started_from", "batches_in_epoch", "samples", "plot"}
ALWAYS_SAVED = ("seed", "max_batches", "vocab_size", "encoder_hidden_units")  # by every version of this program


def defaults_for(typed):
    """Returns the defaults that differ from those of Settings for flags, a dict by name: FOR_PAIRS or none."""
    return FOR_PAIRS if "data" in typed and "plain" not in typed else {}


def flag(name):
    """Returns the flag of a field of Settings."""
    return "--" + name.replace("_", "-")


def check(config):
    """Raises UserError if settings contradict each other, or a default in an edited script is out of its range."""
    for name, kind in KINDS.items():
        value = getattr(config, name)
        with as_user_error(name, ValueError):
            if not is_off(name, value):
                kind(str(value))
    if config.length_from > config.length_to:
        raise UserError(f"--length-from: {config.length_from} is more than --length-to {config.length_to}")
    if config.task == "alphabet" and config.vocab_size != ALPHABET_VOCAB_SIZE:
        raise UserError(f"--vocab-size: with --task alphabet it is {ALPHABET_VOCAB_SIZE}")
    if limits.largest_tensor(config) > limits.LARGEST_TENSOR:
        raise UserError("--batch-size: a tensor would be too large with these lengths, symbols and units")
    for name in ("validation_data", "test_data", "symbols", "min_count"):
        if config.data is None and getattr(config, name) != getattr(Settings, name):
            raise UserError(f"{flag(name)} needs --data")
    if config.feedback != "scheduled" and config.teacher_probability != Settings.teacher_probability:
        raise UserError("--teacher-probability needs --feedback scheduled")


def is_off(name, value):
    """Returns whether a value is None, null in a file, for a setting that is None by default. Else None is an error."""
    return getattr(Settings, name) is None and value is None


def symbol(name):
    """Returns the name of a symbol in JSON. Raises ValueError for half a character, which UTF-8 cannot hold."""
    return str(name).encode().decode()


def from_json(values):
    """Reads the settings of a run that to_json() has made, now or in an older version, and checks them like flags.

    Args:
      values: the parsed JSON. A setting that is missing, because it is newer than the run, has its default.

    Returns:
      A Settings.

    Raises:
      ValueError: they are not the settings of a run.
    """
    length = whole_number(1, LONGEST_SEQUENCE)
    kinds = KINDS | {"keep_every": whole_number(1, 1_000_000), "started_from": str}
    try:
        missing = [name for name in ALWAYS_SAVED if name not in values]
        if missing:
            raise ValueError(f"there is no {missing[0]}")
        saved = {
            name: kinds[name](str(values[name]))
            for name in kinds.keys() & values.keys()
            if not is_off(name, values[name])
        }
        facts = DataFacts(
            tuple((length(str(longest)), length(str(target))) for longest, target in values.get("buckets", ())),
            *(tuple(map(symbol, values.get(name, ()))) for name in ("untrained", "names")),
            str(values.get("sha256", "")),
            tuple(int(str(lines)) for lines in values.get("lines", ())),
        )
        config = Settings(**saved, facts=facts)
        check(config)
    except (TypeError, AttributeError, RecursionError, UserError) as error:
        raise ValueError(str(error)) from None
    if bool(config.data) != bool(facts.buckets):
        raise ValueError("buckets without data, or data without buckets")
    if config.data and len(set(config.vocabulary)) != config.vocab_size:
        raise ValueError(f"{len(facts.names)} symbols for a vocabulary of {config.vocab_size}")
    return config


def read_file(path):
    """Reads a file of settings that tuning or a user has written.

    Args:
      path: pathlib.Path of a JSON object: names of settings, each with a number or a word.

    Returns:
      dict of values for fields of a Settings.

    Raises:
      UserError: it cannot be read, or holds something else.
    """
    with as_user_error(f"--settings: cannot read {str(path)!r}", ValueError):
        values = outside.read_json(path)
    if not isinstance(values, dict):
        raise UserError(f"--settings: {str(path)!r} holds no JSON object")
    kinds = {name: kind for name, kind in KINDS.items() if name not in (*DATA_FILES, "plot")}
    unknown = [name for name in values if name not in kinds]
    if unknown:
        name = unknown[0]
        of_flag = f"{name!r} is no setting for a file; type {flag(name)}"
        wrong = of_flag if name in KINDS else f"there is no setting {name!r}"
        raise UserError(f"--settings: {str(path)!r}: {wrong}")
    settings = {}
    for name, value in values.items():
        with as_user_error(f"--settings: {str(path)!r}: {name}", ValueError, RecursionError):
            settings[name] = kinds[name](str(value))
    return settings
