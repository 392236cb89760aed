"""A second implementation of the model, in NumPy and float64, one sequence at a time: no batches, padding or masks.

Written from the equations: LSTM with gates i, j, f, o (Hochreiter and Schmidhuber, 1997; forget gate by Gers et al.,
2000); GRU by Cho et al., 2014, with gates r and u; attention by Bahdanau et al., 2015, and Luong et al., 2015.
"""

import re

import numpy as np

from helpers import EOS, PAD
from support.tensorflow import tensorflow_v1 as tf

CELLS = {  # scopes of the graph's variables, and the name of the layers of the cell in forward()
    "encoder/forward": "forward",
    "encoder/backward": "backward",
    "decoder/cell": "decoder",
}


def weights_of(session):
    """Returns the weights of the graph, for forward()."""
    weights = {}
    for variable, value in zip(tf.trainable_variables(), session.run(tf.trainable_variables())):
        scope, _, name = variable.op.name.rpartition("/")
        array = value.astype(np.float64)
        cell = next((cell for prefix, cell in CELLS.items() if scope.startswith(prefix)), None)
        if cell is not None:
            layer = int(re.search(r"(?:/layer_(\d+))?/(?:lstm|gru)_cell", scope)[1] or 0)
            layers = weights.setdefault(cell, [])
            if layer == len(layers):
                layers.append(())
            layers[layer] += (array,)
        elif scope in ("decoder/bahdanau", "decoder/luong"):
            form = scope.removeprefix("decoder/")
            weights[form] = (*weights.get(form, ()), array)
        else:
            weights[name] = array
    return weights


def arrays(weights):
    """Returns all arrays of weights_of(), in the order of tf.trainable_variables()."""
    if isinstance(weights, np.ndarray):
        return [weights]
    parts = weights.values() if isinstance(weights, dict) else weights
    return [array for part in parts for array in arrays(part)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, c, h, kernel, bias):
    i, j, f, o = np.split(np.concatenate([x, h]) @ kernel + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(j)
    return c, sigmoid(o) * np.tanh(c)


def gru_step(x, h, gate_kernel, gate_bias, kernel, bias):
    r, u = np.split(sigmoid(np.concatenate([x, h]) @ gate_kernel + gate_bias), 2)
    return u * h + (1 - u) * np.tanh(np.concatenate([x, r * h]) @ kernel + bias)


def step(x, state, weights):
    """Returns the state after one step of the LSTM or GRU that has these weights: (c, h) or (h,)."""
    return lstm_step(x, *state, *weights) if len(weights) == 2 else (gru_step(x, *state, *weights),)


def read(inputs, layers):
    """Returns the outputs [time, units] of the top layer and the final state of each; all start from zeros.

    A layer reads the whole sequence before the next layer does, which makes no difference.
    """
    states = []
    for weights in layers:
        state = [np.zeros(weights[-1].size // 4)] * 2 if len(weights) == 2 else [np.zeros(weights[-1].size)]
        outputs = []
        for x in inputs:
            state = step(x, state, weights)
            outputs.append(state[-1])
        states.append(state)
        inputs = outputs
    return np.array(outputs), states


def softmax(x):
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def forward(weights, sequence, fed=None):
    """Encodes one sequence and decodes it greedily.

    Args:
      weights: dict of float64 arrays: embeddings, output_weights, output_bias; forward, decoder and, for a
        bidirectional encoder, backward, each with a tuple of kernels and biases for each layer; for attention bahdanau
        or luong, a tuple.
      sequence: int array [length].
      fed: the symbols that the decoder reads after EOS, instead of its own predictions.

    Returns:
      dict: encoder_outputs [length, units], states: for each layer (c, h) or (h,), logits [length + 3, vocab_size],
      prediction [length + 3], cross_entropy [length + 3] against the sequence, EOS, PAD, PAD;
      with attention, alignment [length + 3, length].
    """
    embeddings = weights["embeddings"]
    annotations, states = read(embeddings[sequence], weights["forward"])
    if "backward" in weights:
        backward_outputs, backward_states = read(embeddings[sequence[::-1]], weights["backward"])
        annotations = np.concatenate([annotations, backward_outputs[::-1]], axis=1)
        states = [[np.concatenate(parts) for parts in zip(*both)] for both in zip(states, backward_states)]
    final_states, top = list(states), states[-1][-1]

    symbol, logits, alignment = EOS, [], []
    attentional = np.zeros_like(top)
    for time in range(len(sequence) + 3):
        x = embeddings[symbol]
        if "bahdanau" in weights:
            encoder_weights, state_weights, score_weights = weights["bahdanau"]
            scores = np.tanh(top @ state_weights + annotations @ encoder_weights) @ score_weights
            alignment.append(softmax(scores))
            x = np.concatenate([x, alignment[-1] @ annotations])
        if "luong" in weights:
            x = np.concatenate([x, attentional])
        for layer, layer_weights in enumerate(weights["decoder"]):
            states[layer] = step(x, states[layer], layer_weights)
            x = states[layer][-1]
        projected = top = x
        if "luong" in weights:
            encoder_weights, combining_weights = weights["luong"]
            alignment.append(softmax(annotations @ encoder_weights @ top))
            context = alignment[-1] @ annotations
            projected = attentional = np.tanh(np.concatenate([context, top]) @ combining_weights)
        logits.append(projected @ weights["output_weights"] + weights["output_bias"])
        symbol = logits[-1].argmax() if fed is None else fed[time]

    logits = np.array(logits)
    targets = [*sequence, EOS, PAD, PAD]
    return {
        "encoder_outputs": annotations,
        "states": final_states,
        "logits": logits,
        "prediction": logits.argmax(axis=1),
        "cross_entropy": np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(targets)), targets],
        "alignment": np.array(alignment),
    }


def loss(weights, sequences):
    """The mean cross-entropy over all steps of all sequences, in nats."""
    return np.concatenate([forward(weights, sequence)["cross_entropy"] for sequence in sequences]).mean()


def slope(weights, values, index, sequences):
    """The derivative of the loss with respect to values[index], one of the weights, from a difference."""
    value, losses = values[index], []
    for step in (1e-6, -1e-6):
        values[index] = value + step
        losses.append(loss(weights, sequences))
    values[index] = value
    return (losses[0] - losses[1]) / 2e-6
