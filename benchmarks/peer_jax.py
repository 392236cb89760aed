"""JAX as a peer: python -m benchmarks.peer_jax WORK.

Each layer is a lax.scan; the whole step is one jax.jit that reuses its memory.
"""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import work

AFTER_IMPORT = work.peak_memory()


def lstm(kernel, bias, inputs, state):
    c, h = state
    i, j, f, o = jnp.split(jnp.concatenate([inputs, h], axis=1) @ kernel + bias, 4, axis=1)
    c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


def encode(weights, name, embedded, lengths):
    """Returns the final state; backward reads the padding first, which leaves the state as it is."""
    kernel, bias = weights[f"{name}_kernel"], weights[f"{name}_bias"]
    zeros = jnp.zeros([embedded.shape[1], bias.size // 4])

    def step(state, time_and_inputs):
        time, inputs = time_and_inputs
        new, real = lstm(kernel, bias, inputs, state), (time < lengths)[:, jnp.newaxis]
        return jax.tree.map(lambda after, before: jnp.where(real, after, before), new, state), None

    scanned = (jnp.arange(embedded.shape[0]), embedded)
    return jax.lax.scan(step, (zeros, zeros), scanned, reverse=name == "backward")[0]


def loss(weights, inputs, lengths, targets):
    embedded = weights["embeddings"][inputs]
    states = [encode(weights, name, embedded, lengths) for name in ("forward", "backward")]
    state = tuple(jnp.concatenate(parts, axis=1) for parts in zip(*states))

    def step(carry, _):
        state, symbol = carry
        state = lstm(weights["decoder_kernel"], weights["decoder_bias"], weights["embeddings"][symbol], state)
        logits = state[1] @ weights["output_weights"] + weights["output_bias"]
        return (state, jnp.argmax(logits, axis=1)), logits

    first = jnp.full(lengths.shape, work.EOS)
    logits = jax.lax.scan(step, (state, first), None, length=targets.shape[0])[1]
    cross_entropy = -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, :, jnp.newaxis], axis=2)[:, :, 0]
    mask = jnp.arange(targets.shape[0])[:, jnp.newaxis] < lengths + work.EXTRA_DECODER_STEPS
    return (cross_entropy * mask).sum() / mask.sum()


@functools.partial(jax.jit, donate_argnums=0)
def train_step(train_state, inputs, lengths, targets):
    weights, first, second, step = train_state
    value, gradients = jax.value_and_grad(loss)(weights, inputs, lengths, targets)
    norm = jnp.sqrt(sum(jnp.sum(gradient**2) for gradient in gradients.values()))
    gradients = jax.tree.map(lambda gradient: gradient / jnp.maximum(norm / work.CLIP_NORM, 1), gradients)
    first = jax.tree.map(lambda m, g: work.BETA1 * m + (1 - work.BETA1) * g, first, gradients)
    second = jax.tree.map(lambda v, g: work.BETA2 * v + (1 - work.BETA2) * g**2, second, gradients)
    rate = work.LEARNING_RATE * (1 - step / work.MAX_BATCHES)
    rate *= jnp.sqrt(1 - work.BETA2 ** (step + 1)) / (1 - work.BETA1 ** (step + 1))
    weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + work.EPSILON), weights, first, second)
    return (weights, first, second, step + 1), value


def main(path):
    data = work.load(path)
    zeros = [jax.tree.map(np.zeros_like, data.weights) for _ in range(2)]
    train_state = (data.weights, *zeros, jnp.float32(0))

    def take_steps(first, count):
        nonlocal train_state
        losses = []
        for index in range(first, first + count):
            train_state, value = train_step(train_state, *(array[index % work.BATCHES] for array in data[1:]))
            losses.append(value)
        return jax.block_until_ready(losses)

    work.serve(take_steps, AFTER_IMPORT)


if __name__ == "__main__":
    main(sys.argv[1])
