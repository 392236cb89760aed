"""The model cut open between encoder and decoder, and the exchange of one symbol in the state between them.

States are float [sequences, size], the parts of the encoder's final state side by side. Symbols are int [sequences,
length] from 0 on.
"""

import functools

import numpy as np

import helpers
import seq2seq_copy
from experiments import common, states
from helpers import FIRST_SYMBOL
from seq2seq_copy import PLAIN, Parts
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

EXCHANGED = 500  # sequences, at most, whose symbols the model copies
LEARNING_STEPS, LEARNING_BATCH, LEARNING_RATE = 300, 400, 0.01
OUTCOMES = ("as intended", "others change", "only as intended")


class Opened:
    """A trained model whose state between encoder and decoder can be read and replaced.

    model: a seq2seq_copy.Model.
    exact_match: float, the share of the held-out sequences that it copies exactly.
    kinds: int, how many symbols there are.
    """

    def __init__(self, settings, seed):
        """Trains the model; settings as for settings.Settings."""

        def make_loop_fn(encoded, decoder_lengths, decoder_targets):
            self._final_state = list(encoded.final_state)  # tensors [batch, units]
            return seq2seq_copy.make_loop_fn(encoded, decoder_lengths, decoder_targets)

        config, parts = Settings(**settings, seed=seed), Parts(make_loop_fn=make_loop_fn)
        self.model, _, exact = common.train_model(config, parts, PLAIN)
        self.exact_match, self.kinds = exact.mean(), config.vocab_size - FIRST_SYMBOL
        self._gradients = tf.gradients(self.model.loss, self._final_state)

    def _feed(self, symbols, vectors=None):
        feed = self.model.feed(helpers.task_batch("copy", list((symbols + FIRST_SYMBOL).astype(np.int32))))
        if vectors is not None:
            parts = np.split(vectors.astype(np.float32), len(self._final_state), axis=1)
            feed |= dict(zip(self._final_state, parts))
        return feed

    def encode(self, symbols):
        """Returns the states after some sequences."""
        parts = self.model.session.run(self._final_state, self._feed(symbols))
        return np.concatenate(parts, axis=1).astype(np.float64)

    def decode(self, vectors, length):
        """Runs the decoder from states; returns its predictions, int [sequences, steps], symbols from 0 on."""
        feed = self._feed(np.zeros([len(vectors), length], int), vectors)
        return self.model.session.run(self.model.decoder_prediction, feed).T - FIRST_SYMBOL

    def slopes(self, vectors, symbols):
        """Returns the gradient of the decoder's loss with respect to states, if it should answer those symbols."""
        return np.concatenate(self.model.session.run(self._gradients, self._feed(symbols, vectors)), axis=1)


def learnt(opened, fitted, symbols, factors, generator):
    """Learns effects that exchange one symbol, with Adam through the fixed decoder.

    Each step exchanges one symbol, at a random position, in the states of LEARNING_BATCH sequences. The loss compares
    the decoder's answers with the changed sequences. This is how Csordás et al. find their interventions. The product
    of factors is what it starts from.
    """
    kinds, rows = opened.kinds, np.arange(LEARNING_BATCH)
    factors = [factor.copy() for factor in factors]
    moments = [(np.zeros_like(factor), np.zeros_like(factor)) for factor in factors]
    for step in range(LEARNING_STEPS):
        rate = LEARNING_RATE * (1 - step / LEARNING_STEPS) * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        effects = functools.reduce(np.multiply, factors)
        chosen = generator.integers(len(fitted), size=LEARNING_BATCH)
        places = generator.integers(symbols.shape[1], size=LEARNING_BATCH)
        new = symbols[chosen]
        before = new[rows, places]
        after = new[rows, places] = (before + generator.integers(1, kinds, size=LEARNING_BATCH)) % kinds
        changed = fitted[chosen] + effects[places, after] - effects[places, before]
        slopes = opened.slopes(changed, new)  # [batch, size]
        of_effects = np.zeros_like(effects)
        np.add.at(of_effects, (places, after), slopes)
        np.add.at(of_effects, (places, before), -slopes)
        for index, factor in enumerate(factors):
            others = functools.reduce(np.multiply, factors[:index] + factors[index + 1 :], 1.0)
            repeated = tuple(axis for axis in range(3) if factor.shape[axis] == 1)
            slope = (of_effects * others).sum(axis=repeated, keepdims=True)
            first, second = moments[index]
            first += 0.1 * (slope - first)
            second += 0.001 * (slope**2 - second)
            factor -= rate * first / (np.sqrt(second) + 1e-9)
    return functools.reduce(np.multiply, factors)


def ways_to_exchange(opened, fitted, symbols, generator):
    """Returns ways to exchange one symbol in a state, learnt from the states of other sequences.

    Args:
      opened: an Opened.
      fitted, symbols: the states and the symbols to learn from.
      generator: np.random.Generator.

    Returns:
      dict from a title to a function from (vectors, old, new, source, position): states, their symbols, the symbols
      that they should hold, and states that share only the new symbol. It returns changed states.
    """
    kinds = opened.kinds
    added = states.effects(fitted, symbols, kinds)  # [positions, kinds, size]
    with_pairs = states.regression(states.features(symbols, kinds, pairs=True), fitted)
    matrices = states.linear_exchange(fitted, symbols, added, kinds)  # [positions, size, size]

    def add(effects):
        return lambda vectors, old, new, _, at: vectors + effects[at][new[:, at]] - effects[at][old[:, at]]

    def neighbours(vectors, old, new, source, at):
        return vectors + (states.features(new, kinds, True) - states.features(old, kinds, True)) @ with_pairs

    def linear(vectors, old, new, source, at):
        return vectors + (source - vectors) @ matrices[at]

    def random_direction(vectors, old, new, source, at):
        direction = generator.normal(size=vectors.shape)
        size = np.linalg.norm(added[at][new[:, at]] - added[at][old[:, at]], axis=1, keepdims=True)
        return vectors + direction * size / np.linalg.norm(direction, axis=1, keepdims=True)

    def position_beside(vectors, old, new, source, at):
        beside = at + 1 if at + 1 < len(added) else at - 1
        return vectors + added[beside][new[:, at]] - added[beside][old[:, at]]

    return {
        "linear part of another state": linear,
        "mean difference": add(added),
        "mean difference, neighbours known": neighbours,
        "difference learnt": add(learnt(opened, fitted, symbols, [added], generator)),
        "difference learnt, scale x symbol": add(learnt(opened, fitted, symbols, states.scaled(added), generator)),
        "control: random direction, same size": random_direction,
        "control: the position beside it": position_beside,
    }


def outcome(answers, before, position, new):
    """Returns the shares of sequences with each of OUTCOMES, from the answers to the changed and the old states."""
    is_new = answers[:, position] == new
    others_change = np.delete(answers != before, position, axis=1).any(axis=1)
    return is_new.mean(), others_change.mean(), (is_new & ~others_change).mean()


def exchange(opened, ways, vectors, symbols, generator):
    """Exchanges the symbol at each position in each way.

    Args:
      opened: an Opened.
      ways: the result of ways_to_exchange().
      vectors, symbols: states, and the symbols of their sequences.
      generator: np.random.Generator.

    Returns:
      float [ways + 1, positions, OUTCOMES]. The last way encodes the changed sequence; no exchange should do better.
    """
    length = symbols.shape[1]
    before = opened.decode(vectors, length)
    exact = np.flatnonzero((before[:, :length] == symbols).all(axis=1))[:EXCHANGED]
    vectors, symbols, before = vectors[exact], symbols[exact], before[exact]
    shares = []
    for position in range(length):
        new, others = symbols.copy(), generator.integers(opened.kinds, size=symbols.shape)
        new[:, position] += generator.integers(1, opened.kinds, size=len(symbols))
        new %= opened.kinds
        others[:, position] = new[:, position]
        source = opened.encode(others)
        changed = [way(vectors, symbols, new, source, position) for way in ways.values()]
        answers = [opened.decode(state, length) for state in (*changed, opened.encode(new))]
        shares.append([outcome(answer, before, position, new[:, position]) for answer in answers])
    return np.array(shares).transpose(1, 0, 2)
