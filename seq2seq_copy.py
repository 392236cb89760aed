r"""Sequence-to-sequence copy: a static TensorFlow graph learns to repeat random integer sequences.

The encoder reads a sequence in both directions. The decoder starts from the encoder's final state and writes the
sequence out again, then EOS. At each step it reads the symbol that it found most likely at the step before: greedy
decoding, in training as well as afterwards.

    forward LSTM          o ---> o ---> o ----.
                          |      |      |      \
    encoder_inputs        5      7      8       +--- encoder_final_state
                          |      |      |      /             |
    backward LSTM    .--- o <--- o <--- o     /              |
                      `----------------------'               v
    decoder LSTM                                             o ---> o ---> o ---> o ---> o ---> o
      reads                                                 EOS     5      7      8     EOS    PAD
      predicts                                               5      7      8     EOS    PAD    PAD

The text follows the idea: placeholders, embedding, cell, encoder, decoder, loss, training, evaluation, the command.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import helpers
from helpers import EOS, PAD
from support.data import ahead, pairs
from support.graph import beam, cluster, compiled, feedback, memory, sessions, variants
from support.graph import tensorflow_v1 as tf
from support.run import checkpoints, export, folder
from support.terminal import pictures, predict, process, report, together
from support.terminal.command import read_command
from support.terminal.settings import EVALUATION_BATCH

# ---------------------------------------------------------------------------------------------------
# The graph. Tensors are time-major; comments give their shapes.


class Graph(NamedTuple):
    """The tensors that a session feeds and fetches, and the optimizer that holds Adam's state."""

    encoder_inputs: tf.Tensor  # int32 [time, batch]
    encoder_inputs_length: tf.Tensor  # int32 [batch]
    decoder_targets: tf.Tensor  # int32 [decoder_time, batch]; decoder_time is time + 3, or more with --data
    decoder_logits: tf.Tensor  # [decoder_time, batch, vocab_size]
    decoder_prediction: tf.Tensor  # int32 [decoder_time, batch]
    alignment: list  # with attention one tensor, its weights [decoder_time, batch, time]; else empty
    loss: tf.Tensor  # []
    gradient_norm: tf.Tensor  # [], before clipping
    learning_rate: tf.Tensor  # [], of the next step
    train_op: tf.Operation
    optimizer: tf.train.Optimizer


@process.shown("building the graph")
def build_graph(config, parts):
    """Builds the whole model into a fresh default graph.

    Args:
      config: a settings.Config.
      parts: the Parts of the model; Parts(tf.nn) is the plain one.

    Returns:
      A Graph.
    """
    tf.reset_default_graph()
    tf.set_random_seed(config.seed)

    encoder_inputs = tf.placeholder(tf.int32, [None, None], name="encoder_inputs")
    encoder_inputs_length = tf.placeholder(tf.int32, [None], name="encoder_inputs_length")
    decoder_targets = tf.placeholder(tf.int32, [None, None], name="decoder_targets")

    optimizer = tf.train.AdamOptimizer(functools.partial(scheduled_learning_rate, config), beta2=config.adam_beta2)
    return connect(encoder_inputs, encoder_inputs_length, decoder_targets, config, optimizer, parts)


def connect(encoder_inputs, encoder_inputs_length, decoder_targets, config, optimizer, parts):
    """Connects the model, the loss and Adam to the inputs of a step; returns a Graph."""
    inputs = (encoder_inputs, encoder_inputs_length, decoder_targets)
    decoder_logits, decoder_prediction, alignment, decoder_lengths = run_model(*inputs, config, parts)
    loss = masked_loss(decoder_logits, decoder_targets, decoder_lengths)
    loss, gradient_norm, learning_rate, train_op = adam(loss, optimizer, config, parts)
    outputs = (decoder_logits, decoder_prediction, alignment, loss, gradient_norm, learning_rate, train_op)
    return Graph(*inputs, *outputs, optimizer)


def run_model(encoder_inputs, encoder_inputs_length, decoder_targets, config, parts):
    """Connects embedding, encoder and decoder to the inputs of a step.

    Args:
      encoder_inputs, encoder_inputs_length, decoder_targets: the first three tensors of a Graph. The last may be None
        if no part reads it.
      config: a settings.Config.
      parts: a Parts.

    Returns:
      decoder_logits, decoder_prediction, alignment: as in a Graph.
      decoder_lengths: int32 [batch], how many steps each sequence is decoded.
    """
    embeddings, encoder_inputs_embedded = embed(encoder_inputs, config.vocab_size, config.input_embedding_size)
    encoder_outputs, encoder_final_state = parts.encode(
        encoder_inputs_embedded, encoder_inputs_length, config.encoder_hidden_units, parts
    )
    decoder_lengths = tf.add(encoder_inputs_length, config.extra_decoder_steps, name="decoder_lengths")  # [batch]
    with tf.variable_scope("decoder"):
        loop_fn = parts.make_loop_fn(
            embeddings,
            encoder_final_state,
            decoder_lengths,
            encoder_outputs=encoder_outputs,
            encoder_inputs_length=encoder_inputs_length,
            decoder_targets=decoder_targets,
        )
        decoder_logits, decoder_prediction, *alignment = parts.decode(loop_fn, parts)
    return decoder_logits, decoder_prediction, alignment, decoder_lengths


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

        i, j, f, o = [x, h] kernel + bias                     input gate, new input, forget gate, output gate
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(j)
        h' = sigmoid(o) * tanh(c')

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; the forget gate: Gers et al., "Learning to
    forget", 2000. forget_bias keeps the memory open at first: Jozefowicz et al., "An empirical exploration of recurrent
    network architectures", 2015.
    """

    forget_bias = 1.0

    def __init__(self, name, units, input_size):
        """Creates the weights here, in a variable scope of that name.

        Created inside tf.nn.raw_rnn, they would get a caching device. In the loop over training steps of compiled.py
        they would then keep their initial values.
        """
        with tf.variable_scope(f"{name}/lstm_cell"):
            self.kernel = tf.get_variable("kernel", [input_size + units, 4 * units])
            remember = tf.constant_initializer(np.repeat([0.0, 0.0, 3.0, 0.0], units))  # at first, by the forget gate
            self.bias = tf.get_variable("bias", [4 * units], initializer=remember)
        self.output_size = units
        self.state_size = LSTMStateTuple(c=units, h=units)

    def zero_state(self, batch_size, dtype):
        zeros = tf.zeros([batch_size, self.output_size], dtype)
        return LSTMStateTuple(c=zeros, h=zeros)

    def __call__(self, inputs, state):
        """Makes one step; inputs [batch, input_size]. Returns the output [batch, units] and the next LSTMStateTuple."""
        gates = tf.nn.bias_add(tf.matmul(tf.concat([inputs, state.h], axis=1), self.kernel), self.bias)
        i, j, f, o = tf.split(gates, 4, axis=1)  # [batch, units] each
        c = tf.sigmoid(f + self.forget_bias) * state.c + tf.sigmoid(i) * tf.tanh(j)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, LSTMStateTuple(c, h)


def encode(encoder_inputs_embedded, encoder_inputs_length, encoder_hidden_units, parts):
    """Reads the sequences from left to right and from right to left, each up to its true length.

    Source: Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997, section II. Returns encoder_outputs,
    which only attention reads, and encoder_final_state, which the decoder starts from.
    """
    with tf.variable_scope("encoder"):
        input_embedding_size = encoder_inputs_embedded.shape[2]
        (forward_outputs, backward_outputs), (forward_state, backward_state) = parts.loops.bidirectional_dynamic_rnn(
            parts.cell("forward", encoder_hidden_units, input_embedding_size),
            parts.cell("backward", encoder_hidden_units, input_embedding_size),
            encoder_inputs_embedded,
            sequence_length=encoder_inputs_length,
            dtype=tf.float32,
            time_major=True,
        )
        # [time, batch, 2 * encoder_hidden_units], zero past a sequence's length
        encoder_outputs = tf.concat([forward_outputs, backward_outputs], axis=2, name="encoder_outputs")
        return encoder_outputs, parts.concatenate_states(forward_state, backward_state)


def concatenate_states(forward_state, backward_state):
    """Joins the final states of both directions: all that the plain decoder learns about the symbols."""
    # [batch, 2 * encoder_hidden_units] each
    c = tf.concat([forward_state.c, backward_state.c], axis=1, name="encoder_final_state_c")
    h = tf.concat([forward_state.h, backward_state.h], axis=1, name="encoder_final_state_h")
    return LSTMStateTuple(c, h)


def make_loop_fn(embeddings, encoder_final_state, decoder_lengths, **unread):
    """Makes the function that stands between two steps of the decoder, by the contract of tf.nn.raw_rnn.

    raw_rnn runs the cell. loop_fn(time, cell_output, cell_state, loop_state) decides the rest: which sequences are
    finished, what the cell reads next, and what to emit. raw_rnn calls it once before the first step, with cell_output
    None, and once after each step. For a finished sequence raw_rnn replaces the emitted values by zeros, so the
    prediction there is PAD.

    Args:
      embeddings: float32 [vocab_size, input_embedding_size].
      encoder_final_state: what encode() returned; its width sets that of the decoder.
      decoder_lengths: int32 [batch], how many steps each sequence is decoded.
      unread: encoder_outputs, encoder_inputs_length and decoder_targets. The plain decoder does without them.

    Returns:
      loop_fn, which returns (elements_finished, next_input, next_cell_state, emit_output, next_loop_state):
        elements_finished: bool [batch].
        next_input: float32 [batch, input_embedding_size].
        next_cell_state: like encoder_final_state.
        emit_output: the logits float32 [batch, vocab_size] and the prediction int32 [batch] of the last step; before
          the first step, zeros that show their shapes without the batch.
        next_loop_state: None.
    """
    vocab_size, decoder_hidden_units = embeddings.shape[0], encoder_final_state.h.shape[1]
    uniform = tf.random_uniform_initializer(-2.5, 2.5)
    output_weights = tf.get_variable("output_weights", [decoder_hidden_units, vocab_size], initializer=uniform)
    output_bias = tf.get_variable("output_bias", [vocab_size], initializer=tf.zeros_initializer())
    batch_shape = tf.shape(decoder_lengths)
    eos_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(batch_shape, EOS), name="eos_step_embedded")
    pad_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(batch_shape, PAD), name="pad_step_embedded")

    def loop_fn_initial(time):
        emit_structure = (tf.zeros([vocab_size]), tf.zeros([], tf.int32))
        return time >= decoder_lengths, eos_step_embedded, encoder_final_state, emit_structure, None

    def loop_fn_transition(time, cell_output, cell_state):
        elements_finished = time >= decoder_lengths  # [batch]
        logits = tf.matmul(cell_output, output_weights) + output_bias  # [batch, vocab_size]
        prediction = tf.argmax(logits, axis=1, output_type=tf.int32)  # [batch]
        prediction_embedded = tf.nn.embedding_lookup(embeddings, prediction)  # [batch, input_embedding_size]
        next_input = tf.where(elements_finished, pad_step_embedded, prediction_embedded)
        return elements_finished, next_input, cell_state, (logits, prediction), None

    def loop_fn(time, cell_output, cell_state, loop_state):
        if cell_output is None:
            return loop_fn_initial(time)
        return loop_fn_transition(time, cell_output, cell_state)

    return loop_fn


def decode(loop_fn, parts):
    """Writes the sequences, one symbol a step (Sutskever et al., "Sequence to sequence learning", 2014, section 2)."""
    # loop_fn tells how large the cell must be: as wide as the state it starts from, for inputs like the first one.
    _, first_input, first_state, _, _ = loop_fn(tf.constant(0), None, None, None)
    cell = parts.cell("cell", first_state.h.shape[1], first_input.shape[1])
    (logits, prediction, *alignment), _, _ = parts.loops.raw_rnn(cell, loop_fn)
    return [
        logits.stack("decoder_logits"),  # [decoder_time, batch, vocab_size], zero past a sequence's steps
        prediction.stack("decoder_prediction"),  # [decoder_time, batch], PAD past a sequence's steps
        *(weights.stack("alignment") for weights in alignment),  # [decoder_time, batch, time]
    ]


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


def scheduled_learning_rate(config):
    """Returns the learning rate of the next step, float32 []: it rises in the first tenth of a run, then falls to 0."""
    global_step = tf.train.get_or_create_global_step()
    learning_rate, max_batches = tf.program_input(config.learning_rate), tf.program_input(config.max_batches)
    rise = tf.cast(global_step + 1, tf.float32) / tf.program_input(max(1.0, config.warm_up * config.max_batches))
    fall = tf.train.polynomial_decay(learning_rate, global_step, max_batches, end_learning_rate=0.0)
    return tf.minimum(rise, 1.0) * fall


def adam(loss, optimizer, config, parts):
    """Makes one step of Adam on clipped gradients.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1 in the form given just before
    section 2.1. Clipping by the global norm: Pascanu et al., "On the difficulty of training recurrent neural networks",
    2013, algorithm 1.

    Returns loss, gradient_norm, learning_rate and train_op, as in a Graph.
    """
    with tf.variable_scope("train"):
        global_step = tf.train.get_or_create_global_step()
        learning_rate = tf.identity(scheduled_learning_rate(config), name="learning_rate")
        gradients, variables = zip(*optimizer.compute_gradients(loss, tf.trainable_variables()))
        # The gradient of the embeddings is a list of rows, and a symbol may have several. The norm is right only after
        # they are added up to a matrix.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        gradients, loss = parts.sum_over_workers(gradients, loss)  # those of the whole batch, if machines share it
        clipped, gradient_norm = tf.clip_by_global_norm(gradients, config.clip_norm)
        with tf.control_dependencies([learning_rate]):  # to be read before the step is counted
            train_op = optimizer.apply_gradients(zip(clipped, variables), global_step, name="train_op")
        return loss, gradient_norm, learning_rate, train_op


class Parts(NamedTuple):
    """What the model is made of. Parts(tf.nn) is the plain model; a variant replaces some: parts._replace(cell=...)."""

    loops: Any  # has bidirectional_dynamic_rnn, dynamic_rnn and raw_rnn
    cell: Callable = LSTMCell
    encode: Callable = encode
    concatenate_states: Callable = concatenate_states
    make_loop_fn: Callable = make_loop_fn
    decode: Callable = decode
    sum_over_workers: Callable = cluster.alone


# ---------------------------------------------------------------------------------------------------
# Training and evaluation.


def next_feed(graph, batch):
    """Returns the feed_dict of a helpers.Batch."""
    return {
        graph.encoder_inputs: batch.inputs,
        graph.encoder_inputs_length: batch.lengths,
        graph.decoder_targets: batch.targets,
    }


def take_steps(session, graph, batches):
    """Makes a training step with each helpers.Batch; returns the losses, gradient norms and learning rates."""
    fetches = [graph.loss, graph.gradient_norm, graph.learning_rate, graph.train_op]
    *results, _ = zip(*(session.run(fetches, next_feed(graph, batch)) for batch in batches))
    return results


def predicted(session, graph, batch):
    """Returns what the model makes of a helpers.Batch, int32 [decoder_time, batch]."""
    return session.run(graph.decoder_prediction, next_feed(graph, batch))


def answered(session, graph, batch):
    """Returns the logits and the prediction for a helpers.Batch and, with attention, its weights, as in a Graph."""
    return session.run([graph.decoder_logits, graph.decoder_prediction, *graph.alignment], next_feed(graph, batch))


def train(make_steps, decode_batch, calls, run, stop_at_signal=process.stop_at_signal):
    """Trains until the last batch, --until or a signal, and prints samples on the way; returns the exit status.

    make_steps does what take_steps() does for a list of batches. calls yields the batches of each call, and the state
    of their generator after them. A call ends wherever something is printed or kept.
    """
    config, history = run.config, run.history
    few_held_out = helpers.columns(run.held_out, 0, EVALUATION_BATCH)
    bar = tqdm(total=config.max_batches, initial=len(history.rows), unit=" batches", disable=None, dynamic_ncols=True)
    with bar, stop_at_signal() as stops:
        for batches, generator_state in calls:
            if run.has_reached_share():  # now, or before the run was killed
                process.write(report.share_report(history.rows[-1], config), stops)
                break
            for batch, loss, gradient_norm, learning_rate in zip(batches, *make_steps(batches)):
                history.record(batch, loss, gradient_norm, learning_rate)
            bar.update(len(batches))

            batch_number = history.rows[-1].batch
            if batch_number % config.batches_in_epoch == 0:
                samples = report.batch_report(history.rows[-1], batches[-1], decode_batch(batches[-1]), config)
                process.write(samples, stops)
            if batch_number % config.keep_every == 0:
                exact, _ = evaluate(decode_batch, few_held_out, config.evaluation_batch)
                history.record_exact_match(exact.mean())
            if batch_number % config.keep_every == 0 or batch_number + 1 == config.max_batches or stops:
                run.keep(generator_state)
            if stops:
                process.write("training interrupted", stops)
                break
    return stops[0] if stops else 0


def evaluate(decode_batch, batch, size):
    """Decodes sequences and compares the predictions with the targets.

    Args:
      decode_batch: function from a helpers.Batch to its prediction, int32 [decoder_time, batch].
      batch: a helpers.Batch.
      size: int, how many of its sequences are decoded at once.

    Returns:
      exact: bool [batch], whether every step is right: all symbols, EOS and both PADs.
      correct_tokens: int [batch], how many of the symbols and EOS are right.
    """
    exact, correct_tokens = [], []
    for start in range(0, batch.lengths.size, size):
        part = helpers.columns(batch, start, start + size)
        correct = decode_batch(part) == part.targets  # [decoder_time, batch]
        exact.append(correct.all(axis=0))
        correct_tokens.append((correct & (part.targets != PAD)).sum(axis=0))
    return np.concatenate(exact), np.concatenate(correct_tokens)


# ---------------------------------------------------------------------------------------------------
# The command.


def run_training(command):
    """Trains a new run or a stopped one; returns the exit status."""
    config = command.config
    training_generator, held_out_generator = np.random.default_rng(config.seed).spawn(2)
    examples = functools.partial(pairs.examples, command.pairs) if command.pairs else helpers.examples
    batches, held_out = examples(config, training_generator, held_out_generator)
    graph = build_graph(config, variants.replace_parts(Parts(tf.nn), config))
    with sessions.open_session(config) as session:
        session.run(tf.global_variables_initializer())
        ask = functools.partial(answered, session, graph)
        run = checkpoints.open_run(command, session, held_out, training_generator, ask)
        done = len(run.history.rows)
        print(report.opening(command, run), end="")
        make_steps = prepare_steps(session, graph, config)
        decode_batch = functools.partial(predicted, session, graph)
        sizes = ahead.sizes_of_calls(done, config, compiled.most_steps(config))
        calls = ahead.drawn_ahead(batches, sizes, training_generator)
        start = time.perf_counter()
        status = train(make_steps, decode_batch, calls, run)
        batches_per_second = (len(run.history.rows) - done) / (time.perf_counter() - start) or None
        finish(decode_batch, run, batches_per_second)
    return status


@process.shown("compiling the training step")
def prepare_steps(session, graph, config):
    """Returns what makes the training steps: a program compiled by XLA, or take_steps() if there is none."""
    parts = variants.replace_parts(Parts(tf.nn), config, training=True)
    connect_step = functools.partial(connect, config=config, optimizer=graph.optimizer)
    if config.xla == "on" and (steps := compiled.compile_steps(session, connect_step, parts, config)) is not None:
        return steps
    return functools.partial(take_steps, session, feedback.training_graph(graph, connect_step, parts, config))


def finish(decode_batch, run, batches_per_second):
    """Saves the final figures and the pictures, then prints the figures."""
    with process.shown("evaluating"):
        exact, correct_tokens = evaluate(decode_batch, run.held_out, run.config.evaluation_batch)
    metrics = report.metrics(run, exact, correct_tokens, batches_per_second)
    folder.write_json(run.folder / "metrics.json", metrics | {"tensorflow": tf.__version__})
    with process.shown("drawing"):
        pictures.save_all(run, metrics)
    print(report.final_report(metrics), report.places(run), sep="\n\n")


def run_prediction(command):
    """Answers the user's own sequences; returns the exit status: 0, or 1 if a line held no sequence."""
    config, asking = command.config, command.asking
    parts = variants.replace_parts(Parts(tf.nn), config)
    graph = build_graph(config, parts)
    with tf.Session() as session:
        checkpoints.restore_newest(command.run, session, tf.train.Saver())
        ask = beam.asker(session, graph, run_model, parts, config, *asking.search)
        look = functools.partial(memory.dependence, functools.partial(answered, session, graph), config=config)
        return 1 if predict.answer_all(command.predict, ask, look, config, asking) else 0


def run_export(command):
    """Writes a trained model as a SavedModel; returns the exit status."""
    parts = variants.replace_parts(Parts(tf.nn), command.config)
    model = functools.partial(run_model, decoder_targets=None, config=command.config, parts=parts)
    export.write(command.run, command.export, model, command.config.vocabulary, process.hold_signals)
    print(f"exported {command.run} to {command.export}")
    return 0


def main():
    """Carries out the command line; returns the exit status."""
    command = read_command()
    process.import_tensorflow(command)
    if command.workers is not None:
        return together.run_training(command, sys.modules[__name__])
    if command.export is not None:
        return run_export(command)
    return run_prediction(command) if command.predict is not None else run_training(command)


if __name__ == "__main__":
    process.run(main)
