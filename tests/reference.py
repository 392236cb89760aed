"""The model once more, in NumPy and float64, one sequence at a time: no batches, no padding, no masks.

Written from the equations: LSTM with gates i, j, f, o (Hochreiter and Schmidhuber, 1997; forget gate by Gers
et al., 2000) with 1 added to the forget gate, as tf.nn.rnn_cell.LSTMCell does.
"""

import numpy as np

from helpers import EOS, PAD


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, c, h, kernel, bias):
    i, j, f, o = np.split(np.concatenate([x, h]) @ kernel + bias, 4)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
    return c, sigmoid(o) * np.tanh(c)


def read(inputs, kernel, bias):
    """Returns the outputs [time, units] and the final (c, h) of an LSTM that starts from zeros."""
    c = h = np.zeros(bias.size // 4)
    outputs = []
    for x in inputs:
        c, h = lstm_step(x, c, h, kernel, bias)
        outputs.append(h)
    return np.array(outputs), (c, h)


def forward(weights, sequence):
    """Encodes one sequence and decodes it greedily.

    Args:
      weights: dict of float64 arrays: embeddings, forward, backward and decoder (each a pair of kernel
        and bias), output_weights, output_bias.
      sequence: int array [length].

    Returns:
      dict: encoder_outputs [length, 2 units], c, h, logits [length + 3, vocab_size],
      prediction [length + 3], cross_entropy [length + 3] against the sequence, EOS, PAD, PAD.
    """
    embeddings = weights["embeddings"]
    forward_outputs, (forward_c, forward_h) = read(embeddings[sequence], *weights["forward"])
    backward_outputs, (backward_c, backward_h) = read(embeddings[sequence[::-1]], *weights["backward"])
    final_c = c = np.concatenate([forward_c, backward_c])
    final_h = h = np.concatenate([forward_h, backward_h])

    symbol, logits = EOS, []
    for _ in range(len(sequence) + 3):
        c, h = lstm_step(embeddings[symbol], c, h, *weights["decoder"])
        logits.append(h @ weights["output_weights"] + weights["output_bias"])
        symbol = logits[-1].argmax()

    logits = np.array(logits)
    targets = [*sequence, EOS, PAD, PAD]
    return {
        "encoder_outputs": np.concatenate([forward_outputs, backward_outputs[::-1]], axis=1),
        "c": final_c,
        "h": final_h,
        "logits": logits,
        "prediction": logits.argmax(axis=1),
        "cross_entropy": np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(targets)), targets],
    }


def loss(weights, sequences):
    """The mean cross-entropy over all steps of all sequences, in nats."""
    return np.concatenate([forward(weights, sequence)["cross_entropy"] for sequence in sequences]).mean()
