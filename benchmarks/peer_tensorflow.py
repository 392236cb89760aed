"""TensorFlow as a peer.

    python -m benchmarks.peer_tensorflow WORK compiled|raw_rnn|talk

compiled and raw_rnn are seq2seq_copy.py with --xla on and off. talk is the graph of the well-known tutorials: it
projects the decoder's outputs a second time after the loop, and runs in a session with default settings.
"""

import os
import sys

import helpers
import seq2seq_copy
from benchmarks import work
from seq2seq_copy import Parts
from support.graph import compiled
from support.graph import tensorflow_v1 as tf
from support.terminal.settings import Config

NAMES = {
    "embeddings": "embedding/embeddings",
    "forward": "encoder/forward/lstm_cell/",
    "backward": "encoder/backward/lstm_cell/",
    "decoder": "decoder/cell/lstm_cell/",
    "output": "decoder/output_",
}


def decode_like_the_talk(loop_fn, parts):
    """Emits the outputs of the cell, and projects them to logits in one product after the loop."""

    def emit_outputs(time, cell_output, cell_state, loop_state):
        finished, next_input, next_state, _, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
        return finished, next_input, next_state, cell_output, loop_state

    _, first_input, first_state, _, _ = loop_fn(tf.constant(0), None, None, None)
    cell = parts.cell("cell", first_state.h.shape[1], first_input.shape[1])
    outputs = parts.loops.raw_rnn(cell, emit_outputs)[0].stack()  # [time, batch, decoder_hidden_units]
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        weights, bias = tf.get_variable("output_weights"), tf.get_variable("output_bias")
    time, batch, units = tf.unstack(tf.shape(outputs))
    flat = tf.matmul(tf.reshape(outputs, [-1, units]), weights) + bias
    logits = tf.reshape(flat, [time, batch, work.VOCAB_SIZE])
    return logits, tf.argmax(logits, axis=2, output_type=tf.int32)


def load(weights, session):
    for name, value in weights.items():
        first, _, second = name.partition("_")
        (variable,) = (v for v in tf.trainable_variables() if v.op.name == NAMES[first] + second)
        variable.load(value, session)


def main(path, form):
    if form == "talk":
        os.environ |= {"TF_NUM_INTRAOP_THREADS": "0", "TF_NUM_INTEROP_THREADS": "0"}
    assert tf.__version__  # imports TensorFlow
    after_import = work.peak_memory()
    data = work.load(path)
    _, time, batch_size = data.inputs.shape
    config = Config(
        batch_size=batch_size,
        length_from=int(data.lengths.min()),
        length_to=time,
        encoder_hidden_units=data.weights["forward_bias"].size // 4,
        learning_rate=work.LEARNING_RATE,
        max_batches=work.MAX_BATCHES,
        warm_up=0.0,
    )
    parts = Parts(tf.nn, decode=decode_like_the_talk) if form == "talk" else Parts(tf.nn)
    graph = seq2seq_copy.build_graph(config, parts)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        load(data.weights, session)
        steps = seq2seq_copy.prepare_steps(session, graph, config) if form == "compiled" else None
        batches = [helpers.Batch(*arrays) for arrays in zip(*data[1:])]

        def take_compiled_steps(first, count):
            losses, most = [], compiled.most_steps(config)
            for start in range(first, first + count, most):
                indices = range(start, min(start + most, first + count))
                losses += list(steps([batches[index % work.BATCHES] for index in indices])[0])
            return losses

        def take_reference_steps(first, count):
            losses = []
            for index in range(first, first + count):
                feed = seq2seq_copy.next_feed(graph, batches[index % work.BATCHES])
                losses.append(session.run([graph.loss, graph.train_op], feed)[0])
            return losses

        work.serve(take_compiled_steps if form == "compiled" else take_reference_steps, after_import)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
