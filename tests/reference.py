"""The model once more, in NumPy and float64, one sequence at a time: no batches, no padding, no masks.

Written from the equations: LSTM with gates i, j, f, o (Hochreiter and Schmidhuber, 1997; forget gate by Gers
et al., 2000) with 1 added to the forget gate, as tf.nn.rnn_cell.LSTMCell does. GRU by Cho et al., 2014, with gates r
and u; attention by Bahdanau et al., 2015, and Luong et al., 2015.
"""

import numpy as np

from helpers import EOS, PAD
from support.graph import tensorflow_v1 as tf

SCOPES = {  # of the graph's variables, and what forward() calls their arrays
    "encoder/forward": "forward",
    "encoder/backward": "backward",
    "decoder/cell": "decoder",
    "decoder/bahdanau": "bahdanau",
    "decoder/luong": "luong",
}


def weights_of(session):
    """Returns the weights of the graph, for forward(). The others keep the last part of their name."""
    weights = {}
    for variable, value in zip(tf.trainable_variables(), session.run(tf.trainable_variables())):
        scope, _, name = variable.op.name.rpartition("/")
        part = next((part for prefix, part in SCOPES.items() if scope.startswith(prefix)), None)
        if part is None:
            weights[name] = value.astype(np.float64)
        else:
            weights[part] = (*weights.get(part, ()), value.astype(np.float64))
    return weights


def arrays(weights):
    """Returns all arrays of weights_of(), in the order of tf.trainable_variables()."""
    return [array for part in weights.values() for array in (part if isinstance(part, tuple) else [part])]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, c, h, kernel, bias):
    i, j, f, o = np.split(np.concatenate([x, h]) @ kernel + bias, 4)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
    return c, sigmoid(o) * np.tanh(c)


def gru_step(x, h, gate_kernel, gate_bias, kernel, bias):
    r, u = np.split(sigmoid(np.concatenate([x, h]) @ gate_kernel + gate_bias), 2)
    return u * h + (1 - u) * np.tanh(np.concatenate([x, r * h]) @ kernel + bias)


def step(x, state, weights):
    """Returns the state after one step of the LSTM or GRU that has these weights: (c, h) or (h,)."""
    return lstm_step(x, *state, *weights) if len(weights) == 2 else (gru_step(x, *state, *weights),)


def read(inputs, weights):
    """Returns the outputs [time, units] and the final state of a cell that starts from zeros."""
    state = [np.zeros(weights[-1].size // 4)] * 2 if len(weights) == 2 else [np.zeros(weights[-1].size)]
    outputs = []
    for x in inputs:
        state = step(x, state, weights)
        outputs.append(state[-1])
    return np.array(outputs), state


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def forward(weights, sequence, fed=None):
    """Encodes one sequence and decodes it greedily.

    Args:
      weights: dict of float64 arrays: embeddings, output_weights, output_bias; forward, decoder and, for a
        bidirectional encoder, backward, each a tuple of the kernels and biases of a cell; for attention bahdanau or
        luong, a tuple too.
      sequence: int array [length].
      fed: the symbols that the decoder reads after EOS, instead of its own predictions.

    Returns:
      dict: encoder_outputs [length, units], state: (c, h) or (h,), logits [length + 3, vocab_size],
      prediction [length + 3], cross_entropy [length + 3] against the sequence, EOS, PAD, PAD;
      with attention, alignment [length + 3, length].
    """
    embeddings = weights["embeddings"]
    annotations, state = read(embeddings[sequence], weights["forward"])
    if "backward" in weights:
        backward_outputs, backward_state = read(embeddings[sequence[::-1]], weights["backward"])
        annotations = np.concatenate([annotations, backward_outputs[::-1]], axis=1)
        state = [np.concatenate(parts) for parts in zip(state, backward_state)]
    final_state = state

    symbol, logits, alignment = EOS, [], []
    attentional = np.zeros_like(state[-1])
    for time in range(len(sequence) + 3):
        x = embeddings[symbol]
        if "bahdanau" in weights:
            encoder_weights, state_weights, score_weights = weights["bahdanau"]
            scores = np.tanh(state[-1] @ state_weights + annotations @ encoder_weights) @ score_weights
            alignment.append(softmax(scores))
            x = np.concatenate([x, alignment[-1] @ annotations])
        if "luong" in weights:
            x = np.concatenate([x, attentional])
        state = step(x, state, weights["decoder"])
        projected = state[-1]
        if "luong" in weights:
            encoder_weights, combining_weights = weights["luong"]
            alignment.append(softmax(annotations @ encoder_weights @ state[-1]))
            context = alignment[-1] @ annotations
            projected = attentional = np.tanh(np.concatenate([context, state[-1]]) @ combining_weights)
        logits.append(projected @ weights["output_weights"] + weights["output_bias"])
        symbol = logits[-1].argmax() if fed is None else fed[time]

    logits = np.array(logits)
    targets = [*sequence, EOS, PAD, PAD]
    return {
        "encoder_outputs": annotations,
        "state": final_state,
        "logits": logits,
        "prediction": logits.argmax(axis=1),
        "cross_entropy": np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(targets)), targets],
        "alignment": np.array(alignment),
    }


def loss(weights, sequences):
    """The mean cross-entropy over all steps of all sequences, in nats."""
    return np.concatenate([forward(weights, sequence)["cross_entropy"] for sequence in sequences]).mean()


def slope(weights, values, index, sequences):
    """The derivative of the loss by values[index], one of the weights, from a difference."""
    value, losses = values[index], []
    for step in (1e-6, -1e-6):
        values[index] = value + step
        losses.append(loss(weights, sequences))
    values[index] = value
    return (losses[0] - losses[1]) / 2e-6
