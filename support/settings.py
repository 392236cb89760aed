"""The settings of a run: defaults, checks, and how they are read from a file.

Config is the one place for a default. The flags, their help and their checks are derived from its fields (see
terminal/command.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from helpers import ALPHABET_VOCAB_SIZE, EXTRA_DECODER_STEPS, FIRST_SYMBOL, LETTERS, TASKS
from support import outside
from support.errors import UserError, reason
from support.values import (
    PICTURE_ENDINGS,
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
LARGEST_VOCABULARY = 100_000  # a limit of time and memory, like the next three
LONGEST_SEQUENCE = 10_000
LARGEST_LAYER = 4_096  # units
MOST_LAYERS = 16
EVALUATION_BATCH = 1_000  # held-out sequences that the curve counts, and that are decoded together
LARGEST_TENSOR = 2**31 - 1  # numbers; XLA counts them in 32 bits, and a training step needs a dozen such tensors
LARGEST_DECODING = 10_000_000  # numbers of the widest layer, in all steps that are decoded together


def setting(default, kind, group, text):
    """Returns a field of Config with what its flag needs: a function from support.values, a group and a help text."""
    return field(default=default, metadata={"type": kind, "group": group, "help": text})


def learned(default, kind=positive_number):
    """Returns a field of Config without a flag. Tuning sets it (see experiments/tune.py), by --settings."""
    return field(default=default, metadata={"type": kind})


@dataclass(frozen=True)
class Config:
    """The settings of one run."""

    max_batches: int = setting(3001, whole_number(1), "training", "batches to train on")
    batch_size: int = setting(100, whole_number(1), "training", "sequences in a batch")
    learning_rate: float = setting(
        0.03, positive_number, "training", "peak learning rate; the rate rises to it, then falls linearly to 0"
    )
    until: float = setting(
        None,
        share,
        "training",
        f"end training when two evaluations in a row find at least this share of the first {EVALUATION_BATCH:,} "
        "held-out sequences exact; the learning-rate schedule is not shortened (default: off)",
    )
    patience: int = setting(
        None, whole_number(1), "training", "end training after N evaluations without a better one (default: off)"
    )
    keep: str = setting(
        "last", one_of("last", "best"), "training", "weights to end with: the last, or those of the best evaluation"
    )
    seed: int = setting(0, whole_number(0), "training", "decides the initial weights and all random data")
    xla: str = setting(
        "on", one_of("on", "off"), "training", "on: compile the training step; off: run tf.nn.raw_rnn as it is"
    )
    device: str = setting(
        "auto",
        one_of("auto", "cpu", "gpu"),
        "training",
        "where to train; auto: on a GPU if there is one and it is faster at these sizes, else on the CPU",
    )

    task: str = setting("copy", one_of(*TASKS), "data", "what to learn: copying, reversing, or continuing the alphabet")
    data: Path = setting(
        None, file_path, "data", "learn pairs from a file: INPUT TAB TARGET on each line, white space between symbols"
    )
    validation_data: Path = setting(
        None, file_path, "data", "hold out the pairs of this file instead of a tenth of --data"
    )
    test_data: Path = setting(None, file_path, "data", "report on the pairs of this file when training ends")
    symbols: str = setting(
        "words", one_of("words", "characters"), "data", "with --data: what is a symbol; a space is the character \u2423"
    )
    min_count: int = setting(
        1,
        whole_number(1),
        "data",
        f"with --data: symbols that occur less often in the training pairs become {UNKNOWN_NAME}, and so do unknown "
        "symbols later",
    )
    length_from: int = setting(3, whole_number(1, LONGEST_SEQUENCE), "data", "length of the shortest sequences")
    length_to: int = setting(8, whole_number(1, LONGEST_SEQUENCE), "data", "length of the longest sequences")
    vocab_size: int = setting(
        10,
        whole_number(FIRST_SYMBOL + 1, LARGEST_VOCABULARY + FIRST_SYMBOL),
        "data",
        "number of symbols, including PAD = 0 and EOS = 1",
    )

    input_embedding_size: int = setting(20, whole_number(1, LARGEST_LAYER), "model", "size of the symbol embeddings")
    encoder_hidden_units: int = setting(
        20,
        whole_number(1, LARGEST_LAYER),
        "model",
        "units per encoder direction; the decoder of a bidirectional model has twice as many",
    )
    cell: str = setting("lstm", one_of("lstm", "gru"), "model", "cell of the encoder and the decoder")
    layers: int = setting(1, whole_number(1, MOST_LAYERS), "model", "stacked cells in encoder and decoder")
    encoder: str = setting(
        "bidirectional",
        one_of("bidirectional", "forward"),
        "model",
        "bidirectional: read from both ends; forward: read from left to right only",
    )
    attention: str = setting(
        "none", one_of("none", "bahdanau", "luong"), "model", "attention over the outputs of the encoder"
    )
    feedback: str = setting(
        "argmax",
        one_of("argmax", "teacher", "scheduled"),
        "training",
        "what the decoder reads in training: argmax: its own prediction; teacher: the true symbol; scheduled: either",
    )
    teacher_probability: float = setting(
        1.0,
        probability,
        "training",
        "with --feedback scheduled: initial probability of reading the true symbol; it falls linearly to 0",
    )
    dropout: float = setting(
        0.0,
        below_one,
        "training",
        "share of the inputs of each cell and of the projection that is set to 0 in training",
    )

    batches_in_epoch: int = setting(1000, whole_number(1), "report", "print a report every N batches")
    samples: int = setting(3, whole_number(0), "report", "sequences that a report prints")
    plot: Path = setting(
        Path("plots/loss.png"),
        picture_path,
        "report",
        "file for the loss curve, with memory and attention beside it; with --predict, for these two "
        f"({' '.join(PICTURE_ENDINGS)})",
    )

    # No flag sets these.
    adam_beta2: float = learned(0.95, below_one)  # a shorter memory than 0.999: a run has only 3,001 batches
    clip_norm: float = learned(1.0)
    warm_up: float = learned(0.1, below_one)  # share of the batches in which the learning rate rises

    # Nor these. From buckets on, they are read from the data.
    max_answer: int = None  # see longest_answer
    started_from: str = ""  # the run whose weights this one starts with; it matters until the first checkpoint
    held_out_sequences: int = 10_000  # with data, at most
    keep_every: int = 100  # batches between checkpoints, and between points of the exact-match curve
    buckets: tuple = ()  # of (longest input, longest target), for the pairs that share a batch; see pairs.buckets()
    untrained: tuple = ()  # of str: the names that are in no training pair
    names: tuple = ()  # of str: how the symbols from FIRST_SYMBOL on are written
    sha256: str = ""

    @property
    def fixed(self):
        """The settings that a run keeps from its start to its end, as JSON holds them."""
        may_change = {"data", "validation_data", "test_data"}  # files may be moved; sha256 identifies them
        may_change |= {"names", "untrained", "max_answer", "started_from"}
        fixed = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.metadata.get("group") != "report" and entry.name not in may_change
        }
        return fixed | {"buckets": [list(bucket) for bucket in self.buckets]}

    @property
    def directions(self):
        """The directions in which the encoder reads."""
        return ("forward",) if self.encoder == "forward" else ("forward", "backward")

    @property
    def decoder_steps(self):
        """How many steps the decoder makes for the longest target."""
        return self.sizes[-1][1]

    @property
    def sizes(self):
        """The sizes of batches with a compiled program each: (longest input, most decoder steps), the largest last."""
        buckets = self.buckets or ((self.length_to, self.length_to),)
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
    def largest_tensor(self):
        """How many numbers the largest tensor of a training step holds."""
        units = self.encoder_hidden_units * len(self.directions)  # of the decoder
        step_of_sequence = max(self.vocab_size, 4 * units)
        if self.attention == "bahdanau":
            step_of_sequence = max(step_of_sequence, self.length_to * units)  # kept for the gradient of the scores
        elif self.attention == "luong":
            step_of_sequence = max(step_of_sequence, self.length_to)  # the weights
        return self.decoder_steps * self.batch_size * step_of_sequence

    @property
    def steps_at_once(self):
        """How many decoder steps fit into memory, summed over all sequences."""
        weights = self.length_to if self.attention != "none" else 0
        return LARGEST_DECODING // max(self.vocab_size, 8 * self.encoder_hidden_units, weights)

    @property
    def evaluation_batch(self):
        """How many held-out sequences are decoded at once."""
        return max(1, min(EVALUATION_BATCH, self.steps_at_once // self.decoder_steps))

    @property
    def title(self):
        """The task, the unusual parts of the model and the seed, in a few words."""
        changes = [self.cell.upper()] if self.cell != "lstm" else []
        changes += [f"{self.layers} layers"] if self.layers > 1 else []
        changes += [f"{self.encoder} encoder"] if self.encoder != "bidirectional" else []
        changes += [f"{self.attention} attention"] if self.attention != "none" else []
        return ", ".join([self.data.name if self.data else self.task, *changes, f"seed {self.seed}"])

    @property
    def plots(self):
        """The path of each picture and the page, by name: all beside the loss, such as memory.png beside loss.png."""
        others = ["memory"] + ["attention"] * (self.attention != "none") + ["model"]
        stem = self.plot.stem
        paths = {name: self.plot.with_stem(name if stem == "loss" else f"{stem}-{name}") for name in others}
        return {"loss": self.plot} | paths | {"model": paths["model"].with_suffix(".html")}

    @property
    def vocabulary(self) -> Sequence[str]:
        """How each symbol is written."""
        if self.task == "alphabet" or self.data is not None:
            return [*RESERVED, *(self.names or LETTERS)]
        return [str(symbol) for symbol in range(self.vocab_size)]


TYPED = [entry for entry in fields(Config) if entry.metadata]
FLAGS = [entry for entry in TYPED if "help" in entry.metadata]


def flag(name):
    """Returns the flag of a field of Config."""
    return "--" + name.replace("_", "-")


def check(config):
    """Raises UserError if settings contradict each other."""
    if config.length_from > config.length_to:
        raise UserError(f"--length-from: {config.length_from} is more than --length-to {config.length_to}")
    if config.task == "alphabet" and config.vocab_size != ALPHABET_VOCAB_SIZE:
        raise UserError(f"--vocab-size: with --task alphabet it is {ALPHABET_VOCAB_SIZE}")
    if config.largest_tensor > LARGEST_TENSOR:
        raise UserError("--batch-size: a tensor would be too large with these lengths, symbols and units")
    if config.data is None and (config.validation_data or config.test_data):
        raise UserError(f"--{'validation' if config.validation_data else 'test'}-data needs --data")
    if config.data is None and config.symbols != Config.symbols:
        raise UserError("--symbols needs --data")
    if config.data is None and config.min_count != Config.min_count:
        raise UserError("--min-count needs --data")
    if config.feedback != "scheduled" and config.teacher_probability != Config.teacher_probability:
        raise UserError("--teacher-probability needs --feedback scheduled")


def is_off(entry, value):
    """Returns whether a saved value is null for a setting that is None by default. Otherwise null is an error."""
    return entry.default is None and value is None


def symbol(name):
    """Returns the name of a symbol in JSON. Raises ValueError for half a character, which UTF-8 cannot hold."""
    return str(name).encode().decode()


def from_json(values):
    """Reads the settings of a run that asdict() and JSON have written, and checks them like flags.

    Args:
      values: the parsed JSON.

    Returns:
      A Config.

    Raises:
      ValueError: they are not the settings of a run.
    """
    try:
        texts = {entry: str(values[entry.name]) for entry in TYPED if not is_off(entry, values[entry.name])}
        settings = {entry.name: entry.metadata["type"](text) for entry, text in texts.items()}
        for name in ("held_out_sequences", "keep_every"):
            settings[name] = whole_number(1, 1_000_000)(str(values[name]))
        length = whole_number(1, LONGEST_SEQUENCE)
        config = Config(
            **settings,
            buckets=tuple((length(str(longest)), length(str(target))) for longest, target in values["buckets"]),
            names=tuple(map(symbol, values["names"])),
            untrained=tuple(map(symbol, values["untrained"])),
            started_from=str(values["started_from"]),
            sha256=str(values["sha256"]),
        )
        check(config)
    except (KeyError, TypeError, AttributeError, RecursionError, UserError) as error:
        raise ValueError(str(error)) from None
    if bool(config.data) != bool(config.buckets):
        raise ValueError("buckets without data, or data without buckets")
    if config.data and len(set(config.vocabulary)) != config.vocab_size:
        raise ValueError(f"{len(config.names)} symbols for a vocabulary of {config.vocab_size}")
    return config


def read_file(path):
    """Reads a file of settings that tuning or a user has written.

    Args:
      path: pathlib.Path of a JSON object: names of settings, each with a number or a word.

    Returns:
      dict of values for fields of a Config.

    Raises:
      UserError: it cannot be read, or holds something else.
    """
    try:
        values = outside.read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"--settings: cannot read {str(path)!r}: {reason(error)}") from None
    if not isinstance(values, dict):
        raise UserError(f"--settings: {str(path)!r} holds no JSON object")
    kinds = {entry.name: entry.metadata["type"] for entry in TYPED if entry.type != "Path"}
    unknown = [name for name in values if name not in kinds]
    if unknown:
        raise UserError(f"--settings: {str(path)!r}: there is no setting {unknown[0]!r}")
    settings = {}
    for name, value in values.items():
        try:
            settings[name] = kinds[name](str(value))
        except (ValueError, RecursionError) as error:
            raise UserError(f"--settings: {str(path)!r}: {name}: {error}") from None
    return settings
