"""JAX as a peer with all that makes it faster here: python -m benchmarks.peer_jax_tuned WORK tuned steps|job.

- Both directions of the encoder are one lax.scan with one batched matrix product.
- The products of the embeddings with the input weights are a table, made once a step and looked up for each symbol.
- Many training steps are one call, a lax.fori_loop that reuses its memory.

None of these was faster: one product with a block-diagonal matrix for both directions, or two products in one scan;
one-hot products in place of look-ups; an unrolled scan; one call for each step; the logits in one product after the
scan; one thread for an operation.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import work
from benchmarks.peer_jax import adam, masked_loss, start
from helpers import EOS


def lstm(gates, c):
    i, j, f, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


def split(weights, name):
    """Returns the table of all symbols' products with the input weights, and the weights of the state."""
    embeddings, kernel = weights["embeddings"], weights[f"{name}_kernel"]
    input_kernel, state_kernel = jnp.split(kernel, [embeddings.shape[1]])
    return embeddings @ input_kernel + weights[f"{name}_bias"], state_kernel


def encode(weights, inputs, lengths):
    """Returns the final states of both directions, each [batch, 2 * units]."""
    tables, kernels = zip(*(split(weights, name) for name in ("forward", "backward")))
    times, kernel = jnp.arange(len(inputs)), jnp.stack(kernels)  # [2, units, 4 * units]
    gates = jnp.stack([tables[0][inputs], tables[1][inputs[::-1]]], axis=1)  # [time, 2, batch, 4 * units]
    real = jnp.stack([times, times[::-1]], axis=1)[:, :, jnp.newaxis, jnp.newaxis] < lengths[:, jnp.newaxis]
    zeros = jnp.zeros([2, lengths.size, kernel.shape[1]])

    def step(state, scanned):
        gates, real = scanned
        c, h = state
        new = lstm(gates + h @ kernel, c)
        return jax.tree.map(functools.partial(jnp.where, real), new, state), None

    state, _ = jax.lax.scan(step, (zeros, zeros), (gates, real))
    return [jnp.concatenate(list(part), axis=1) for part in state]


def decode(weights, inputs, lengths, steps):
    """Returns the logits [steps, batch, vocab_size]."""
    table, kernel = split(weights, "decoder")

    def step(carry, _):
        c, h, symbol = carry
        c, h = lstm(table[symbol] + h @ kernel, c)
        logits = h @ weights["output_weights"] + weights["output_bias"]
        return (c, h, jnp.argmax(logits, axis=1)), logits

    first = (*encode(weights, inputs, lengths), jnp.full(lengths.shape, EOS))
    return jax.lax.scan(step, first, None, length=steps)[1]


def loss(weights, inputs, lengths, targets):
    return masked_loss(decode(weights, inputs, lengths, len(targets)), lengths, targets)


@functools.partial(jax.jit, donate_argnums=0)
def train_steps(train_state, count, inputs, lengths, targets):
    """Makes a training step with each of the first count batches."""

    def step(done, carry):
        train_state, losses = carry
        value, gradients = jax.value_and_grad(loss)(train_state[0], inputs[done], lengths[done], targets[done])
        return adam(train_state, gradients), losses.at[done].set(value)

    return jax.lax.fori_loop(0, count, step, (train_state, jnp.zeros(len(inputs))))


@functools.partial(jax.jit, static_argnames="steps")
def predict(weights, inputs, lengths, steps):
    return jnp.argmax(decode(weights, inputs, lengths, steps), axis=2)


def prepare(data, form):
    """Returns take_steps and decode for work.run()."""
    train_state = start(data.weights)

    def take_steps(batches):
        nonlocal train_state
        unused = batches[:1] * (work.STEPS_AT_ONCE - len(batches))
        arrays = map(np.stack, zip(*batches, *unused))
        train_state, losses = train_steps(train_state, len(batches), *arrays)
        return np.asarray(losses)[: len(batches)]

    return take_steps, lambda batch: np.asarray(predict(train_state[0], *batch[:2], len(batch.targets)))


if __name__ == "__main__":
    work.run(prepare)
