r"""Sequence-to-sequence copy: a model, built as a static TensorFlow graph, learns to repeat random integer sequences.

The encoder reads a sequence in both directions. The decoder starts from the encoder's final state and writes the
sequence out again, then EOS. Its first input is EOS, which here also means start. Then, at each step, it reads the
symbol that it found most likely at the step before: greedy decoding, in training as well as afterwards.

    forward LSTM          o ---> o ---> o ----.
                          |      |      |      \
    encoder_inputs        5      7      8       +--- encoder_final_state
                          |      |      |      /             |
    backward LSTM    .--- o <--- o <--- o     /              |
                      `----------------------'               v
    decoder LSTM                                             o ---> o ---> o ---> o ---> o ---> o
      reads                                                 EOS     5      7      8     EOS    PAD
      predicts                                               5      7      8     EOS    PAD    PAD

Below, in this order: embedding, cell, encoder, decoder, loss, Adam, model, training, evaluation. helpers.py makes the
data. The notebook docs/walkthrough.ipynb runs the model part by part, and docs/accuracy.md says how accurate it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import helpers
from helpers import EOS, EXTRA_DECODER_STEPS, PAD
from support.tensorflow import tensorflow_v1 as tf  # tensorflow.compat.v1; loaded at its first use, as it takes seconds


@dataclass(frozen=True)
class Config:
    """The numbers of the recipe. support/settings.py adds what the command needs besides: files, devices, reports."""

    task: str = "copy"  # helpers.py has other tasks
    vocab_size: int = 10  # symbols, among them PAD = 0 and EOS = 1
    length_from: int = 3  # symbols of the shortest sequences
    length_to: int = 8  # symbols of the longest sequences
    input_embedding_size: int = 20  # twice the vocabulary, as in the talk: room for each symbol to differ
    encoder_hidden_units: int = 20  # in each direction; the final states, side by side, fit a decoder of 40
    batch_size: int = 100  # sequences
    max_batches: int = 3001  # one more than 3,000, so that the last report comes after the last batch
    learning_rate: float = 0.03  # the peak; 30 times the talk's, which is what the next two lines make possible
    warm_up: float = 0.1  # share of the batches in which the learning rate rises, while Adam has seen few gradients
    adam_beta2: float = 0.95  # a shorter memory than the usual 0.999, because a run has only 3,001 batches
    clip_norm: float = 1.0  # a longer gradient is cut to this length
    held_out_sequences: int = 10_000  # to count exact copies in: so 0.01 % is one sequence
    batches_in_epoch: int = 1000  # between two reports; the talk's name, though random data has no epochs
    seed: int = 0  # decides the initial weights and all random data


# The functions up to build_model() run once. They only build the graph; nothing is computed until session.run().
# Tensors are time-major, [time, batch]: a sequence is a column. Comments give shapes. By default there are 10 symbols,
# embeddings of 20 numbers, and 20 units in each direction of the encoder, so 40 in the decoder (support/settings.py).


def embed(encoder_inputs, vocab_size, input_embedding_size):
    """Creates a vector for each symbol, initialised uniformly from [-0.2, 0.2], and looks up those of the inputs."""
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
    """A long short-term memory cell, with the methods that TensorFlow's loops expect of a cell.

    A step computes from the input x and the state c, h:

        i, j, f, o = split([x, h] @ kernel + bias)
        c' = sigmoid(f) * c + sigmoid(i) * tanh(j)
        h' = sigmoid(o) * tanh(c')

    The forget gate f decides what stays in the memory c; without it, c could only accumulate. The input gate i decides
    how much of the new content j is added, so that it need not disturb what is stored. The output gate o decides what
    the rest of the model sees of c, as h, so that content can be kept without being shown.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; the forget gate: Gers et al., "Learning to
    forget", 2000; a positive initial bias for it: Jozefowicz et al., "An empirical exploration of recurrent network
    architectures", 2015. That it is 4 was learned (docs/accuracy.md).
    """

    def __init__(self, name, units, input_size):
        """Creates the weights here. A loop caches those created in it, and the compiled step would not change them."""
        with tf.variable_scope(f"{name}/lstm_cell"):
            self.kernel = tf.get_variable("kernel", [input_size + units, 4 * units])
            open_gate = tf.constant_initializer(np.repeat([0.0, 0.0, 4.0, 0.0], units))  # sigmoid(4) = 98 %
            self.bias = tf.get_variable("bias", [4 * units], initializer=open_gate)
        self.output_size, self.state_size = units, LSTMStateTuple(c=units, h=units)

    def zero_state(self, batch_size, dtype):
        zeros = tf.zeros([batch_size, self.output_size], dtype)
        return LSTMStateTuple(c=zeros, h=zeros)

    def __call__(self, inputs, state):
        """Makes a step. inputs: [batch, input_size]. Returns the output [batch, units] and the next LSTMStateTuple."""
        gates = tf.nn.bias_add(tf.matmul(tf.concat([inputs, state.h], axis=1), self.kernel), self.bias)
        i, j, f, o = tf.split(gates, 4, axis=1)  # [batch, units] each
        c = tf.sigmoid(f) * state.c + tf.sigmoid(i) * tf.tanh(j)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, LSTMStateTuple(c, h)


def encode(cells, encoder_inputs_embedded, encoder_inputs_length, nn):
    """Reads the sequences from left to right and from right to left, each up to its true length.

    Returns encoder_outputs, which only attention reads, and the final state of each direction. nn is tf.nn; the
    compiled training step passes its own loops. Source: Schuster and Paliwal, "Bidirectional recurrent neural
    networks", 1997, section II.
    """
    forward_cell, backward_cell = cells
    (forward_outputs, backward_outputs), final_states = nn.bidirectional_dynamic_rnn(
        forward_cell, backward_cell, encoder_inputs_embedded, encoder_inputs_length, dtype=tf.float32, time_major=True
    )
    # [time, batch, 2 * encoder_hidden_units], zero past a sequence's length
    encoder_outputs = tf.concat([forward_outputs, backward_outputs], axis=2, name="encoder_outputs")
    return encoder_outputs, final_states


def concatenate_states(forward_state, backward_state):
    """Joins the final states of both directions. The plain decoder gets no other information about the symbols."""
    c = tf.concat([forward_state.c, backward_state.c], axis=1, name="encoder_final_state_c")
    h = tf.concat([forward_state.h, backward_state.h], axis=1, name="encoder_final_state_h")
    return LSTMStateTuple(c, h)  # [batch, 2 * encoder_hidden_units] each


def make_loop_fn(embeddings, encoder_final_state, decoder_lengths, **unused):
    """Makes the loop_fn that tf.nn.raw_rnn calls before the decoder's first step and after each step (see decode()).

    Args:
      embeddings: float32 [vocab_size, input_embedding_size].
      encoder_final_state: from concatenate_states(), as wide as the decoder's cell.
      decoder_lengths: int32 [batch], the number of steps for each sequence. Its own EOS does not end it.
      unused: encoder_outputs, encoder_inputs_length and decoder_targets, which only variants of the model read.
    """
    vocab_size, decoder_hidden_units = embeddings.shape[0], encoder_final_state.h.shape[1]
    uniform = tf.random_uniform_initializer(-2.5, 2.5)
    output_weights = tf.get_variable("output_weights", [decoder_hidden_units, vocab_size], initializer=uniform)
    output_bias = tf.get_variable("output_bias", [vocab_size], initializer=tf.zeros_initializer())
    batch_shape = tf.shape(decoder_lengths)
    eos_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(batch_shape, EOS), name="eos_step_embedded")
    pad_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(batch_shape, PAD), name="pad_step_embedded")

    def loop_fn_initial(time):
        # Nothing to emit yet; zeros tell raw_rnn the shape and type of what a step emits for one sequence.
        emit_structure = {"decoder_logits": tf.zeros([vocab_size]), "decoder_prediction": tf.zeros([], tf.int32)}
        return time >= decoder_lengths, eos_step_embedded, encoder_final_state, emit_structure, None

    def loop_fn_transition(time, cell_output, cell_state):
        elements_finished = time >= decoder_lengths  # [batch]
        logits = tf.matmul(cell_output, output_weights) + output_bias  # [batch, vocab_size]
        prediction = tf.argmax(logits, axis=1, output_type=tf.int32)  # [batch]; no gradient flows through it
        prediction_embedded = tf.nn.embedding_lookup(embeddings, prediction)  # [batch, input_embedding_size]
        next_input = tf.where(elements_finished, pad_step_embedded, prediction_embedded)
        emit_output = {"decoder_logits": logits, "decoder_prediction": prediction}
        return elements_finished, next_input, cell_state, emit_output, None

    def loop_fn(time, cell_output, cell_state, loop_state):
        if cell_output is None:  # raw_rnn's first call
            return loop_fn_initial(time)
        return loop_fn_transition(time, cell_output, cell_state)

    return loop_fn


def decode(decoder_cell, loop_fn, nn):
    """Writes the sequences, one symbol per step.

    raw_rnn runs the cell, and calls loop_fn between steps to choose the next input. loop_fn returns elements_finished,
    next_input, next_cell_state, emit_output and next_loop_state (None if there is none). For a finished sequence
    raw_rnn emits zeros: logits of 0, and the prediction 0, which is PAD.

    Returns a dict: decoder_logits float32 [decoder_time, batch, vocab_size], decoder_prediction int32 [decoder_time,
    batch], and any tensor that a variant adds. Source: Sutskever et al., "Sequence to sequence learning with neural
    networks", 2014, section 2.
    """
    emitted, _, _ = nn.raw_rnn(decoder_cell, loop_fn)
    return {name: array.stack(name) for name, array in emitted.items()}  # from TensorArrays to tensors


def masked_loss(decoder_logits, decoder_targets, decoder_lengths):
    """Averages the cross-entropy, in nats, over the decoder steps of each sequence: its symbols, EOS, PAD, PAD.

    Past these, the logits are zero and the cross-entropy is ln(vocab_size), whatever the model has learned. Without the
    mask, such steps would raise the loss by a constant.
    """
    with tf.variable_scope("loss"):
        stepwise_cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=decoder_targets, logits=decoder_logits
        )  # [decoder_time, batch]
        mask = tf.transpose(tf.sequence_mask(decoder_lengths, tf.shape(decoder_targets)[0], tf.float32))
        return tf.divide(tf.reduce_sum(stepwise_cross_entropy * mask), tf.reduce_sum(mask), name="loss")


def scheduled_learning_rate(step, config):
    """Returns the learning rate of a training step, a Python float to be fed. Steps count from 0."""
    rise = (step + 1) / max(1, config.warm_up * config.max_batches)  # reaches 1 after the warm-up, a tenth of the run
    fall = 1 - step / config.max_batches  # falls linearly from 1 to almost 0
    return config.learning_rate * min(1, rise) * fall


def compute_gradients(loss):
    """Returns the gradient of the loss with respect to each of tf.trainable_variables(), as dense tensors."""
    with tf.name_scope("gradients"):
        # The gradient of the embeddings is sparse, a row for each look-up. Converting it sums the rows of a symbol.
        return [tf.convert_to_tensor(gradient) for gradient in tf.gradients(loss, tf.trainable_variables())]


def apply_gradients(gradients, learning_rate, config):
    """Returns train_op, which makes a step of Adam on clipped gradients, and gradient_norm, the norm before clipping.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1, reordered as just before
    section 2.1. Clipping by the global norm: Pascanu et al., "On the difficulty of training recurrent neural networks",
    2013, algorithm 1.
    """
    with tf.variable_scope("train"):
        optimizer = tf.train.AdamOptimizer(learning_rate, beta2=config.adam_beta2)
        clipped, gradient_norm = tf.clip_by_global_norm(gradients, config.clip_norm)
        gradients_and_variables = zip(clipped, tf.trainable_variables())
        train_op = optimizer.apply_gradients(gradients_and_variables, tf.train.get_global_step(), name="train_op")
        return train_op, gradient_norm


class Parts(NamedTuple):
    """The parts of the model that a variant replaces, for example Parts(cell=GRUCell); see support/model/."""

    cell: Callable = LSTMCell
    encode: Callable = encode
    concatenate_states: Callable = concatenate_states
    make_loop_fn: Callable = make_loop_fn


PLAIN = Parts()


def build_model(encoder_inputs, encoder_inputs_length, decoder_targets, decoder_targets_length, config, parts, nn):
    """Builds the whole model: embedding, encoder, decoder and loss.

    Args:
      encoder_inputs: int32 [time, batch].
      encoder_inputs_length: int32 [batch].
      decoder_targets: int32 [decoder_time, batch]; None if no loss is needed.
      decoder_targets_length: int32 [batch], without EOS, PAD, PAD.
      config: a settings.Config.
      parts: a Parts.
      nn: tf.nn, or an object with the same loops.

    Returns:
      A dict: the tensors from decode(), decoder_lengths int32 [batch] and loss float32 [].
    """
    units, input_size = config.encoder_hidden_units, config.input_embedding_size
    embeddings, encoder_inputs_embedded = embed(encoder_inputs, config.vocab_size, input_size)
    with tf.variable_scope("encoder"):
        cells = [parts.cell(direction, units, input_size) for direction in config.directions]
        encoder_outputs, final_states = parts.encode(cells, encoder_inputs_embedded, encoder_inputs_length, nn)
        encoder_final_state = parts.concatenate_states(*final_states)
    decoder_lengths = tf.add(decoder_targets_length, EXTRA_DECODER_STEPS, name="decoder_lengths")  # + 3, [batch]
    with tf.variable_scope("decoder"):
        loop_fn = parts.make_loop_fn(
            embeddings,
            encoder_final_state,
            decoder_lengths,
            encoder_outputs=encoder_outputs,
            encoder_inputs_length=encoder_inputs_length,
            decoder_targets=decoder_targets,
        )
        first_input = loop_fn(tf.constant(0), None, None, None)[1]  # only for its width, which attention increases
        decoder_cell = parts.cell("cell", encoder_final_state.h.shape[1], first_input.shape[1])
        results = decode(decoder_cell, loop_fn, nn) | {"decoder_lengths": decoder_lengths}
    if decoder_targets is not None:
        results["loss"] = masked_loss(results["decoder_logits"], decoder_targets, decoder_lengths)
    return results


class Model:
    """The graph of a settings.Config, its tensors as attributes, and a session that holds the weights.

    parts make the model that predicts, training_parts the one that is trained, with the same weights. They differ with
    teacher forcing, for example. Without training_parts the model cannot be trained. By default the command uses a
    subclass whose training step XLA compiles (support/tensorflow/compiled.py).
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
        self.placeholders = (*encoder, self.decoder_targets, self.decoder_targets_length)  # like a helpers.Batch

        results = self.connect(parts)
        self.decoder_logits = results["decoder_logits"]  # [decoder_time, batch, vocab_size]
        self.decoder_prediction = results["decoder_prediction"]  # [decoder_time, batch]
        self.alignment = results.get("alignment")  # attention's weights [decoder_time, batch, time], or None
        self.loss = results["loss"]  # []
        self.learning_rate = tf.placeholder(tf.float32, [], name="learning_rate")
        if training_parts is not None:
            tf.train.create_global_step()
            self.add_train_op()
        self.session = self.open_session()
        self.session.run(tf.global_variables_initializer())

    def connect(self, parts):
        """Builds the model of some parts on the placeholders."""
        return build_model(*self.placeholders, self.config, parts, tf.nn)

    def add_train_op(self):
        """Adds gradients and Adam. If training_parts differ from parts, self.loss becomes the loss of their model."""
        if self.training_parts is not self.parts:
            with tf.variable_scope(tf.get_variable_scope(), reuse=True):
                self.loss = self.connect(self.training_parts)["loss"]
        gradients = compute_gradients(self.loss)
        self.train_op, self.gradient_norm = apply_gradients(gradients, self.learning_rate, self.config)

    def open_session(self):
        """Returns the session; the compiled model opens one with options."""
        return tf.Session()

    def feed(self, batch):
        """Returns the feed_dict of a helpers.Batch."""
        return dict(zip(self.placeholders, batch))

    def predict(self, batch):
        """Returns the predicted symbols for a helpers.Batch, int32 [decoder_time, batch]. It does not read targets."""
        return self.session.run(self.decoder_prediction, self.feed(batch))

    def take_steps(self, batches, learning_rates):
        """Makes a training step with each helpers.Batch; returns the losses and the gradient norms, float32 each."""
        losses, gradient_norms = [], []
        for batch, rate in zip(batches, learning_rates):
            feed = self.feed(batch) | {self.learning_rate: rate}
            loss, gradient_norm, _ = self.session.run([self.loss, self.gradient_norm, self.train_op], feed)
            losses.append(loss)
            gradient_norms.append(gradient_norm)
        return losses, gradient_norms


def train(model, lists_of_batches, step=0):
    """Trains a Model. A generator: after each list of batches its caller can print, save or stop.

    The lists of helpers.Batch have one element or, for the compiled model, as many as one call trains on. step is the
    number of training steps already made. Yields each list with its losses, gradient norms and learning rates.
    """
    for batches in lists_of_batches:
        learning_rates = [scheduled_learning_rate(step + index, model.config) for index in range(len(batches))]
        losses, gradient_norms = model.take_steps(batches, learning_rates)
        step += len(batches)
        yield batches, losses, gradient_norms, learning_rates


def evaluate(model, batch):
    """Decodes the sequences of a helpers.Batch and compares the predictions with the targets.

    Returns:
      exact: bool [batch], whether every step is right: all symbols, EOS and both PADs.
      correct_tokens: int [batch], the number of correct symbols, counting EOS but not PAD.
    """
    exact, correct_tokens = [], []
    for start in range(0, batch.lengths.size, model.config.evaluation_batch):
        part = helpers.take(batch, start, start + model.config.evaluation_batch)
        correct = model.predict(part) == part.targets  # [decoder_time, batch]
        exact.append(correct.all(axis=0))
        correct_tokens.append((correct & (part.targets != PAD)).sum(axis=0))
    return np.concatenate(exact), np.concatenate(correct_tokens)


if __name__ == "__main__":
    import sys

    sys.modules["seq2seq_copy"] = sys.modules["__main__"]  # so that support/ imports this module, not a second copy
    from support.terminal.main import run  # reads the flags, draws the batches, iterates over train()

    run()
