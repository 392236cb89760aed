"""JAX as a peer: python -m benchmarks.peer_jax WORK idiomatic|tuned job|LOSSES.

idiomatic is what its documentation teaches: each layer is a lax.scan, and the whole step is one jax.jit that reuses its
memory. tuned has everything that makes it faster here:

- Both directions of the encoder are one lax.scan with one batched matrix product.
- The products of the embeddings with the input weights are a table, made once per step and looked up for each symbol.
- Many training steps are one call, a lax.fori_loop that reuses its memory.

None of these was faster: one product with a block-diagonal matrix for both directions, or two products in one scan;
one-hot products in place of look-ups; an unrolled scan; one call per step; the logits in one product after the
scan; one thread per operation.

With attention, for own_data.py, idiomatic is decode_luong().
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import work
from helpers import EOS, EXTRA_DECODER_STEPS


def lstm(gates, c):
    """Returns the next state of a cell, c and h."""
    i, j, f, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


def keep(real, new, state):
    """Returns the new state for sequences that have not ended, and the earlier state for the others."""
    return jax.tree.map(functools.partial(jnp.where, real), new, state)


def encode(weights, name, embedded, lengths, emit=lambda h: None):
    """Returns the final state, and what is emitted; backward reads the padding first, which leaves the state."""
    kernel, bias = weights[f"{name}_kernel"], weights[f"{name}_bias"]
    zeros = jnp.zeros([embedded.shape[1], bias.size // 4])

    def step(state, time_and_inputs):
        time, inputs = time_and_inputs
        new = lstm(jnp.concatenate([inputs, state[1]], axis=1) @ kernel + bias, state[0])
        return keep((time < lengths)[:, jnp.newaxis], new, state), emit(new[1])

    scanned = (jnp.arange(embedded.shape[0]), embedded)
    return jax.lax.scan(step, (zeros, zeros), scanned, reverse=name == "backward")


def decode(weights, inputs, lengths, steps):
    """Returns the logits [steps, batch, vocab_size]."""
    embeddings, kernel, bias = (weights[name] for name in ("embeddings", "decoder_kernel", "decoder_bias"))
    states = [encode(weights, name, embeddings[inputs], lengths)[0] for name in ("forward", "backward")]
    state = [jnp.concatenate(parts, axis=1) for parts in zip(*states)]
    return write(weights, lambda x, h: jnp.concatenate([embeddings[x], h], axis=1) @ kernel + bias, state, steps)


def write(weights, gates_of, state, steps):
    """Returns the logits of a decoder that starts from a state; gates_of(symbol, h) returns the gates of a step."""

    def step(carry, _):
        c, h, symbol = carry
        c, h = lstm(gates_of(symbol, h), c)
        logits = h @ weights["output_weights"] + weights["output_bias"]
        return (c, h, jnp.argmax(logits, axis=1)), logits

    first = (*state, jnp.full(len(state[0]), EOS))
    return jax.lax.scan(step, first, None, length=steps)[1]


def decode_luong(config, weights, inputs, lengths, targets, step):
    """Returns the logits [steps, batch, vocab_size], with Luong's attention, input feeding, true symbols, dropout."""
    embeddings, kernel, bias = (weights[name] for name in ("embeddings", "decoder_kernel", "decoder_bias"))
    keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), step.astype(int)), 3)

    def kept(key, size):
        return jax.random.bernoulli(key, 1 - config.dropout, [lengths.size, size]) / (1 - config.dropout)

    embedded = embeddings[inputs] * kept(keys[0], embeddings.shape[1])
    encoded = [encode(weights, name, embedded, lengths, emit=lambda h: h) for name in ("forward", "backward")]
    state = [jnp.concatenate(parts, axis=1) for parts in zip(*(state for state, _ in encoded))]
    outputs = jnp.concatenate([outputs for _, outputs in encoded], axis=2)  # [time, batch, 2 * units]
    scored = outputs @ weights["encoder_weights"]
    is_real = jnp.arange(len(inputs))[:, jnp.newaxis] < lengths
    kept_input, units = kept(keys[1], len(kernel) - state[1].shape[1]), outputs.shape[2]

    def step_of_decoder(carry, symbol):
        c, h, attentional_state = carry
        cell_input = jnp.concatenate([symbol, attentional_state], axis=1) * kept_input
        c, h = lstm(jnp.concatenate([cell_input, h], axis=1) @ kernel + bias, c)
        scores = jnp.where(is_real, jnp.einsum("bu,tbu->tb", h, scored), -jnp.inf)
        context = jnp.einsum("tb,tbu->bu", jax.nn.softmax(scores, axis=0), outputs)
        attentional_state = jnp.tanh(jnp.concatenate([context, h], axis=1) @ weights["combining_weights"])
        return (c, h, attentional_state), attentional_state

    read = embeddings[jnp.concatenate([jnp.full_like(targets[:1], EOS), targets[:-1]])]
    _, attentional_states = jax.lax.scan(step_of_decoder, (*state, jnp.zeros_like(state[1])), read)
    return (attentional_states * kept(keys[2], units)) @ weights["output_weights"] + weights["output_bias"]


def split(weights, name):
    """Returns the table of all symbols' products with the input weights, and the weights of the state."""
    embeddings, kernel = weights["embeddings"], weights[f"{name}_kernel"]
    input_kernel, state_kernel = jnp.split(kernel, [embeddings.shape[1]])
    return embeddings @ input_kernel + weights[f"{name}_bias"], state_kernel


def encode_tuned(weights, inputs, lengths):
    """Returns the final states of both directions, c and h, each [batch, 2 * units]."""
    tables, kernels = zip(*(split(weights, name) for name in ("forward", "backward")))
    times, kernel = jnp.arange(len(inputs)), jnp.stack(kernels)  # [2, units, 4 * units]
    gates = jnp.stack([tables[0][inputs], tables[1][inputs[::-1]]], axis=1)  # [time, 2, batch, 4 * units]
    real = jnp.stack([times, times[::-1]], axis=1)[:, :, jnp.newaxis, jnp.newaxis] < lengths[:, jnp.newaxis]
    zeros = jnp.zeros([2, lengths.size, kernel.shape[1]])

    def step(state, gates_and_real):
        gates, real = gates_and_real
        c, h = state
        return keep(real, lstm(gates + h @ kernel, c), state), None

    state, _ = jax.lax.scan(step, (zeros, zeros), (gates, real))
    return [jnp.concatenate(list(part), axis=1) for part in state]


def decode_tuned(weights, inputs, lengths, steps):
    """Does the same as decode()."""
    table, kernel = split(weights, "decoder")
    state = encode_tuned(weights, inputs, lengths)
    return write(weights, lambda symbol, h: table[symbol] + h @ kernel, state, steps)


def adam(train_state, gradients, config):
    """Returns the state of training after a step of Adam on clipped gradients."""
    weights, first, second, step = train_state
    beta1, beta2 = work.BETA1, config.adam_beta2
    norm = jnp.sqrt(sum(jnp.sum(gradient**2) for gradient in gradients.values()))
    gradients = jax.tree.map(lambda gradient: gradient / jnp.maximum(norm / config.clip_norm, 1), gradients)
    first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, gradients)
    second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g**2, second, gradients)
    rate = config.learning_rate * jnp.minimum((step + 1) / (config.warm_up * config.max_batches), 1)
    rate *= jnp.maximum(1 - step / config.max_batches, 0)
    rate *= jnp.sqrt(1 - beta2 ** (step + 1)) / (1 - beta1 ** (step + 1))
    weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + work.EPSILON), weights, first, second)
    return weights, first, second, step + 1


def train_step(logits_of, config, train_state, inputs, lengths, targets):
    """Returns the state of training after a step, and the loss before it."""

    def loss(weights):
        logits = logits_of(weights, inputs, lengths, targets, train_state[3])
        cross_entropy = -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, :, jnp.newaxis], axis=2)[:, :, 0]
        mask = jnp.arange(len(targets))[:, jnp.newaxis] < lengths + EXTRA_DECODER_STEPS
        return (cross_entropy * mask).sum() / mask.sum()

    value, gradients = jax.value_and_grad(loss)(train_state[0])
    return adam(train_state, gradients, config), value


def train_steps(train_step, train_state, count, inputs, lengths, targets):
    """Makes a training step with each of the first count batches; returns the state of training and the losses."""

    def step(done, carry):
        train_state, losses = carry
        train_state, value = train_step(train_state, inputs[done], lengths[done], targets[done])
        return train_state, losses.at[done].set(value)

    return jax.lax.fori_loop(0, count, step, (train_state, jnp.zeros(len(inputs))))


def prepare(data, form):
    """Returns take_steps and decode for work.run()."""
    train_state = (data.weights, *(jax.tree.map(np.zeros_like, data.weights) for _ in range(2)), np.float32(0))
    decode_in_form = decode_tuned if form == "tuned" else decode

    def logits_of(weights, inputs, lengths, targets, done):
        if data.config.attention == "luong":
            return decode_luong(data.config, weights, inputs, lengths, targets, done)
        return decode_in_form(weights, inputs, lengths, len(targets))

    step = functools.partial(train_step, logits_of, data.config)
    steps = jax.jit(functools.partial(train_steps, step), donate_argnums=0)
    step = jax.jit(step, donate_argnums=0)

    def take_steps(batches):
        nonlocal train_state
        losses = []
        for batch in batches:
            train_state, value = step(train_state, batch.inputs, batch.lengths, batch.targets)
            losses.append(value)
        return jax.block_until_ready(losses)

    def take_steps_tuned(batches):
        nonlocal train_state
        unused = batches[:1] * (work.STEPS_AT_ONCE - len(batches))
        inputs, lengths, targets, _ = map(np.stack, zip(*batches, *unused))
        train_state, losses = steps(train_state, len(batches), inputs, lengths, targets)
        return np.asarray(losses)[: len(batches)]

    @functools.partial(jax.jit, static_argnames="steps")
    def predict(weights, inputs, lengths, steps):
        return jnp.argmax(decode_in_form(weights, inputs, lengths, steps), axis=2)

    def answer(batch):
        return np.asarray(predict(train_state[0], batch.inputs, batch.lengths, len(batch.targets)))

    return take_steps_tuned if form == "tuned" else take_steps, answer


if __name__ == "__main__":
    work.run(prepare)
