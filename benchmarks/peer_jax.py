"""JAX as a peer, as its documentation teaches it: python -m benchmarks.peer_jax WORK idiomatic steps|job.

Each layer is a lax.scan; the whole step is one jax.jit that reuses its memory.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import work
from helpers import EOS, EXTRA_DECODER_STEPS


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


def decode(weights, inputs, lengths, steps):
    """Returns the logits [steps, batch, vocab_size]."""
    embedded = weights["embeddings"][inputs]
    states = [encode(weights, name, embedded, lengths) for name in ("forward", "backward")]
    state = tuple(jnp.concatenate(parts, axis=1) for parts in zip(*states))

    def step(carry, _):
        state, symbol = carry
        state = lstm(weights["decoder_kernel"], weights["decoder_bias"], weights["embeddings"][symbol], state)
        logits = state[1] @ weights["output_weights"] + weights["output_bias"]
        return (state, jnp.argmax(logits, axis=1)), logits

    return jax.lax.scan(step, (state, jnp.full(lengths.shape, EOS)), None, length=steps)[1]


def masked_loss(logits, lengths, targets):
    cross_entropy = -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, :, jnp.newaxis], axis=2)[:, :, 0]
    mask = jnp.arange(len(targets))[:, jnp.newaxis] < lengths + EXTRA_DECODER_STEPS
    return (cross_entropy * mask).sum() / mask.sum()


def loss(weights, inputs, lengths, targets):
    return masked_loss(decode(weights, inputs, lengths, len(targets)), lengths, targets)


def adam(train_state, gradients):
    """Returns the state of training after a step of Adam on clipped gradients."""
    weights, first, second, step = train_state
    norm = jnp.sqrt(sum(jnp.sum(gradient**2) for gradient in gradients.values()))
    gradients = jax.tree.map(lambda gradient: gradient / jnp.maximum(norm / work.CLIP_NORM, 1), gradients)
    first = jax.tree.map(lambda m, g: work.BETA1 * m + (1 - work.BETA1) * g, first, gradients)
    second = jax.tree.map(lambda v, g: work.BETA2 * v + (1 - work.BETA2) * g**2, second, gradients)
    settings = work.SETTINGS
    rate = settings.learning_rate * jnp.minimum((step + 1) / (settings.warm_up * settings.max_batches), 1)
    rate *= jnp.maximum(1 - step / settings.max_batches, 0)
    rate *= jnp.sqrt(1 - work.BETA2 ** (step + 1)) / (1 - work.BETA1 ** (step + 1))
    weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + work.EPSILON), weights, first, second)
    return weights, first, second, step + 1


@functools.partial(jax.jit, donate_argnums=0)
def train_step(train_state, inputs, lengths, targets):
    value, gradients = jax.value_and_grad(loss)(train_state[0], inputs, lengths, targets)
    return adam(train_state, gradients), value


@functools.partial(jax.jit, static_argnames="steps")
def predict(weights, inputs, lengths, steps):
    return jnp.argmax(decode(weights, inputs, lengths, steps), axis=2)


def start(weights):
    """Returns the state of training before the first step."""
    return weights, *(jax.tree.map(np.zeros_like, weights) for _ in range(2)), np.float32(0)


def prepare(data, form):
    """Returns take_steps and decode for work.run()."""
    train_state = start(data.weights)

    def take_steps(batches):
        nonlocal train_state
        losses = []
        for batch in batches:
            train_state, value = train_step(train_state, *batch)
            losses.append(value)
        return jax.block_until_ready(losses)

    return take_steps, lambda batch: np.asarray(predict(train_state[0], *batch[:2], len(batch.targets)))


if __name__ == "__main__":
    work.run(prepare)
