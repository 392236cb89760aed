"""How a state holds the symbols of a sequence: readouts, effects of single symbols, and their geometry. NumPy only.

States are float [sequences, size]. Symbols are int [sequences, positions] in 0 ... kinds - 1; all sequences have the
same length.
"""

import numpy as np

RIDGE = 1e-6  # of the mean of the diagonal; one-hot features leave room for many solutions, and this takes a small one


def features(symbols, kinds, pairs=False):
    """Describes sequences by one-hot vectors of their symbols and, with pairs, of each pair of neighbours.

    Returns:
      float [sequences, 1 + positions * kinds], or (positions - 1) * kinds ** 2 columns more. The first column is 1.
    """
    one_hot = np.eye(kinds)[symbols]  # [sequences, positions, kinds]
    columns = [np.ones([len(symbols), 1]), one_hot.reshape(len(symbols), -1)]
    if pairs:
        columns.append(np.einsum("sia,sib->siab", one_hot[:, :-1], one_hot[:, 1:]).reshape(len(symbols), -1))
    return np.concatenate(columns, axis=1)


def regression(inputs, outputs):
    """Returns the weights of a least-squares fit, float [inputs, outputs]."""
    products = inputs.T @ inputs
    products += RIDGE * products.trace() / len(products) * np.eye(len(products))
    return np.linalg.solve(products, inputs.T @ outputs)


def effects(states, symbols, kinds):
    """Returns what each symbol at each position adds to the mean state, float [positions, kinds, size]."""
    weights = regression(features(symbols, kinds), states)[1:]
    added = weights.reshape(symbols.shape[1], kinds, -1)
    return added - added.mean(axis=1, keepdims=True)


def discriminant(states, symbols, kinds):
    """Fits Fisher's linear discriminant for one symbol, int [sequences]; returns a function from states to symbols.

    All symbols count as equally likely.
    """
    means = np.array([states[symbols == kind].mean(axis=0) for kind in range(kinds)])  # [kinds, size]
    residuals = states - means[symbols]
    covariance = residuals.T @ residuals / len(states)
    covariance += RIDGE * max(covariance.trace() / len(covariance), RIDGE) * np.eye(len(covariance))
    weights = np.linalg.solve(covariance, means.T)  # [size, kinds]
    bias = -0.5 * (means.T * weights).sum(axis=0)
    return lambda others: (others @ weights + bias).argmax(axis=1)


def logistic(states, symbols, kinds, steps=150):
    """Fits the linear readout of one symbol by multinomial logistic regression. Arguments and result as above.

    Source of the steps: Nesterov, "A method for solving the convex programming problem with convergence rate O(1/k^2)",
    1983.
    """
    mean, scale = states.mean(axis=0), states.std(axis=0) + 1e-9

    def inputs_of(others):
        return np.concatenate([(others - mean) / scale, np.ones([len(others), 1])], axis=1).astype(np.float32)

    inputs, targets = inputs_of(states), np.eye(kinds, dtype=np.float32)[symbols]
    curvature = np.linalg.eigvalsh(inputs.T @ inputs / len(inputs))[-1] / 2
    weights = ahead = np.zeros([inputs.shape[1], kinds], np.float32)
    for step in range(steps):
        logits = inputs @ ahead
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        next_weights = ahead - inputs.T @ (shares - targets) / len(inputs) / curvature
        ahead = next_weights + step / (step + 3) * (next_weights - weights)
        weights = next_weights
    return lambda others: (inputs_of(others) @ weights).argmax(axis=1)


def read(states, symbols, asked, kinds, fit=discriminant):
    """Fits a readout for each position on some states, and reads others.

    Args:
      states, symbols: what the readouts are fitted on.
      asked: float [asked, size].
      kinds: int.
      fit: discriminant or logistic.

    Returns:
      int [asked, positions].
    """
    return np.stack([fit(states, column, kinds)(asked) for column in symbols.T], axis=1)


def read_at_all_lengths(fitted, asked, kinds, from_end):
    """Fits one readout for each position, counted from the start or from the end, on sequences of several lengths.

    Args:
      fitted, asked: lists of (states, symbols), one for each length.
      kinds: int.
      from_end: bool.

    Returns:
      float [positions], the share of the symbols that are right, of the sequences that have such a position.
    """

    def at(place, drawn):
        having = [(vectors, symbols) for vectors, symbols in drawn if symbols.shape[1] > place]
        columns = [symbols[:, -1 - place if from_end else place] for _, symbols in having]
        return np.concatenate([vectors for vectors, _ in having]), np.concatenate(columns)

    shares = []
    for place in range(max(symbols.shape[1] for _, symbols in fitted)):
        vectors, symbols = at(place, asked)
        shares.append((discriminant(*at(place, fitted), kinds)(vectors) == symbols).mean())
    return np.array(shares)


def peel(states, symbols, asked, kinds, from_end=False):
    """Reads one position after the other, and subtracts the effects of the symbols that were read from the state.

    Arguments and result are the same as for read(). The readout's own answers decide what is subtracted, so errors
    spread.
    """
    answers = np.zeros([len(asked), symbols.shape[1]], int)
    order = list(range(symbols.shape[1]))[:: -1 if from_end else 1]
    for index, position in enumerate(order):
        done = order[:index]
        inner = features(symbols[:, done], kinds)
        weights = regression(inner, states)
        readout = discriminant(states - inner @ weights, symbols[:, position], kinds)
        answers[:, position] = readout(asked - features(answers[:, done], kinds) @ weights)
    return answers


def explained(states, symbols, asked, asked_symbols, kinds, pairs=False):
    """Returns the share of the variance of states that a sum of effects explains, on sequences not used to fit it."""
    weights = regression(features(symbols, kinds, pairs), states)
    rest = asked - features(asked_symbols, kinds, pairs) @ weights
    return 1 - (rest**2).sum() / ((asked - asked.mean(axis=0)) ** 2).sum()


def scaled(added):
    """Returns the closest effects of the form scale x symbol: a scale for each position and number of the state.

    This is the form of the onion representations of Csordás et al., "Recurrent neural networks learn to store and
    generate sequences using non-linear representations", 2024.

    Args:
      added: the result of effects().

    Returns:
      The factors: scale float [positions, 1, size] and vector of each symbol float [1, kinds, size].
    """
    left, values, right = np.linalg.svd(added.transpose(2, 0, 1), full_matrices=False)  # for each number of the state
    return (left[:, :, 0] * values[:, :1]).T[:, np.newaxis], right[:, 0].T[np.newaxis]


def share_of_scaled(added):
    """Returns the share of the squared effects that has the form of scaled()."""
    return 1 - ((added - np.multiply(*scaled(added))) ** 2).sum() / (added**2).sum()


def likeness(added):
    """Returns the mean cosine between the effects of the same symbol at two positions, float [positions, positions]."""
    directions = added / np.linalg.norm(added, axis=2, keepdims=True)
    return np.einsum("ikd,jkd->ij", directions, directions) / added.shape[1]


def linear_exchange(states, symbols, added, kinds):
    """Returns a matrix for each position, float [positions, size, size], that extracts the position's own part.

    It reads the symbol of the position by least squares, and writes it in the directions of its effects. If each
    position has its own subspace, this is the projection onto it along all others.

    Args:
      states, symbols: what the readouts are fitted on.
      added: the result of effects().
      kinds: int.
    """
    inputs = np.concatenate([np.ones([len(states), 1]), states], axis=1)
    readings = regression(inputs, features(symbols, kinds)[:, 1:])[1:]  # [size, positions * kinds]
    return np.einsum("dpk,pke->pde", readings.reshape(-1, *added.shape[:2]), added)
