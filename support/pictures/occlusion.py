"""An occlusion map: which input symbols each predicted symbol depends on, measured from outside, by intervention.

Each input symbol is replaced by others, and the model answers again. Where the probability of its first answer changes,
that step depends on that symbol. This looks at inputs and outputs only, so it works for every model.

Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, section 4.2, who cover parts of
an image; Madsen, "Visualizing memorization in RNNs", 2019, who uses gradients to find which inputs a network remembers.
"""

import numpy as np

from helpers import EOS, EXTRA_DECODER_STEPS, FIRST_SYMBOL
from support.limits import sequences_at_once
from support.model import greedy

SEQUENCES = 4  # how many a run looks at
MOST_PATCHES = 60  # rows and columns of a map
MOST_COPIES = 250  # of a sequence; so SEQUENCES maps cost about as much as a point of the exact-match curve


def occlusion_map(model, sequence, steps=None):
    """Measures how much each predicted symbol depends on each input symbol.

    The decoder reads its own predictions, whatever they become: a change at one step may spread to later ones, as if
    a user had asked with the changed input.

    The work is bounded. If there are more than MOST_PATCHES input symbols, neighbours are replaced together, and a
    column stands for a patch of them; a row then stands for the mean of neighbouring steps. With a large vocabulary,
    each symbol is replaced by only some others, evenly spread, so that there are at most MOST_COPIES copies. As many
    are decoded at once as limits.sequences_at_once() allows.

    Args:
      model: a seq2seq_copy.Model.
      sequence: int32 [length].
      steps: int, how many steps of the answer to look at; None for all, or with own data for those up to its EOS.

    Returns:
      prediction: int32 [steps], the answer to the sequence as it is.
      changes: float [rows, columns], the mean absolute change of the probability of that answer, in 0 ... 1; rows and
        columns are steps and length, but at most MOST_PATCHES. 0 if there is no other symbol.
    """
    config, feed = model.config, model.feed(greedy.question([sequence], model.config, steps))
    logits, prediction = model.session.run([model.decoder_logits, model.decoder_prediction], feed)
    ends = np.flatnonzero(prediction[:, 0] == EOS)
    if config.longest_answer and steps is None and ends.size:
        prediction = prediction[: ends[0] + 1]
    prediction, steps = prediction[:, 0], len(prediction)
    before = probabilities(prediction, logits[:steps])  # [1, steps]

    patches = np.array_split(np.arange(sequence.size), min(sequence.size, MOST_PATCHES))
    shifts = spread(config.vocab_size - FIRST_SYMBOL, MOST_COPIES // len(patches))
    copies = [replace(sequence, patch, shift, config.vocab_size) for patch in patches for shift in shifts]
    at_once = sequences_at_once(config, sequence.size, steps)
    changes = []
    for start in range(0, len(copies), at_once):
        feed = model.feed(greedy.question(copies[start : start + at_once], config, steps))
        logits = model.session.run(model.decoder_logits, feed)
        changes.extend(np.abs(probabilities(prediction, logits) - before))
    changes = np.reshape(changes, [len(patches), len(shifts), steps]).mean(axis=1).T  # [steps, patches]
    return prediction, np.array([rows.mean(axis=0) for rows in np.array_split(changes, min(steps, MOST_PATCHES))])


def of_longest(model, held_out):
    """Returns (sequence, prediction, changes) from occlusion_map() for each of the first few of the longest sequences.

    Args:
      model: a seq2seq_copy.Model.
      held_out: a helpers.Batch.
    """
    length = held_out.lengths.max()
    columns = np.flatnonzero(held_out.lengths == length)[:SEQUENCES]
    sequences = [held_out.inputs[:length, column] for column in columns]
    steps = held_out.target_lengths[columns].max() + EXTRA_DECODER_STEPS
    return [(sequence, *occlusion_map(model, sequence, steps)) for sequence in sequences]


def probabilities(symbols, logits):
    """Returns the probability of symbols [steps] under logits [steps, batch, vocab_size], float64 [batch, steps]."""
    with np.errstate(invalid="ignore"):  # the logits of a run that diverges are not finite
        weights = np.exp(logits.astype(np.float64) - logits.max(axis=2, keepdims=True))
        return (weights[np.arange(symbols.size), :, symbols] / weights.sum(axis=2)).T


def spread(symbols, most):
    """Returns the shifts that turn a symbol into each of the others, or at most `most` of them, evenly spread.

    A single symbol is shifted by 0: it can only be replaced by itself.
    """
    others = max(1, symbols - 1)
    return np.linspace(min(1, symbols - 1), symbols - 1, min(others, most)).astype(int)


def replace(sequence, patch, shift, vocab_size):
    """Returns a copy of a sequence whose symbols in a patch are shifted around the vocabulary."""
    copy = sequence.copy()
    copy[patch] = FIRST_SYMBOL + (copy[patch] - FIRST_SYMBOL + shift) % (vocab_size - FIRST_SYMBOL)
    return copy
