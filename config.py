"""The settings of a run, and the flags that change them.

Config is the one place for a default: the flags, their help and their checks are read off its fields.
Nothing here needs TensorFlow, so that --help and a typo are answered at once.
"""

import argparse
import math
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import NamedTuple

import pairs
import runs
from helpers import EXTRA_DECODER_STEPS, FIRST_SYMBOL, INT32_MAX, LETTERS, TASKS

FLOAT32_MAX = 3.4e38
LARGEST_LAYER = 4_096  # this and the limits in pairs.py: more than patience and memory allow
EVALUATION_BATCH = 1_000
LARGEST_LOGITS = 50_000_000  # numbers
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


def number(is_right, what):
    """Returns an argparse type: text to a float that is right; what says in words which are."""

    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not is_right(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return convert


positive_number = number(lambda value: 0 < value < FLOAT32_MAX, "a finite number above 0")
share = number(lambda value: 0 <= value <= 1, "a number from 0 to 1")


def one_of(*words):
    """Returns an argparse type: text that must be one of the words."""

    def convert(text):
        if text not in words:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {' '.join(words)}")
        return text

    convert.metavar = "|".join(words)
    return convert


def picture_path(text):
    """An argparse type: text to the path of a picture that could be saved there."""
    path = Path(text)
    if path.suffix.lower() not in PICTURE_ENDINGS:
        raise argparse.ArgumentTypeError(f"{text!r} must end in one of {' '.join(PICTURE_ENDINGS)}")
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
    xla: str = setting(
        "on", one_of("on", "off"), "training", "on: compile the training step; off: tf.nn.raw_rnn as it is"
    )

    task: str = setting("copy", one_of(*TASKS), "data", "what to answer: copy, reverse, or the alphabet's next letters")
    data: Path = setting(
        None, Path, "data", "pairs to learn instead: INPUT TAB TARGET in each line, symbols separated by spaces"
    )
    length_from: int = setting(3, whole_number(1, pairs.LONGEST_SEQUENCE), "data", "shortest sequence")
    length_to: int = setting(8, whole_number(1, pairs.LONGEST_SEQUENCE), "data", "longest sequence")
    vocab_size: int = setting(
        10,
        whole_number(FIRST_SYMBOL + 1, pairs.LARGEST_VOCABULARY + FIRST_SYMBOL),
        "data",
        "symbols, with PAD = 0 and EOS = 1",
    )

    input_embedding_size: int = setting(
        20, whole_number(1, LARGEST_LAYER), "model", "length of the vector that stands for a symbol"
    )
    encoder_hidden_units: int = setting(
        20,
        whole_number(1, LARGEST_LAYER),
        "model",
        "units of the encoder in each direction; the decoder has as many as all directions together",
    )
    cell: str = setting("lstm", one_of("lstm", "gru"), "model", "of the encoder and the decoder")
    encoder: str = setting(
        "bidirectional",
        one_of("bidirectional", "forward"),
        "model",
        "which way it reads; forward: from left to right only",
    )
    attention: str = setting("none", one_of("none", "bahdanau", "luong"), "model", "over all outputs of the encoder")
    feedback: str = setting(
        "argmax",
        one_of("argmax", "teacher", "scheduled"),
        "training",
        "what the decoder reads: argmax: its own prediction; teacher: the true symbol; scheduled: one or the other",
    )
    teacher_probability: float = setting(
        1.0, share, "training", "with --feedback scheduled, of the true symbol at first; falls linearly to 0"
    )

    batches_in_epoch: int = setting(1000, whole_number(1), "report", "batches from one printed report to the next")
    samples: int = setting(3, whole_number(0), "report", "sequences of the batch that a report prints, at most")
    plot: Path = setting(Path("plots/loss.png"), picture_path, "report", "where the loss curve is saved")

    # With data, read from it.
    extra_decoder_steps: int = EXTRA_DECODER_STEPS  # how much longer than its input a sequence is decoded
    symbols: tuple = ()  # of str: those from FIRST_SYMBOL on
    sha256: str = ""

    @property
    def decoder_steps(self):
        """How many steps the decoder runs for the longest sequence."""
        return self.length_to + self.extra_decoder_steps

    @property
    def evaluation_batch(self):
        """How many sequences are decoded at once, fewer if their logits were very large."""
        return max(1, min(EVALUATION_BATCH, LARGEST_LOGITS // (self.decoder_steps * self.vocab_size)))

    @property
    def attention_plot(self):
        """Where the picture of attention is saved: beside that of the loss, attention.png for loss.png."""
        stem = self.plot.stem
        return self.plot.with_stem("attention" if stem == "loss" else f"{stem}-attention")

    @property
    def vocabulary(self):
        """How each symbol is written, a sequence of str."""
        if self.task == "alphabet" or self.data is not None:
            return [*pairs.RESERVED, *(self.symbols or LETTERS)]
        return [str(symbol) for symbol in range(self.vocab_size)]


FLAGS = [entry for entry in fields(Config) if entry.metadata]


class Command(NamedTuple):
    """What the command line asks for."""

    config: Config
    run: Path | None  # the run to resume or to ask, or the folder of a new one; None for a new one in runs/
    resume: bool
    predict: list | None  # lines of symbols; "-" alone stands for standard input
    pairs: pairs.Pairs | None  # the user's own data


class OneLineErrorParser(argparse.ArgumentParser):
    """argparse, with an error that is one line long instead of the usage and the error."""

    def error(self, message):
        line = " ".join(message.removeprefix("argument ").split())
        self.exit(2, f"{self.prog}: {line} (see --help)\n")


def flag(name):
    return "--" + name.replace("_", "-")


def flag_parser():
    """Returns the parser of the command line. What was not typed is not among the values it returns."""
    parser = OneLineErrorParser(
        prog="seq2seq_copy.py",
        description="Trains a sequence-to-sequence model to repeat random integer sequences (or another task, or "
        "pairs of your own), and reports how many held-out sequences it gets exactly right.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    groups = {}
    for entry in FLAGS:
        title = entry.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        groups[title].add_argument(
            flag(entry.name),
            type=entry.metadata["type"],
            help=entry.metadata["help"] + ("" if entry.default is None else f" (default: {entry.default})"),
            metavar=getattr(entry.metadata["type"], "metavar", {int: "N", float: "X", Path: "FILE"}.get(entry.type)),
        )
    run = parser.add_argument_group("runs")
    run.add_argument(
        "--run-dir",
        type=Path,
        metavar="DIR",
        help="folder of the new run (default: a new one in runs/); with --predict, of the run to ask",
    )
    run.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        nargs="?",
        const=runs.LATEST,
        help="go on with a stopped run, to the same end as if it had not been stopped (default: runs/latest)",
    )
    run.add_argument(
        "--predict",
        action="append",
        metavar="SEQUENCE",
        help='print what a trained model makes of a sequence like "4 8 5", or with - of each line of '
        "standard input; may be repeated",
    )
    return parser


def read_command(arguments=None):
    """Reads the command line.

    Args:
      arguments: list of str; None for the command line of this process.

    Returns:
      A Command that can be carried out: its run is there, and its picture can be saved.

    Raises:
      SystemExit: status 0 after --help; status 2 after one line on stderr that names what is wrong.
    """
    parser = flag_parser()
    given = vars(parser.parse_args(arguments))
    run_dir, resume, predict = (given.pop(name, None) for name in ("run_dir", "resume", "predict"))
    try:
        if predict is not None:
            return command_to_predict(predict, run_dir, resume, given)
        if resume is not None:
            command = command_to_resume(resume, run_dir, given)
        else:
            if run_dir is not None:
                runs.check_new(run_dir)
            command = new_command(run_dir, given)
        check(command.config)
    except UsageError as error:
        parser.error(str(error))
    except pairs.PairsError as error:
        parser.error(f"--data: {error}")
    except runs.RunError as error:
        parser.error(f"{'--run-dir' if resume is None else '--resume'}: {error}")
    return command


class UsageError(Exception):
    """Flags do not go together. The message is one line for the user."""


def new_command(run_dir, given):
    config = Config(**given)
    if config.data is not None:
        for name in ("task", "vocab_size", "length_from", "length_to"):
            if name in given:
                raise UsageError(f"{flag(name)} does not go with --data")
        own = pairs.read(config.data)
        return Command(with_data(config, own), run_dir, resume=False, predict=None, pairs=own)
    if config.task == "alphabet" and "vocab_size" not in given:
        config = replace(config, vocab_size=FIRST_SYMBOL + len(LETTERS))
    return Command(config, run_dir, resume=False, predict=None, pairs=None)


def with_data(config, own):
    """Returns a Config with what only the data can tell."""
    path = config.data.absolute()
    return replace(config, data=path, symbols=tuple(own.names), sha256=own.sha256, **pairs.sizes(own))


def command_to_predict(predict, run_dir, resume, given):
    if given or resume is not None:
        raise UsageError(f"{flag(next(iter(given), 'resume'))} does not go with --predict")
    if "-" in predict and len(predict) > 1:
        raise UsageError("--predict: - for standard input goes alone")
    run = real_path(run_dir or runs.LATEST)
    config = saved_config(run)
    runs.newest_checkpoint(run)
    return Command(config, run, resume=False, predict=predict, pairs=None)


def command_to_resume(run, run_dir, given):
    if run_dir is not None:
        raise UsageError("--run-dir does not go with --resume, which names the folder itself")
    run = real_path(run)
    config = saved_config(run)
    if "data" in given and config.data is None:
        raise UsageError("--resume: this run has no --data")
    data = given.pop("data", config.data)  # the file may have been moved
    report_settings = {entry.name for entry in FLAGS if entry.metadata["group"] == "report"}
    wrong = [name for name in given if name not in report_settings and given[name] != getattr(config, name)]
    if wrong:
        contradictions = ", ".join(f"{flag(name)} is {getattr(config, name)}, not {given[name]}" for name in wrong)
        if given.get("max_batches", 0) > config.max_batches:
            contradictions += "; the learning rate falls to 0 by the last batch, so none can be added"
        raise UsageError(f"--resume: in this run {contradictions}")
    done = runs.batches_kept(run)
    if done == config.max_batches and (run / "metrics.json").exists():
        raise UsageError(f"--resume: all {done} batches of this run are done")
    own = None
    if data is not None:
        own = pairs.read(data)
        if own.sha256 != config.sha256:
            raise UsageError(f"--resume: {str(data)!r} is not, or no longer, the data of this run")
    return Command(replace(config, **given), run, resume=True, predict=None, pairs=own)


def real_path(run):
    """Returns the folder that runs/latest points to now; it may point elsewhere later."""
    return Path(os.path.relpath(os.path.realpath(run)))


def saved_config(run):
    """Returns the Config of a run, checked like flags. Raises runs.RunError if there is none."""
    values = runs.read_settings(run)
    try:
        texts = {entry: str(values[entry.name]) for entry in FLAGS if values[entry.name] is not None}
        flags = {entry.name: entry.metadata["type"](text) for entry, text in texts.items()}
        extra, symbols, sha256 = (values[name] for name in ("extra_decoder_steps", "symbols", "sha256"))
        config = Config(**flags, extra_decoder_steps=int(extra), symbols=tuple(map(str, symbols)), sha256=str(sha256))
        if config.data and len(config.vocabulary) != config.vocab_size:
            raise ValueError(f"{len(config.symbols)} symbols for a vocabulary of {config.vocab_size}")
        return config
    except (KeyError, TypeError, ValueError, argparse.ArgumentTypeError) as error:
        raise runs.RunError(f"{str(run / 'config.json')!r} does not hold the settings of a run: {error}") from None


def check(config):
    """Raises UsageError if settings contradict each other, or the picture cannot be saved."""
    if config.length_from > config.length_to:
        raise UsageError(f"--length-from: {config.length_from} is more than --length-to {config.length_to}")
    if config.task == "alphabet" and config.vocab_size != FIRST_SYMBOL + len(LETTERS):
        raise UsageError(f"--vocab-size: with --task alphabet it is {FIRST_SYMBOL + len(LETTERS)}")
    if config.feedback != "scheduled" and config.teacher_probability != Config.teacher_probability:
        raise UsageError("--teacher-probability goes with --feedback scheduled")
    for plot in [config.plot] if config.attention == "none" else [config.plot, config.attention_plot]:
        try:
            runs.check_writable(plot)
        except OSError as error:
            raise UsageError(f"--plot: cannot write {str(plot)!r}: {error.strerror}") from None
