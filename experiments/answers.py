"""Answers to the exercises at the end of docs/walkthrough.ipynb.

    python -m experiments.answers

Trains three models with seed 0 and prints what each answer shows.
"""

import itertools

import numpy as np

import helpers
import seq2seq_copy
from experiments import common
from helpers import EXTRA_DECODER_STEPS, PAD
from seq2seq_copy import LSTMStateTuple, Model, Parts, Trainer, evaluate, train
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

# The answers.


def count_parameters(config):
    """1. Counts the numbers that training changes, from the sizes alone; returns a dict of int."""
    vocab_size, embedding_size, units = config.vocab_size, config.input_embedding_size, config.encoder_hidden_units

    def lstm(inputs, units):
        return (inputs + units) * 4 * units + 4 * units  # kernel and bias of four gates

    return {
        "embeddings": vocab_size * embedding_size,
        "encoder, forward": lstm(embedding_size, units),
        "encoder, backward": lstm(embedding_size, units),
        "decoder": lstm(embedding_size, 2 * units),
        "output": 2 * units * vocab_size + vocab_size,
    }


def reversed_targets(batch):
    """2. Returns a helpers.Batch with the same inputs, whose targets are the sequences from their ends."""
    backwards = np.full_like(batch.inputs, PAD)
    for column, length in enumerate(batch.lengths):
        backwards[:length, column] = batch.inputs[:length, column][::-1]
    return batch._replace(targets=helpers.decoder_targets(backwards, batch.lengths))


def unmasked_loss(decoder_logits, decoder_targets):
    """3. Replaces masked_loss: returns the mean cross-entropy of all steps, including the padding.

    The logits are zero there, so each such step adds ln(vocab_size), whatever the weights are. The gradient equals the
    gradient of the masked loss times the share of the other steps.
    """
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=decoder_targets, logits=decoder_logits))


def state_of_the_neighbour(forward_state, backward_state):
    """4. Replaces concatenate_states: each decoder starts from the state of the sequence on its left.

    The first one starts from the state of the last sequence.
    """
    state = seq2seq_copy.concatenate_states(forward_state, backward_state)
    return LSTMStateTuple(*(tf.roll(part, shift=1, axis=0) for part in state))


def backward_first(forward_state, backward_state):
    """5a. Replaces concatenate_states: the backward state comes first."""
    return seq2seq_copy.concatenate_states(backward_state, forward_state)


def reorder_decoder(weights, units):
    """5b. Renumbers the units of a decoder, the second half first, so that it reads the state of backward_first()."""
    order = np.roll(np.arange(units), units // 2)
    gates = np.concatenate([gate * units + order for gate in range(4)])  # columns: each gate holds all units
    kernel, bias = weights["decoder/cell/lstm_cell/kernel"], weights["decoder/cell/lstm_cell/bias"]
    input_size = len(kernel) - units
    rows = np.concatenate([np.arange(input_size), input_size + order])  # the rows of the inputs stay
    return weights | {
        "decoder/cell/lstm_cell/kernel": kernel[rows][:, gates],
        "decoder/cell/lstm_cell/bias": bias[gates],
        "decoder/output_weights": weights["decoder/output_weights"][order],
    }


def make_teaching_loop_fn(encoded, decoder_lengths, decoder_targets):
    """6. Replaces make_loop_fn: the cell reads the right symbol of the step before, whatever was predicted."""
    loop_fn = seq2seq_copy.make_loop_fn(encoded, decoder_lengths, decoder_targets)

    def teaching_loop_fn(time, cell_output, cell_state, loop_state):
        finished, next_input, *rest = loop_fn(time, cell_output, cell_state, loop_state)
        if cell_output is not None:
            next_input = tf.nn.embedding_lookup(encoded.embeddings, decoder_targets[time - 1])
        return finished, next_input, *rest

    return teaching_loop_fn


# What they show.


def weights_of(model):
    """Returns the weights of a Model, a dict of arrays by the names of their variables."""
    with model.session.graph.as_default():
        return {variable.op.name: model.session.run(variable) for variable in tf.trainable_variables()}


def with_weights(weights, config, parts):
    """Returns a Model of other parts with some weights, as weights_of() returns them."""
    model = Model(config, parts)
    for variable in tf.trainable_variables():
        variable.load(weights[variable.op.name], model.session)
    return model


def show(text, hits):
    print(f"   {text:<50} {hits.mean():7.2%}", flush=True)


def show_changes(model, held_out):
    """Shows the answers to 3, 4 and 5 on the weights of a trained model."""
    config, weights, thousand = model.config, weights_of(model), helpers.take(held_out, 0, 1000)
    print("3. The loss without the mask")
    losses = model.loss, unmasked_loss(model.decoder_logits, model.placeholders.targets)
    masked, unmasked = model.session.run(losses, model.feed(thousand))
    padding = 1 - (thousand.target_lengths + EXTRA_DECODER_STEPS).mean() / len(thousand.targets)
    print(f"   {unmasked:.4f} instead of {masked:.4f}; {padding:.1%} of all steps are padding")

    print("4. The state of the neighbour")
    neighbours = with_weights(weights, config, Parts(concatenate_states=state_of_the_neighbour))
    prediction = neighbours.predict(thousand)
    is_neighbours = (prediction == np.roll(thousand.targets, 1, axis=1)).all(axis=0)
    is_as_long = thousand.lengths == np.roll(thousand.lengths, 1)
    show("is exactly its own sequence", (prediction == thousand.targets).all(axis=0))
    show("is exactly the neighbour's, if that is as long", is_neighbours[is_as_long])

    print("5. The backward state first")
    reordered = reorder_decoder(weights, 2 * config.encoder_hidden_units)
    for text, some in (("exact", weights), ("exact, with the decoder's units reordered", reordered)):
        show(text, evaluate(with_weights(some, config, Parts(concatenate_states=backward_first)), held_out)[0])


def main():
    common.parser(__doc__).parse_args()
    config = Settings()
    batches, held_out = helpers.examples(config, helpers.generators(config.seed))
    counts = count_parameters(config)
    print(f"1. {sum(counts.values())} parameters: {'; '.join(f'{name} {count}' for name, count in counts.items())}")

    print("2. Reversed targets")
    trainer = Trainer(Model(config))
    for _ in train(trainer, map(reversed_targets, itertools.islice(batches, config.max_batches))):
        pass
    show("exact", evaluate(trainer.model, reversed_targets(held_out))[0])

    model, _, _ = common.fit(config, Trainer(Model(config)))
    show_changes(model, held_out)

    print("6. Trained on the truth")
    _, losses, exact = common.fit(config, Trainer(Model(config), Parts(make_loop_fn=make_teaching_loop_fn)))
    print(f"   the last loss {losses[-1]:.4f}")
    show("exact, reading its own predictions", exact)


if __name__ == "__main__":
    main()
