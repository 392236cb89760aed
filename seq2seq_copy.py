r"""Sequence-to-sequence copy: a static TensorFlow graph learns to repeat random integer sequences.

The encoder reads a sequence in both directions. The decoder starts from the encoder's final state and writes the
sequence out again, then EOS. It first reads EOS, then at each step the symbol that it found most likely at the step
before: greedy decoding, in training as well as afterwards.

    forward LSTM          o ---> o ---> o ----.
                          |      |      |      \
    encoder_inputs        5      7      8       +--- encoder_final_state
                          |      |      |      /             |
    backward LSTM    .--- o <--- o <--- o     /              |
                      `----------------------'               v
    decoder LSTM                                             o ---> o ---> o ---> o ---> o ---> o
      reads                                                 EOS     5      7      8     EOS    PAD
      predicts                                               5      7      8     EOS    PAD    PAD

In reading order: embedding, cell, encoder, decoder, loss, Adam, model, training, evaluation. The data is in helpers.py.
The notebook docs/walkthrough.ipynb runs the model part by part, and docs/accuracy.md has the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import helpers
from helpers import EOS, EXTRA_DECODER_STEPS, PAD
from support.tensorflow import tensorflow_v1 as tf  # tensorflow.compat.v1, imported at its first use

# Tensors are time-major: a sequence is a column. Comments give their shapes.


def embed(encoder_inputs, vocab_size, input_embedding_size):
    """Maps each symbol to a vector, initialised uniformly from [-0.2, 0.2] and trained with the rest."""
    with tf.variable_scope("embedding"):
        uniform = tf.random_uniform_initializer(-0.2, 0.2)
        embeddings = tf.get_variable("embeddings", [vocab_size, input_embedding_size], initializer=uniform)
        encoder_inputs_embedded = tf.nn.embedding_lookup(embeddings, encoder_inputs, name="encoder_inputs_embedded")
        return embeddings, encoder_inputs_embedded  # the latter [time, batch, input_embedding_size]


class LSTMStateTuple(NamedTuple):
    """The state of an LSTM cell. h is also its output."""

    c: tf.Tensor  # [batch, units]
    h: tf.Tensor  # [batch, units]


class LSTMCell:
    """A cell with long short-term memory, of the form that TensorFlow's loops run.

    From the input x and the state c, h before the step:

        i, j, f, o = [x, h] kernel + bias
        c' = sigmoid(f) * c + sigmoid(i) * tanh(j)
        h' = sigmoid(o) * tanh(c')

    The forget gate f decides what stays in the memory c: without it, old symbols would never make room for new ones.
    The input gate i decides how much of the new content j is added: not every input is worth storing. The output gate o
    decides what the rest of the model sees of c, as h: a symbol can be stored now and shown later.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; the forget gate: Gers et al., "Learning to
    forget", 2000; its large initial bias: Jozefowicz et al., "An empirical exploration of recurrent network
    architectures", 2015.
    """

    def __init__(self, name, units, input_size):
        """Creates the weights here. TensorFlow's loops would cache variables that are created inside them."""
        with tf.variable_scope(f"{name}/lstm_cell"):
            self.kernel = tf.get_variable("kernel", [input_size + units, 4 * units])
            open_gate = tf.constant_initializer(np.repeat([0.0, 0.0, 4.0, 0.0], units))  # f: sigmoid(4) keeps 98 %
            self.bias = tf.get_variable("bias", [4 * units], initializer=open_gate)
        self.output_size, self.state_size = units, LSTMStateTuple(c=units, h=units)

    def zero_state(self, batch_size, dtype):
        zeros = tf.zeros([batch_size, self.output_size], dtype)
        return LSTMStateTuple(c=zeros, h=zeros)

    def __call__(self, inputs, state):
        """Makes one step; inputs [batch, input_size]. Returns the output [batch, units] and the next LSTMStateTuple."""
        gates = tf.nn.bias_add(tf.matmul(tf.concat([inputs, state.h], axis=1), self.kernel), self.bias)
        i, j, f, o = tf.split(gates, 4, axis=1)  # [batch, units] each
        c = tf.sigmoid(f) * state.c + tf.sigmoid(i) * tf.tanh(j)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, LSTMStateTuple(c, h)


def encode(cells, encoder_inputs_embedded, encoder_inputs_length, nn):
    """Reads the sequences from left to right and from right to left, each up to its true length.

    Source: Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997, section II. Returns encoder_outputs,
    which only attention reads, and the final state of each direction.
    """
    forward_cell, backward_cell = cells
    (forward_outputs, backward_outputs), final_states = nn.bidirectional_dynamic_rnn(
        forward_cell, backward_cell, encoder_inputs_embedded, encoder_inputs_length, dtype=tf.float32, time_major=True
    )
    # [time, batch, 2 * encoder_hidden_units], zero past a sequence's length
    encoder_outputs = tf.concat([forward_outputs, backward_outputs], axis=2, name="encoder_outputs")
    return encoder_outputs, final_states


def concatenate_states(forward_state, backward_state):
    """Joins the final states of both directions: all that the plain decoder learns about the symbols."""
    c = tf.concat([forward_state.c, backward_state.c], axis=1, name="encoder_final_state_c")
    h = tf.concat([forward_state.h, backward_state.h], axis=1, name="encoder_final_state_h")
    return LSTMStateTuple(c, h)  # [batch, 2 * encoder_hidden_units] each


def make_loop_fn(embeddings, encoder_final_state, decoder_lengths, **unread):
    """Makes the loop_fn that tf.nn.raw_rnn calls before the decoder's first step and after every step, see decode().

    Args:
      embeddings: float32 [vocab_size, input_embedding_size].
      encoder_final_state: what concatenate_states() returned, as wide as the decoder's cell.
      decoder_lengths: int32 [batch], how many steps each sequence is decoded.
      unread: encoder_outputs, encoder_inputs_length and decoder_targets, which only variants of the model read.
    """
    vocab_size, decoder_hidden_units = embeddings.shape[0], encoder_final_state.h.shape[1]
    uniform = tf.random_uniform_initializer(-2.5, 2.5)
    output_weights = tf.get_variable("output_weights", [decoder_hidden_units, vocab_size], initializer=uniform)
    output_bias = tf.get_variable("output_bias", [vocab_size], initializer=tf.zeros_initializer())
    batch_shape = tf.shape(decoder_lengths)
    eos_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(batch_shape, EOS), name="eos_step_embedded")
    pad_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(batch_shape, PAD), name="pad_step_embedded")

    def loop_fn_initial(time):
        emit_structure = {"decoder_logits": tf.zeros([vocab_size]), "decoder_prediction": tf.zeros([], tf.int32)}
        return time >= decoder_lengths, eos_step_embedded, encoder_final_state, emit_structure, None

    def loop_fn_transition(time, cell_output, cell_state):
        elements_finished = time >= decoder_lengths  # [batch]
        logits = tf.matmul(cell_output, output_weights) + output_bias  # [batch, vocab_size]
        prediction = tf.argmax(logits, axis=1, output_type=tf.int32)  # [batch]
        prediction_embedded = tf.nn.embedding_lookup(embeddings, prediction)  # [batch, input_embedding_size]
        next_input = tf.where(elements_finished, pad_step_embedded, prediction_embedded)
        emit_output = {"decoder_logits": logits, "decoder_prediction": prediction}
        return elements_finished, next_input, cell_state, emit_output, None

    def loop_fn(time, cell_output, cell_state, loop_state):
        if cell_output is None:
            return loop_fn_initial(time)
        return loop_fn_transition(time, cell_output, cell_state)

    return loop_fn


def decode(decoder_cell, loop_fn, nn):
    """Writes the sequences, one symbol per step (Sutskever et al., "Sequence to sequence learning", 2014, section 2).

    raw_rnn runs the cell. Between two steps loop_fn picks the next input. It returns elements_finished, next_input,
    next_cell_state, emit_output and next_loop_state. Before the first step there is no cell_output; zeros then give
    shape and type of what a step emits for a sequence. For a finished sequence raw_rnn emits zeros, and 0 is PAD.

    Returns a dict: decoder_logits float32 [decoder_time, batch, vocab_size], decoder_prediction int32 [decoder_time,
    batch], and whatever else a variant emits.
    """
    emitted, _, _ = nn.raw_rnn(decoder_cell, loop_fn)
    return {name: array.stack(name) for name, array in emitted.items()}


def masked_loss(decoder_logits, decoder_targets, decoder_lengths):
    """Averages the cross-entropy, in nats, over the steps that the decoder really makes for each sequence.

    Without the mask, every step past the end of a sequence would add a constant: the logits are zero there, and the
    cross-entropy is ln(vocab_size) whatever the model has learned.
    """
    with tf.variable_scope("loss"):
        stepwise_cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=decoder_targets, logits=decoder_logits
        )  # [decoder_time, batch]
        mask = tf.transpose(tf.sequence_mask(decoder_lengths, tf.shape(decoder_targets)[0], tf.float32))
        return tf.divide(tf.reduce_sum(stepwise_cross_entropy * mask), tf.reduce_sum(mask), name="loss")


def scheduled_learning_rate(step, config):
    """Returns the learning rate of a training step. It is a plain number, which is fed; the first step is 0."""
    rise = (step + 1) / max(1, config.warm_up * config.max_batches)  # to 1 during the first tenth of the run
    fall = 1 - step / config.max_batches  # from 1 at the start, linearly, to almost 0 at the last step
    return config.learning_rate * min(1, rise) * fall


def compute_gradients(loss):
    """Returns the gradient of the loss with respect to each of tf.trainable_variables(), as a matrix or vector."""
    with tf.name_scope("gradients"):
        # That of the embeddings is a list of rows, in which a symbol may recur. Converting it adds its rows up.
        return [tf.convert_to_tensor(gradient) for gradient in tf.gradients(loss, tf.trainable_variables())]


def apply_gradients(gradients, learning_rate, config):
    """Makes one step of Adam on clipped gradients; returns train_op and gradient_norm, the latter before clipping.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1 in the form given just before
    section 2.1. Clipping by the global norm: Pascanu et al., "On the difficulty of training recurrent neural networks",
    2013, algorithm 1.
    """
    with tf.variable_scope("train"):
        optimizer = tf.train.AdamOptimizer(learning_rate, beta2=config.adam_beta2)
        clipped, gradient_norm = tf.clip_by_global_norm(gradients, config.clip_norm)
        clipped = zip(clipped, tf.trainable_variables())
        train_op = optimizer.apply_gradients(clipped, tf.train.get_global_step(), name="train_op")
        return train_op, gradient_norm


class Parts(NamedTuple):
    """What a variant of the model replaces, as in Parts(cell=GRUCell)."""

    cell: Callable = LSTMCell
    encode: Callable = encode
    concatenate_states: Callable = concatenate_states
    make_loop_fn: Callable = make_loop_fn


PLAIN = Parts()


def build_model(encoder_inputs, encoder_inputs_length, decoder_targets, decoder_targets_length, config, parts, nn):
    """Connects embedding, encoder, decoder and loss: the whole model.

    Args:
      encoder_inputs: int32 [time, batch].
      encoder_inputs_length: int32 [batch].
      decoder_targets: int32 [decoder_time, batch]; None if no loss is needed.
      decoder_targets_length: int32 [batch], symbols only; the decoder adds EOS, PAD, PAD.
      config: a settings.Config.
      parts: a Parts.
      nn: tf.nn, or what has the same loops.

    Returns:
      A dict of tensors: what decode() returned, decoder_lengths int32 [batch] and loss float32 [].
    """
    units, input_size = config.encoder_hidden_units, config.input_embedding_size
    embeddings, encoder_inputs_embedded = embed(encoder_inputs, config.vocab_size, input_size)
    with tf.variable_scope("encoder"):
        cells = [parts.cell(direction, units, input_size) for direction in config.directions]
        encoder_outputs, final_states = parts.encode(cells, encoder_inputs_embedded, encoder_inputs_length, nn)
        encoder_final_state = parts.concatenate_states(*final_states)
    decoder_lengths = tf.add(decoder_targets_length, EXTRA_DECODER_STEPS, name="decoder_lengths")  # [batch]
    with tf.variable_scope("decoder"):
        loop_fn = parts.make_loop_fn(
            embeddings,
            encoder_final_state,
            decoder_lengths,
            encoder_outputs=encoder_outputs,
            encoder_inputs_length=encoder_inputs_length,
            decoder_targets=decoder_targets,
        )
        first_input = loop_fn(tf.constant(0), None, None, None)[1]  # for its width, which attention increases
        decoder_cell = parts.cell("cell", encoder_final_state.h.shape[1], first_input.shape[1])
        results = decode(decoder_cell, loop_fn, nn) | {"decoder_lengths": decoder_lengths}
    if decoder_targets is not None:
        results["loss"] = masked_loss(results["decoder_logits"], decoder_targets, decoder_lengths)
    return results


class Model:
    """The static graph of a settings.Config, its tensors by name, and the session that runs it, with initial weights.

    parts are those of the model that predicts. training_parts are those of the model that is trained, on the same
    weights; without them it only predicts.
    """

    def __init__(self, config, parts=PLAIN, training_parts=None):
        tf.reset_default_graph()
        tf.set_random_seed(config.seed)
        self.config, self.parts, self.training_parts = config, parts, training_parts
        self.encoder_inputs = tf.placeholder(tf.int32, [None, None], name="encoder_inputs")  # [time, batch]
        self.encoder_inputs_length = tf.placeholder(tf.int32, [None], name="encoder_inputs_length")  # [batch]
        self.decoder_targets = tf.placeholder(tf.int32, [None, None], name="decoder_targets")  # [decoder_time, batch]
        self.decoder_targets_length = tf.placeholder(tf.int32, [None], name="decoder_targets_length")  # [batch]
        encoder = (self.encoder_inputs, self.encoder_inputs_length)
        self.placeholders = (*encoder, self.decoder_targets, self.decoder_targets_length)  # in the order of a Batch

        results = self.connect(parts)
        self.decoder_logits = results["decoder_logits"]  # [decoder_time, batch, vocab_size]
        self.decoder_prediction = results["decoder_prediction"]  # [decoder_time, batch]
        self.alignment = results.get("alignment")  # with attention, its weights [decoder_time, batch, time]
        self.loss = results["loss"]  # []
        self.learning_rate = tf.placeholder(tf.float32, [], name="learning_rate")
        if training_parts is not None:
            tf.train.create_global_step()
            self.add_train_op()
        self.session = self.open_session()
        self.session.run(tf.global_variables_initializer())

    def connect(self, parts):
        return build_model(*self.placeholders, self.config, parts, tf.nn)

    def add_train_op(self):
        """Adds gradients and Adam. If the training parts differ, the loss becomes theirs."""
        if self.training_parts is not self.parts:
            with tf.variable_scope(tf.get_variable_scope(), reuse=True):
                self.loss = self.connect(self.training_parts)["loss"]
        gradients = compute_gradients(self.loss)
        self.train_op, self.gradient_norm = apply_gradients(gradients, self.learning_rate, self.config)

    def open_session(self):
        return tf.Session()

    def feed(self, batch):
        """Returns the feed_dict of a helpers.Batch."""
        return dict(zip(self.placeholders, batch))

    def predict(self, batch):
        """Returns what the model makes of a helpers.Batch, int32 [decoder_time, batch]."""
        return self.session.run(self.decoder_prediction, self.feed(batch))

    def take_steps(self, batches, learning_rates):
        """Makes a training step with each helpers.Batch; returns the losses and gradient norms, float32 each."""
        losses, gradient_norms = [], []
        for batch, rate in zip(batches, learning_rates):
            feed = self.feed(batch) | {self.learning_rate: rate}
            loss, gradient_norm, _ = self.session.run([self.loss, self.gradient_norm, self.train_op], feed)
            losses.append(loss)
            gradient_norms.append(gradient_norm)
        return losses, gradient_norms


def train(model, calls, step=0):
    """Trains a Model, and hands over control after each call: to print, to save, to stop.

    calls yields lists of helpers.Batch, because a compiled step takes a list at once. step is the number of training
    steps made before. Yields each list with the losses, gradient norms and learning rates of its batches.
    """
    for batches in calls:
        learning_rates = [scheduled_learning_rate(step + index, model.config) for index in range(len(batches))]
        losses, gradient_norms = model.take_steps(batches, learning_rates)
        step += len(batches)
        yield batches, losses, gradient_norms, learning_rates


def evaluate(model, batch):
    """Decodes the sequences of a helpers.Batch and compares the predictions with the targets.

    Returns:
      exact: bool [batch], whether every step is right: all symbols, EOS and both PADs.
      correct_tokens: int [batch], how many of the symbols and EOS are right.
    """
    exact, correct_tokens = [], []
    for start in range(0, batch.lengths.size, model.config.evaluation_batch):
        part = helpers.take(batch, start, start + model.config.evaluation_batch)
        correct = model.predict(part) == part.targets  # [decoder_time, batch]
        exact.append(correct.all(axis=0))
        correct_tokens.append((correct & (part.targets != PAD)).sum(axis=0))
    return np.concatenate(exact), np.concatenate(correct_tokens)


if __name__ == "__main__":
    from support.terminal.main import run

    run()
