r"""Sequence-to-sequence copy: a static TensorFlow graph learns to repeat random integer sequences.

The encoder reads a sequence in both directions; the decoder gets its final state, and the length, which
tells it when to stop. From these it writes the sequence out again, then EOS. Each step of the decoder reads
the symbol that its step before found most likely: greedy decoding, in training as well as afterwards.

    forward LSTM          o ---> o ---> o ----.
                          |      |      |      \
    encoder_inputs        5      7      8       +--- encoder_final_state
                          |      |      |      /             |
    backward LSTM    .--- o <--- o <--- o     /              |
                      `----------------------'               v
    decoder LSTM                                             o ---> o ---> o ---> o ---> o ---> o
      reads                                                 EOS     5      7      8     EOS    PAD
      predicts                                               5      7      8     EOS    PAD    PAD

The text follows the idea: placeholders, embedding, encoder, decoder, loss, training, evaluation, command.
"""

import dataclasses
import functools
import signal
import time
from typing import NamedTuple

import numpy as np

import helpers
import pairs
import predict
import report
import runs
from config import EVALUATION_BATCH, read_command
from helpers import EOS, PAD

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # outside of training, Ctrl-C just ends the process
    COMMAND = read_command()  # before the imports that take seconds: --help and a typo are answered at once

from tqdm import tqdm  # noqa: E402

import ahead  # noqa: E402
import checkpoints  # noqa: E402
import compiled  # noqa: E402
import pictures  # noqa: E402
import process  # noqa: E402
import variants  # noqa: E402
from tensorflow_v1 import tf  # noqa: E402

ADAM_BETA2 = 0.95  # a shorter memory than the usual 0.999, for a run of only 3,001 batches
CLIP_NORM = 1.0
HELD_OUT_SEQUENCES = 10_000
CELLS = {"lstm": tf.nn.rnn_cell.LSTMCell, "gru": tf.nn.rnn_cell.GRUCell}
ALIGNED = 4  # sequences in the picture of attention
KEEP_EVERY = 100  # batches from one checkpoint, and one point of the exact-match curve, to the next


# ---------------------------------------------------------------------------------------------------
# The graph. Tensors are time-major; their shapes stand behind them.


class Graph(NamedTuple):
    """The tensors that a session feeds and fetches, and the optimizer that holds Adam's state."""

    encoder_inputs: tf.Tensor  # int32 [time, batch]
    encoder_inputs_length: tf.Tensor  # int32 [batch]
    decoder_targets: tf.Tensor  # int32 [decoder_time, batch]; decoder_time is time + 3, or more with own data
    decoder_logits: tf.Tensor  # [decoder_time, batch, vocab_size]
    decoder_prediction: tf.Tensor  # int32 [decoder_time, batch]
    alignment: list  # with attention one tensor, its weights [decoder_time, batch, time]; else none
    loss: tf.Tensor  # []
    gradient_norm: tf.Tensor  # [], before clipping
    learning_rate: tf.Tensor  # [], of the next step
    train_op: tf.Operation
    optimizer: tf.train.Optimizer


def build_graph(config):
    """Builds the whole model into a fresh default graph.

    Args:
      config: a Config.

    Returns:
      A Graph, whose decoder reads its own predictions.
    """
    tf.reset_default_graph()
    tf.set_random_seed(config.seed)

    encoder_inputs = tf.placeholder(tf.int32, [None, None], name="encoder_inputs")
    encoder_inputs_length = tf.placeholder(tf.int32, [None], name="encoder_inputs_length")
    decoder_targets = tf.placeholder(tf.int32, [None, None], name="decoder_targets")

    optimizer = tf.train.AdamOptimizer(functools.partial(falling_learning_rate, config), beta2=ADAM_BETA2)
    argmax = dataclasses.replace(config, feedback="argmax")
    return connect(encoder_inputs, encoder_inputs_length, decoder_targets, argmax, optimizer)


def training_graph(graph, config):
    """Returns the Graph of the training step: with --feedback teacher or scheduled, another one of the same weights."""
    if config.feedback == "argmax":
        return graph
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        return connect(*graph[:3], config, graph.optimizer)


def connect(encoder_inputs, encoder_inputs_length, decoder_targets, config, optimizer, loops=tf.nn):
    """Connects embedding, encoder, decoder, loss and Adam to the inputs of a step.

    Args:
      encoder_inputs, encoder_inputs_length, decoder_targets: the first three tensors of a Graph.
      config: a Config.
      optimizer: a tf.train.Optimizer.
      loops: where bidirectional_dynamic_rnn and raw_rnn come from: tf.nn, or compiled.py.

    Returns:
      A Graph.
    """
    embeddings, encoder_inputs_embedded = embed(encoder_inputs, config.vocab_size, config.input_embedding_size)
    encoder_outputs, encoder_final_state = encode(encoder_inputs_embedded, encoder_inputs_length, config, loops)
    decoder_lengths = tf.add(encoder_inputs_length, config.extra_decoder_steps, name="decoder_lengths")  # [batch]
    with tf.variable_scope("decoder"):
        loop_fn = make_loop_fn(embeddings, encoder_final_state, decoder_lengths)
        loop_fn, input_size = variants.extend(  # for the plain model, the same loop_fn
            loop_fn, config, embeddings, encoder_outputs, encoder_inputs_length, decoder_targets
        )
        cell = recurrent_cell(config.cell, "cell", variants.output_of(encoder_final_state).shape[1], input_size)
        decoder_logits, decoder_prediction, *alignment = decode(cell, loop_fn, loops)

    loss = masked_loss(decoder_logits, decoder_targets, decoder_lengths)
    gradient_norm, learning_rate, train_op = adam(loss, optimizer, config)
    inputs = (encoder_inputs, encoder_inputs_length, decoder_targets)
    outputs = (decoder_logits, decoder_prediction, alignment, loss, gradient_norm, learning_rate, train_op)
    return Graph(*inputs, *outputs, optimizer)


def embed(encoder_inputs, vocab_size, input_embedding_size):
    """Gives every symbol a vector of its own, drawn uniformly from [-1, 1] and trained with the rest.

    Args:
      encoder_inputs: int32 [time, batch].
      vocab_size: int, the number of symbols, PAD and EOS among them.
      input_embedding_size: int, the length of a vector.

    Returns:
      embeddings: float32 [vocab_size, input_embedding_size].
      encoder_inputs_embedded: float32 [time, batch, input_embedding_size].
    """
    with tf.variable_scope("embedding"):
        embeddings = tf.get_variable(
            "embeddings", [vocab_size, input_embedding_size], initializer=tf.random_uniform_initializer(-1.0, 1.0)
        )
        return embeddings, tf.nn.embedding_lookup(embeddings, encoder_inputs, name="encoder_inputs_embedded")


def recurrent_cell(kind, name, units, input_size):
    """Returns an RNN cell with weights of its own, in a variable scope of that name.

    Its weights are made at once. If tf.nn.raw_rnn made them, it would let a device cache them, and in the loop over
    training steps of compiled.py they would keep their first values.
    """
    with tf.variable_scope(name):
        cell = CELLS[kind](units)
        cell.build([None, input_size])
    return cell


def encode(encoder_inputs_embedded, encoder_inputs_length, config, loops):
    """Reads the sequences from left to right and from right to left, each up to its true length.

    Source: Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997, section II.

    Args:
      encoder_inputs_embedded: float32 [time, batch, input_embedding_size].
      encoder_inputs_length: int32 [batch].
      config: the Config; each direction has config.encoder_hidden_units.
      loops: as in connect().

    Returns:
      encoder_outputs: float32 [time, batch, 2 * encoder_hidden_units], zero past a sequence's length;
        only attention reads them.
      encoder_final_state: LSTMStateTuple of c and h, each float32 [batch, 2 * encoder_hidden_units]; a GRU has h only.
    """
    options = {"sequence_length": encoder_inputs_length, "dtype": tf.float32, "time_major": True}
    cell = functools.partial(
        recurrent_cell, config.cell, units=config.encoder_hidden_units, input_size=encoder_inputs_embedded.shape[2]
    )
    with tf.variable_scope("encoder"):
        if config.encoder == "forward":  # from left to right only: [..., encoder_hidden_units]
            return loops.dynamic_rnn(cell("forward"), encoder_inputs_embedded, **options)
        outputs, (forward_state, backward_state) = loops.bidirectional_dynamic_rnn(
            cell("forward"), cell("backward"), encoder_inputs_embedded, **options
        )
        encoder_outputs = tf.concat(outputs, axis=2, name="encoder_outputs")
        encoder_final_state = tf.nest.map_structure(
            lambda *ends: tf.concat(ends, axis=1, name="encoder_final_state"), forward_state, backward_state
        )  # for c and for h
        return encoder_outputs, encoder_final_state


def make_loop_fn(embeddings, encoder_final_state, decoder_lengths):
    """Makes the function that stands between two steps of the decoder, by the contract of tf.nn.raw_rnn.

    raw_rnn runs the cell; all that it cannot know it asks of loop_fn(time, cell_output, cell_state, loop_state):
    which sequences are finished, what the cell reads next, and what to emit. It asks once before the first
    step, with cell_output None, and once after each step. What is emitted for a finished sequence it
    replaces by zeros, which makes its prediction PAD.

    Args:
      embeddings: float32 [vocab_size, input_embedding_size].
      encoder_final_state: what encode() returned; the decoder is as wide.
      decoder_lengths: int32 [batch], the steps of each sequence.

    Returns:
      loop_fn, which returns (elements_finished, next_input, next_cell_state, emit_output, next_loop_state):
        elements_finished: bool [batch].
        next_input: float32 [batch, input_embedding_size].
        next_cell_state: like encoder_final_state.
        emit_output: the logits float32 [batch, vocab_size] and the prediction int32 [batch] of the last step;
          before the first step, zeros that show their shapes without the batch.
        next_loop_state: None.
    """
    vocab_size, decoder_hidden_units = embeddings.shape[0], variants.output_of(encoder_final_state).shape[1]
    output_weights = tf.get_variable(
        "output_weights", [decoder_hidden_units, vocab_size], initializer=tf.random_uniform_initializer(-1.0, 1.0)
    )
    output_bias = tf.get_variable("output_bias", [vocab_size], initializer=tf.zeros_initializer())
    every_sequence = tf.shape(decoder_lengths)
    eos_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(every_sequence, EOS), name="eos_step_embedded")
    pad_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(every_sequence, PAD), name="pad_step_embedded")

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


def decode(cell, loop_fn, loops):
    """Writes the sequences, one symbol a step.

    Source: Sutskever et al., "Sequence to sequence learning with neural networks", 2014, section 2.

    Args:
      cell: the decoder's RNN cell.
      loop_fn: what make_loop_fn() returned, or an extension of it.
      loops: as in connect().

    Returns:
      decoder_logits: float32 [decoder_time, batch, vocab_size], zero past a sequence's steps.
      decoder_prediction: int32 [decoder_time, batch], PAD past a sequence's steps.
      with attention also the weights, float32 [decoder_time, batch, time].
    """
    (logits, prediction, *others), _, _ = loops.raw_rnn(cell, loop_fn)
    stacked = [logits.stack("decoder_logits"), prediction.stack("decoder_prediction")]
    return stacked + [other.stack() for other in others]


def masked_loss(decoder_logits, decoder_targets, decoder_lengths):
    """Averages the cross-entropy over the steps that the decoder runs for each sequence, and no others.

    Without the mask, every step past the end of a sequence would add a constant: the logits are zero there, and
    the cross-entropy is ln(vocab_size) whatever the model has learned.

    Args:
      decoder_logits: float32 [decoder_time, batch, vocab_size].
      decoder_targets: int32 [decoder_time, batch].
      decoder_lengths: int32 [batch].

    Returns:
      float32 [], in nats a step.
    """
    with tf.variable_scope("loss"):
        stepwise_cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=decoder_targets, logits=decoder_logits
        )  # [decoder_time, batch]
        mask = tf.transpose(tf.sequence_mask(decoder_lengths, tf.shape(decoder_targets)[0], tf.float32))
        return tf.divide(tf.reduce_sum(stepwise_cross_entropy * mask), tf.reduce_sum(mask), name="loss")


def falling_learning_rate(config):
    """Returns the learning rate of the next step, float32 []: it falls linearly to 0 over the run."""
    global_step = tf.train.get_or_create_global_step()
    return tf.train.polynomial_decay(config.learning_rate, global_step, config.max_batches, end_learning_rate=0.0)


def adam(loss, optimizer, config):
    """Makes one step of Adam on clipped gradients.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1 in the form at the end of
    section 2; clipping by the global norm: Pascanu et al., "On the difficulty of training recurrent neural networks",
    2013, algorithm 1.

    Args:
      loss: float32 [].
      optimizer: the tf.train.AdamOptimizer.
      config: the Config.

    Returns:
      gradient_norm: float32 [], of all gradients together, before clipping.
      learning_rate: float32 [], of the step that train_op makes.
      train_op: the operation that makes one step.
    """
    with tf.variable_scope("train"):
        global_step = tf.train.get_or_create_global_step()
        learning_rate = tf.identity(falling_learning_rate(config), name="learning_rate")
        gradients, variables = zip(*optimizer.compute_gradients(loss, tf.trainable_variables()))
        # The gradient of the embeddings comes as a list of rows, some of them for the same symbol; their norm is
        # that of the matrix only after they are added up.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        clipped, gradient_norm = tf.clip_by_global_norm(gradients, CLIP_NORM)
        with tf.control_dependencies([learning_rate]):  # to be read before the step is counted
            train_op = optimizer.apply_gradients(zip(clipped, variables), global_step, name="train_op")
        return gradient_norm, learning_rate, train_op


# ---------------------------------------------------------------------------------------------------
# Training and evaluation.


def next_feed(graph, batch):
    """Returns the feed_dict of a Batch."""
    return dict(zip([graph.encoder_inputs, graph.encoder_inputs_length, graph.decoder_targets], batch))


def take_steps(session, graph, batches):
    """Makes a training step with each batch: the reference for compiled.py.

    Args:
      session: a tf.Session with initialised variables.
      graph: a Graph.
      batches: list of Batch.

    Returns:
      losses, gradient_norms, learning_rates: each a list of float [batches].
    """
    fetches = [graph.loss, graph.gradient_norm, graph.learning_rate, graph.train_op]
    *each_step, _ = zip(*(session.run(fetches, next_feed(graph, batch)) for batch in batches))
    return each_step


def train(take_steps, config, batches, decode, held_out, history, keep):
    """Trains up to config.max_batches batches or until it is interrupted, and prints samples on the way.

    Args:
      take_steps: function from a list of batches to what take_steps() above returns.
      config: the Config.
      batches: iterator over lists of Batch, each with the state of their generator, like ahead.drawn_ahead().
      decode: function from a Batch to its prediction, int32 [decoder_time, batch].
      held_out: a Batch to evaluate now and then.
      history: the runs.History so far; it grows with each batch.
      keep: function of the generator's state that brings all there is to the disk.

    Returns:
      The signal that interrupted training, or None.

    Raises:
      FloatingPointError: the loss or its gradient is not finite any more; the message names the batch.
    """
    progress = tqdm(total=config.max_batches, initial=len(history.rows), unit=" batches", disable=None)
    with progress, process.stop_at_signal() as signals:
        for next_batches, generator_state in batches:
            for number, values in enumerate(zip(*take_steps(next_batches)), start=len(history.rows)):
                if not np.isfinite(values).all():
                    reason = f"the loss is {values[0]} and the gradient norm {values[1]}"
                    raise FloatingPointError(f"{reason} at batch {number}; a smaller --learning-rate may help")
                history.rows.append(runs.Row(number, *values))
            for batch in next_batches:
                history.unseen.difference_update(helpers.keys(batch))

            progress.update(len(next_batches))
            last = history.rows[-1]
            if last.batch % config.batches_in_epoch == 0:
                progress.write(report.batch_report(last, next_batches[-1], decode(next_batches[-1]), config))
            if last.batch % KEEP_EVERY == 0:
                exact, _ = evaluate(decode, held_out, config.evaluation_batch)
                history.rows[-1] = last._replace(held_out_exact_match=float(exact.mean()))
            if last.batch % KEEP_EVERY == 0 or last.batch + 1 == config.max_batches or signals:
                keep(generator_state)
            if signals:
                progress.write("training interrupted")
                break
    return signals[0] if signals else None


def predicted(session, graph, batch):
    """Returns what the model makes of a Batch, int32 [decoder_time, batch]."""
    return session.run(graph.decoder_prediction, next_feed(graph, batch))


def evaluate(decode, batch, size=EVALUATION_BATCH):
    """Decodes sequences and compares what comes out with what should.

    Args:
      decode: function from a Batch to its prediction, int32 [decoder_time, batch].
      batch, size: a Batch, and how many of its sequences are decoded at once.

    Returns:
      exact: bool [batch], whether every step is right: all symbols, EOS and two PADs.
      correct_tokens: int [batch], how many of the symbols and EOS are right.
    """
    exact, correct_tokens = [], []
    for start in range(0, batch.lengths.size, size):
        part = helpers.columns(batch, start, start + size)
        correct = decode(part) == part.targets  # [decoder_time, batch]
        exact.append(correct.all(axis=0))
        correct_tokens.append((correct & (part.targets != PAD)).sum(axis=0))
    return np.concatenate(exact), np.concatenate(correct_tokens)


# ---------------------------------------------------------------------------------------------------
# The command.


def run_training(command):
    """Trains a new run or a stopped one; returns the exit status: 0, or 128 + the signal that interrupted it."""
    config = command.config
    examples = functools.partial(pairs.examples, command.pairs) if command.pairs else helpers.examples
    training_generator, held_out_generator = np.random.default_rng(config.seed).spawn(2)
    batches, held_out = examples(config, HELD_OUT_SEQUENCES, training_generator, held_out_generator)
    keys = helpers.keys(held_out)
    history = runs.History(rows=[], unseen=set(keys))
    graph = build_graph(config)
    saver = tf.train.Saver()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        if command.resume:
            run = runs.reopen(command.run)
            if runs.checkpoints(run):
                history.rows, history.unseen = checkpoints.restore(run, session, saver, keys, training_generator)
            print(f"going on with {run} after {len(history.rows)} batches\n")
        else:
            run = runs.create(command.run, config)
        writer = checkpoints.event_writer(run, session.graph, len(history.rows))
        keep = functools.partial(checkpoints.keep, run, session, saver, writer, history, keys)
        keep(training_generator.bit_generator.state)

        steps = compiled.compile_steps(session, graph, connect, config) if config.xla == "on" else None
        steps = steps or functools.partial(take_steps, session, training_graph(graph, config))
        done, start = len(history.rows), time.perf_counter()
        decode = functools.partial(predicted, session, graph)
        some = helpers.columns(held_out, 0, EVALUATION_BATCH)
        drawn = ahead.drawn_ahead(batches, ahead.steps_of_calls(done, config, KEEP_EVERY), training_generator)
        interrupted_by = train(steps, config, drawn, decode, some, history, keep)
        batches_per_second = (len(history.rows) - done) / (time.perf_counter() - start) or None
        finish(session, graph, run, config, history, held_out, batches_per_second)
    return 0 if interrupted_by is None else 128 + interrupted_by


def finish(session, graph, run, config, history, held_out, batches_per_second):
    """Prints the final figures, and saves them and the pictures."""
    decode = functools.partial(predicted, session, graph)
    exact, correct_tokens = evaluate(decode, held_out, config.evaluation_batch)
    metrics = report.metrics(config, history, held_out, exact, correct_tokens, batches_per_second)
    print(report.final_report(metrics))
    pictures.save(pictures.loss_curve(history.rows), run / "loss.png", config.plot)
    print(f"\nloss curve in {config.plot}, all else in {run}")
    if graph.alignment:
        some = helpers.columns(held_out, 0, ALIGNED)
        prediction, alignment = session.run([graph.decoder_prediction, graph.alignment[0]], next_feed(graph, some))
        picture = pictures.attention(some, prediction, alignment, config)
        pictures.save(picture, run / "attention.png", config.attention_plot)
        print(f"attention in {config.attention_plot}")
    runs.write_json(run / "metrics.json", metrics | {"tensorflow": tf.__version__})


def run_prediction(command):
    """Answers the user's own sequences; returns the exit status: 0, or 1 if a line held no sequence."""
    graph = build_graph(command.config)
    with tf.Session() as session:
        checkpoints.restore_variables(runs.newest_checkpoint(command.run), session, tf.train.Saver())
        decode = functools.partial(predicted, session, graph)
        return 1 if predict.answer_all(command.predict, decode, command.config) else 0


def main(command):
    """Carries out a Command; returns the exit status."""
    return run_prediction(command) if command.predict is not None else run_training(command)


if __name__ == "__main__":
    process.run(main, COMMAND)
