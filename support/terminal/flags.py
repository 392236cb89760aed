"""The flags of the command line that set a field of settings.Settings."""

import argparse
import difflib
import sys

from support import outside
from support.settings import FEW_PAIRS, FOR_FEW_PAIRS, FOR_PAIRS, KINDS, UNKNOWN_NAME, Settings, flag
from support.values import PICTURE_ENDINGS

# The flags of settings in their groups, each with its help. A setting that is not here has no flag.
FLAGS = {
    "training": {
        "max_batches": "batches to train on; with --data the default depends on its pairs and on --batch-size",
        "batch_size": "sequences in a batch",
        "learning_rate": "peak learning rate; the rate rises to it, then falls linearly to 0",
        "until": "end training when two evaluations in a row find at least this share of the validation sequences "
        "exact; the learning-rate schedule is not shortened (default: off)",
        "patience": "end training after N evaluations in a row without a better one (default: off)",
        "keep": "weights to end with: the last, or those of the best evaluation",
        "seed": "decides the initial weights and all random data",
        "xla": "on: compile the training step; off: run TensorFlow's own loops",
        "device": "where to train; auto: on a GPU if there is one and it is faster at these sizes, else on the CPU",
        "feedback": "what the decoder reads in training: argmax: its own prediction; teacher: the true symbol; "
        "scheduled: either",
        "teacher_probability": "with --feedback scheduled: initial probability of reading the true symbol; it falls "
        "linearly to 0",
        "dropout": "share of the inputs of each cell and of the projection that is set to 0 in training",
    },
    "data": {
        "task": "what to learn: copying, reversing, or continuing the alphabet",
        "data": "learn pairs from a file: INPUT TAB TARGET on each line, white space between symbols",
        "validation_data": "validate with the pairs of this file; without it, with a tenth of --data",
        "test_data": "test with the pairs of this file at the end; without it and --validation-data, a tenth of --data",
        "held_out_sequences": "random sequences for the report; with --data: the most lines drawn for the validation "
        "set, and for the test set",
        "symbols": "with --data: what counts as a symbol, INPUT:TARGET if they differ; a space is shown as \u2423",
        "min_count": "with --data: symbols that occur less often in the training pairs become "
        f"{UNKNOWN_NAME}, and so do unknown symbols later",
        "length_from": "length of the shortest sequences",
        "length_to": "length of the longest sequences",
        "vocab_size": "number of symbols, including PAD = 0 and EOS = 1",
    },
    "model": {
        "input_embedding_size": "size of the symbol embeddings",
        "encoder_hidden_units": "units per encoder direction; the decoder of a bidirectional model has twice as many",
        "cell": "cell of the encoder and the decoder",
        "layers": "stacked cells in encoder and decoder",
        "encoder": "bidirectional: read from both ends; forward: read from left to right only",
        "attention": "attention over the outputs of the encoder",
    },
    "report": {
        "batches_in_epoch": "print a report every N batches, and after the last one unless the run ends early",
        "samples": "sequences that a report prints",
        "plot": "file for the loss curve, with memory and attention beside it; with --predict, for these two "
        f"({' '.join(PICTURE_ENDINGS)})",
    },
}


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
            self.error(f"unrecognized arguments: {' '.join(others)}{self.suggestion(others, known)}")
        return vars(known)

    def suggestion(self, others, known):
        """Returns advice about arguments that are no flags, such as which one was meant; "" if there is none."""
        if "predict" in known and not any(argument.startswith("-") for argument in others):
            return "; a sequence with spaces needs quotes"
        flags = [option for action in self._actions for option in action.option_strings]
        typed = [argument.partition("=")[0] for argument in others if argument.startswith("-")]
        meant = [found for argument in typed for found in difflib.get_close_matches(argument, flags, 1, cutoff=0.72)]
        return f"; did you mean {meant[0]}?" if meant else ""


def add_settings(parser, without=(), other_help=None):
    """Adds the flags of settings to a parser, in their groups, except some groups or flags.

    other_help: dict of the help of flags that mean something else here, by name.
    """
    for title, texts in FLAGS.items():
        group = parser.add_argument_group(title) if title not in without else None
        for name, text in texts.items():
            if group and name not in without:
                text = (other_help or {}).get(name, text)
                default, kind = getattr(Settings, name), KINDS[name]
                of_pairs = f"; with --data: {FOR_PAIRS[name]}" if name in FOR_PAIRS else ""
                if name in FOR_FEW_PAIRS:
                    of_pairs += f", or {FOR_FEW_PAIRS[name]} for at most {FEW_PAIRS:,} pairs to learn"
                text += "" if default is None else f" (default: {default}{of_pairs})"
                group.add_argument(flag(name), type=kind, help=text, metavar=kind.metavar)
