r"""Sequence-to-sequence copy: a model, built as a static TensorFlow graph, learns to repeat random integer sequences.

The encoder reads a sequence in both directions. The decoder starts from the encoder's final state and writes the
sequence out again, then EOS. Its first input is EOS, which here also means start. Then, at each step, it reads the
symbol that it found most likely at the step before: greedy decoding, in training as well as afterwards. The model and
its names follow a live coding session of 2017, here called the talk.

    forward LSTM          o ---> o ---> o ----.
                          |      |      |      \
    encoder_inputs        5      7      8       +--- encoder_final_state
                          |      |      |      /             |
    backward LSTM    .--- o <--- o <--- o     /              |
                      `----------------------'               v
    decoder LSTM                                             o ---> o ---> o ---> o ---> o ---> o
      reads                                                 EOS     5      7      8     EOS    PAD
      predicts                                               5      7      8     EOS    PAD    PAD

Below, in this order: numbers, embedding, cell, encoder, decoder, loss, training step, model, training, and fit(), a
complete run, as plain as possible. `python seq2seq_copy.py` iterates over train(), as fit() does, but has XLA compile
the step, and saves the run. helpers.py makes the data. The functions up to training_step() only build the graph; only
session.run() computes. Tensors are time-major, [time, batch]: a sequence is a column. Comments give their shapes.
"""

import itertools
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import helpers
from helpers import EOS, EXTRA_DECODER_STEPS, PAD
from support.tensorflow import tensorflow_v1 as tf  # tensorflow.compat.v1, imported at its first use
from support.tensorflow.sharing import recording, reusing


@dataclass(frozen=True)
class Config:
    """The numbers of the recipe. support/settings.py adds what the command needs besides."""

    task: str = "copy"  # helpers.py has other tasks
    vocab_size: int = 10  # symbols, among them PAD = 0 and EOS = 1
    length_from: int = 3  # the talk's lengths: short, so that training is quick,
    length_to: int = 8  # and yet 19 million different sequences, from which a run draws 300,100
    input_embedding_size: int = 20  # twice the number of symbols, so that any two can be far apart
    encoder_hidden_units: int = 20  # in each direction; their final states, side by side, start a decoder of 40
    batch_size: int = 100  # neither smaller nor larger batches do better (docs/claims.md)
    max_batches: int = 3001  # batch 3000, counted from 0, is reported too
    learning_rate: float = 0.03  # the peak: 30 times the talk's constant rate
    warm_up: float = 0.1  # share of the batches in which the rate rises, as Adam's averages rest on few gradients
    adam_beta2: float = 0.95  # a shorter memory than the usual 0.999, because a run has only 3,001 batches
    clip_norm: float = 1.0  # a gradient with a larger norm is scaled down to it
    held_out_sequences: int = 10_000  # so that one wrong sequence is 0.01 %
    batches_in_epoch: int = 1000  # between two reports; the talk's name, though random data has no epochs
    seed: int = 0  # decides the initial weights and all random data


def embed(encoder_inputs, vocab_size, input_embedding_size):
    """Creates a vector for each symbol, initialised uniformly from [-0.2, 0.2], and looks up those of the inputs."""
    with tf.variable_scope("embedding"):
        uniform = tf.random_uniform_initializer(-0.2, 0.2)  # the talk: [-1, 1]; a search: 0.2 (docs/accuracy.md)
        embeddings = tf.get_variable("embeddings", [vocab_size, input_embedding_size], initializer=uniform)
        encoder_inputs_embedded = tf.nn.embedding_lookup(embeddings, encoder_inputs, name="encoder_inputs_embedded")
        return embeddings, encoder_inputs_embedded  # the latter [time, batch, input_embedding_size]


LSTMStateTuple = namedtuple("LSTMStateTuple", "c h")  # the state of an LSTM cell, [batch, units] each; h is its output


class LSTMCell:
    """A long short-term memory cell, with the methods that TensorFlow's loops expect of a cell.

    A step computes from the input x and the state c, h:

        i, j, f, o = split([x, h] @ kernel + bias)
        c' = sigmoid(f) * c + sigmoid(i) * tanh(j)
        h' = sigmoid(o) * tanh(c')

    The forget gate f decides what stays in the memory c; without it, c could only accumulate. The input gate i decides
    how much of the new content j (g in many books) is added, the output gate o what the model sees of c, as h.
    Sources: Hochreiter and Schmidhuber, "Long short-term memory", 1997; f: Gers et al., "Learning to forget", 2000; the
    bias of f: Jozefowicz et al., "An empirical exploration of recurrent network architectures", 2015.
    """

    def __init__(self, name, units, input_size):
        """Creates the weights, once; __call__ runs inside a loop."""
        with tf.variable_scope(f"{name}/lstm_cell"):
            self.kernel = tf.get_variable("kernel", [input_size + units, 4 * units])  # Glorot uniform, the default
            open_f = tf.constant_initializer(np.repeat([0.0, 0.0, 4.0, 0.0], units))  # f starts from sigmoid(4) = 98 %
            self.bias = tf.get_variable("bias", [4 * units], initializer=open_f)
        self.output_size, self.state_size = units, LSTMStateTuple(c=units, h=units)

    def zero_state(self, batch_size, dtype):
        zeros = tf.zeros([batch_size, self.output_size], dtype)
        return LSTMStateTuple(c=zeros, h=zeros)

    def __call__(self, inputs, state):
        """Takes a step. inputs: [batch, input_size]. Returns the output [batch, units] and the next LSTMStateTuple."""
        gates = tf.nn.bias_add(tf.matmul(tf.concat([inputs, state.h], axis=1), self.kernel), self.bias)
        i, j, f, o = tf.split(gates, 4, axis=1)  # [batch, units] each
        c = tf.sigmoid(f) * state.c + tf.sigmoid(i) * tf.tanh(j)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, LSTMStateTuple(c, h)


def encode(encoder_inputs_embedded, encoder_inputs_length, config, parts):
    """Reads the sequences from left to right and from right to left, each up to its true length. parts: see below.

    Returns encoder_outputs, which only attention reads, and encoder_final_state, which the decoder starts from. The
    decoder's state has the same form, and as many units.
    Source: Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997, section II.
    """
    forward_cell = parts.cell("forward", config.encoder_hidden_units, config.input_embedding_size)
    backward_cell = parts.cell("backward", config.encoder_hidden_units, config.input_embedding_size)
    (forward_outputs, backward_outputs), (forward_state, backward_state) = parts.loops.bidirectional_dynamic_rnn(
        forward_cell, backward_cell, encoder_inputs_embedded, encoder_inputs_length, dtype=tf.float32, time_major=True
    )
    # [time, batch, 2 * encoder_hidden_units], zero past a sequence's length
    encoder_outputs = tf.concat([forward_outputs, backward_outputs], axis=2, name="encoder_outputs")
    return encoder_outputs, parts.concatenate_states(forward_state, backward_state)


def concatenate_states(forward_state, backward_state):
    """Joins the final states of both directions. The plain decoder gets no other information about the symbols."""
    c = tf.concat([forward_state.c, backward_state.c], axis=1, name="encoder_final_state_c")
    h = tf.concat([forward_state.h, backward_state.h], axis=1, name="encoder_final_state_h")
    return LSTMStateTuple(c, h)  # [batch, 2 * encoder_hidden_units] each


def most_likely(logits):
    """Chooses the symbols that the decoder reads next, int32 [batch]. No gradient flows through them."""
    return tf.argmax(logits, axis=1, output_type=tf.int32)


# What the decoder may look at, and how it chooses; answers to a user are chosen without PAD, and by beam search.
Encoded = namedtuple("Encoded", "embeddings final_state outputs lengths choose", defaults=[most_likely])


def make_loop_fn(encoded, decoder_lengths, decoder_targets):
    """Makes loop_fn, which tf.nn.raw_rnn calls before the first step of the decoder's cell and after each step:

        elements_finished, next_input, next_cell_state, emit_output, next_loop_state = loop_fn(
            time, cell_output, cell_state, loop_state)

    The first call has no cell_output; loop_state may carry anything from step to step, and is None here. A sequence is
    finished after decoder_lengths [batch] steps, whether or not EOS was written. From then on raw_rnn emits zeros for
    it, and 0 is PAD. Only teacher forcing, in support/model/, reads decoder_targets, int32 [decoder_time, batch].
    """
    embeddings, vocab_size = encoded.embeddings, encoded.embeddings.shape[0]
    decoder_hidden_units = encoded.final_state.h.shape[1]
    uniform = tf.random_uniform_initializer(-2.5, 2.5)  # the talk: [-1, 1]; a search: 2.5
    output_weights = tf.get_variable("output_weights", [decoder_hidden_units, vocab_size], initializer=uniform)
    output_bias = tf.get_variable("output_bias", [vocab_size], initializer=tf.zeros_initializer())
    batch_shape = tf.shape(decoder_lengths)
    eos_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(batch_shape, EOS), name="eos_step_embedded")
    pad_step_embedded = tf.nn.embedding_lookup(embeddings, tf.fill(batch_shape, PAD), name="pad_step_embedded")

    def loop_fn_initial(time):
        # Nothing to emit yet; zeros tell raw_rnn the shape and type of what a step emits for one sequence.
        emit_structure = {"decoder_logits": tf.zeros([vocab_size]), "decoder_prediction": tf.zeros([], tf.int32)}
        return time >= decoder_lengths, eos_step_embedded, encoded.final_state, emit_structure, None

    def loop_fn_transition(time, cell_output, cell_state):
        elements_finished = time >= decoder_lengths  # [batch]
        logits = tf.matmul(cell_output, output_weights) + output_bias  # [batch, vocab_size]
        prediction = encoded.choose(logits)  # [batch]
        prediction_embedded = tf.nn.embedding_lookup(embeddings, prediction)  # [batch, input_embedding_size]
        next_input = tf.where(elements_finished, pad_step_embedded, prediction_embedded)
        emit_output = {"decoder_logits": logits, "decoder_prediction": prediction}
        return elements_finished, next_input, cell_state, emit_output, None

    def loop_fn(time, cell_output, cell_state, loop_state):
        is_first_call = cell_output is None
        return loop_fn_initial(time) if is_first_call else loop_fn_transition(time, cell_output, cell_state)

    return loop_fn


def decode(decoder_cell, loop_fn, loops):
    """Writes the sequences, one symbol per step. loops: those of Parts, see below.

    Returns what loop_fn emits, a dict: decoder_logits float32 [decoder_time, batch, vocab_size], decoder_prediction
    int32 [decoder_time, batch], and whatever a variant adds.
    Source: Sutskever et al., "Sequence to sequence learning with neural networks", 2014, section 2.
    """
    emitted, _, _ = loops.raw_rnn(decoder_cell, loop_fn)
    return {name: array.stack(name) for name, array in emitted.items()}  # from TensorArrays to tensors


def masked_loss(decoder_logits, decoder_targets, decoder_lengths):
    """Averages the cross-entropy, in nats, over all steps of the batch that count: symbols, EOS, PAD, PAD.

    Past these, the logits are zero. Without the mask, each such step would add ln(vocab_size), whatever was learned.
    """
    with tf.variable_scope("loss"):
        stepwise_cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=decoder_targets, logits=decoder_logits
        )  # [decoder_time, batch]
        mask = tf.transpose(tf.sequence_mask(decoder_lengths, tf.shape(decoder_targets)[0], tf.float32))
        return tf.divide(tf.reduce_sum(stepwise_cross_entropy * mask), tf.reduce_sum(mask), name="loss")


def scheduled_learning_rate(step, config):
    """Returns the learning rate of a training step, a Python float to be fed. Steps count from 0."""
    rise = (step + 1) / max(1, config.warm_up * config.max_batches)  # reaches 1 after the warm-up
    fall = 1 - step / config.max_batches  # falls linearly from 1 to almost 0
    return config.learning_rate * min(1, rise) * fall


class Parts(NamedTuple):
    """What a variant of the model replaces, for example PLAIN._replace(cell=GRUCell); see support/model/."""

    cell: Callable = LSTMCell  # (name, units, input_size) -> a cell
    encode: Callable = encode  # (encoder_inputs_embedded, lengths, config, parts) -> encoder_outputs, final state
    concatenate_states: Callable = concatenate_states  # (forward_state, backward_state) -> final state
    make_loop_fn: Callable = make_loop_fn  # (encoded, decoder_lengths, decoder_targets) -> loop_fn
    context_size: int = 0  # what loop_fn adds to the size of an embedding, to make its next_input
    loops: Any = None  # in place of tf.nn: for XLA, loops over time whose length is known in advance


PLAIN = Parts()


def build_model(batch, config, parts=PLAIN):
    """Builds the whole model for a helpers.Batch of tensors; its targets are None if no loss is needed.

    Returns a dict: what decode() returns, decoder_lengths int32 [batch] and, with targets, loss float32 [].
    """
    parts = parts._replace(loops=parts.loops or tf.nn)
    embeddings, encoder_inputs_embedded = embed(batch.inputs, config.vocab_size, config.input_embedding_size)
    with tf.variable_scope("encoder"):
        encoder_outputs, encoder_final_state = parts.encode(encoder_inputs_embedded, batch.lengths, config, parts)
    encoded = Encoded(embeddings, encoder_final_state, encoder_outputs, batch.lengths)
    decoder_lengths = tf.add(batch.target_lengths, EXTRA_DECODER_STEPS, name="decoder_lengths")  # + 3, [batch]
    with tf.variable_scope("decoder"):
        loop_fn = parts.make_loop_fn(encoded, decoder_lengths, batch.targets)
        decoder_input_size = config.input_embedding_size + parts.context_size
        decoder_cell = parts.cell("cell", encoder_final_state.h.shape[1], decoder_input_size)
        results = decode(decoder_cell, loop_fn, parts.loops)
    if batch.targets is not None:
        # The targets have room for the longest possible sequence. If no sequence is as long, the loop ends before.
        with tf.name_scope("fill_up"):
            missing = tf.shape(batch.targets)[0] - tf.shape(results["decoder_prediction"])[0]
            results = {key: tf.pad(x, [[0, missing], *[[0, 0]] * (x.shape.rank - 1)]) for key, x in results.items()}
        results["loss"] = masked_loss(results["decoder_logits"], batch.targets, decoder_lengths)
    return results | {"decoder_lengths": decoder_lengths}


def loss_and_gradients(batch, config, parts):
    """Returns the loss, and its gradient with respect to each of tf.trainable_variables(), as dense tensors."""
    with tf.name_scope("training"):
        loss = build_model(batch, config, parts)["loss"]
    with tf.name_scope("gradients"):
        gradients = tf.gradients(loss, tf.trainable_variables(), unconnected_gradients="zero")
        # "zero" if the loss does not depend on a weight. The gradient of the embeddings is sparse, a row for each
        # look-up. Clipping needs the sum of the rows of a symbol.
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]


def training_step(batch, learning_rate, config, parts=PLAIN, compute=loss_and_gradients):
    """Builds a training step: loss, gradients, clipping, Adam. The session and XLA both run what is built here.

    compute is loss_and_gradients, or a function around it: XLA needs sizes that are known in advance, and a cluster
    adds up the gradients of its workers. Returns the loss before the update, and the gradient norm before clipping.
    Sources: Kingma and Ba, "Adam", 2015, algorithm 1, in the order given just before section 2.1; clipping: Pascanu
    et al., "On the difficulty of training recurrent neural networks", 2013, algorithm 1.
    """
    loss, gradients = compute(batch, config, parts)
    with tf.variable_scope("train"):
        clipped, gradient_norm = tf.clip_by_global_norm(gradients, config.clip_norm)
        optimizer = tf.train.AdamOptimizer(learning_rate, beta2=config.adam_beta2)
        train_op = optimizer.apply_gradients(zip(clipped, tf.trainable_variables()), tf.train.get_global_step())
    with tf.control_dependencies([train_op]):
        return tf.identity(loss, name="training_loss"), tf.identity(gradient_norm, name="gradient_norm")


class Model:
    """A graph that predicts and measures, and a session. To train, training_step() builds the model a second time."""

    def __init__(self, config, parts=PLAIN, open_session=None):
        tf.reset_default_graph()
        tf.set_random_seed(config.seed)
        tf.train.create_global_step()  # counts the training steps
        self.config, self.parts = config, parts
        self.placeholders = helpers.Batch(
            inputs=tf.placeholder(tf.int32, [None, None], name="encoder_inputs"),  # [time, batch]
            lengths=tf.placeholder(tf.int32, [None], name="encoder_inputs_length"),  # [batch]
            targets=tf.placeholder(tf.int32, [None, None], name="decoder_targets"),  # [decoder_time, batch]
            target_lengths=tf.placeholder(tf.int32, [None], name="decoder_targets_length"),  # [batch]
        )
        self.learning_rate = tf.placeholder(tf.float32, [], name="learning_rate")
        with recording() as self.variables:
            results = build_model(self.placeholders, config, parts)
        self.decoder_logits = results["decoder_logits"]  # [decoder_time, batch, vocab_size]
        self.decoder_prediction = results["decoder_prediction"]  # [decoder_time, batch]
        self.alignment = results.get("alignment")  # attention's weights [decoder_time, batch, time], or None
        self.loss = results["loss"]  # []
        self.session = (open_session or tf.Session)()  # a cluster has its own
        self.session.run(tf.global_variables_initializer())

    def feed(self, batch, learning_rate=0.0):
        """Returns the feed_dict of a helpers.Batch, with a learning rate if it is to be trained on."""
        return {**dict(zip(self.placeholders, batch)), self.learning_rate: learning_rate}

    def predict(self, batch):
        """Returns the predicted symbols for a helpers.Batch, int32 [decoder_time, batch]; it reads no targets."""
        return self.session.run(self.decoder_prediction, self.feed(batch))


def run_in_session(step, model):
    """Returns a function that takes a training step for each feed_dict, and yields the losses and gradient norms.

    This is --xla off. By default support/tensorflow/compiled.py lets XLA compile the step, and calls this function with
    a step that takes many, and with a model whose placeholders hold many batches.
    """
    results = step(model.placeholders, model.learning_rate)
    return lambda feeds: (model.session.run(results, feed) for feed in feeds)


class Trainer:
    """Trains a Model. parts make the model that is trained; with teacher forcing they are not those that predict."""

    def __init__(self, model, parts=None, runner=run_in_session):
        self.model = model
        step = partial(training_step, config=model.config, parts=parts or model.parts)
        with model.session.graph.as_default(), reusing(model.variables):
            known = tf.global_variables()
            self.run = runner(step, model)
            of_optimizer = [variable for variable in tf.global_variables() if variable not in known]
            model.session.run(tf.variables_initializer(of_optimizer))


def train(trainer, batches, step=0):
    """Takes a training step with each helpers.Batch; yields the batch, its loss, gradient norm and learning rate.

    step is the number of steps already taken. After each, the caller can print, save or stop. With XLA, the variables
    of the session are up to 49 steps ahead.
    """
    model = trainer.model
    steps = ((batch, scheduled_learning_rate(number, model.config)) for number, batch in enumerate(batches, start=step))
    steps, kept = itertools.tee(steps)
    results = trainer.run(model.feed(batch, learning_rate) for batch, learning_rate in steps)
    for (batch, learning_rate), (loss, gradient_norm) in zip(kept, results):
        yield batch, loss, gradient_norm, learning_rate


def evaluate(model, batch, batch_size=1000):
    """Decodes the sequences of a helpers.Batch, batch_size at a time.

    Returns exact, bool [batch], whether all symbols, EOS and both PADs are right, and correct_tokens, int [batch], how
    many symbols are right, counting EOS but not PAD.
    """
    exact, correct_tokens = [], []
    for start in range(0, batch.lengths.size, batch_size):
        some = helpers.take(batch, start, start + batch_size)
        correct = model.predict(some) == some.targets  # [decoder_time, batch]
        exact.append(correct.all(axis=0))
        correct_tokens.append((correct & (some.targets != PAD)).sum(axis=0))
    return np.concatenate(exact), np.concatenate(correct_tokens)


def fit(config, trainer=None):
    """A complete run, as plain as possible: draws batches, trains, prints losses and samples as in the talk, evaluates.

    trainer is a new Trainer of the same config; None for that of the plain model. Returns the Model, the loss of each
    batch, and which of the held-out sequences the model gets exactly right, bool [sequences].
    """
    batches, held_out = helpers.examples(config, helpers.generators(config.seed))
    trainer, losses = trainer or Trainer(Model(config)), []
    try:
        for batch, loss, _, _ in train(trainer, itertools.islice(batches, config.max_batches)):
            if len(losses) % config.batches_in_epoch == 0:
                print(f"batch {len(losses)}\n  minibatch loss: {loss:.4f}")
                for inputs, predicted in zip(batch.inputs.T[:3], trainer.model.predict(batch).T):
                    print(f"    input     > {inputs}\n    predicted > {predicted}")
            losses.append(loss)
    except KeyboardInterrupt:
        print("training interrupted")
    exact, _ = evaluate(trainer.model, held_out)
    print(f"{exact.mean():.2%} of {exact.size} held-out sequences are exact after {len(losses)} batches")
    return trainer.model, losses, exact


if __name__ == "__main__":
    sys.modules["seq2seq_copy"] = sys.modules["__main__"]  # so that support/ imports this module, not a second copy
    from support.terminal.main import run  # reads the flags, iterates over train(), saves and reports

    run()
