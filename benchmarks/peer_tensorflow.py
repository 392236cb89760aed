"""TensorFlow as a peer.

    python -m benchmarks.peer_tensorflow WORK compiled|raw_rnn|talk steps|job

compiled and raw_rnn are seq2seq_copy.py with --xla on and off, in the session that it opens. talk is the graph of the
well-known tutorials: it projects the decoder's outputs a second time after the loop, and runs in a session with default
settings.
"""

import functools
import os
import sys

from support.terminal.settings import Config

import seq2seq_copy
from benchmarks import work
from seq2seq_copy import Parts
from support.graph import compiled, sessions
from support.tensorflow import tensorflow_v1 as tf

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
    logits = tf.reshape(flat, [time, batch, bias.shape[0]])
    return logits, tf.argmax(logits, axis=2, output_type=tf.int32)


def load(weights, session):
    for name, value in weights.items():
        first, _, second = name.partition("_")
        (variable,) = (v for v in tf.trainable_variables() if v.op.name == NAMES[first] + second)
        variable.load(value, session)


def take_steps_of_the_talk(session, graph, batches):
    fetches = [graph.loss, graph.train_op]
    return [session.run(fetches, seq2seq_copy.next_feed(graph, batch))[0] for batch in batches]


def settings(data, form):
    """Returns the settings.Config of a work.Work."""
    batch = data.batches[0]
    return Config(
        batch_size=batch.lengths.size,
        length_from=min(int(batch.lengths.min()) for batch in data.batches),
        length_to=len(batch.inputs),
        encoder_hidden_units=data.weights["forward_bias"].size // 4,
        xla="on" if form == "compiled" else "off",
    )


def prepare(data, form):
    """Returns take_steps and decode for work.run()."""
    config = settings(data, form)
    parts = Parts(tf.nn, decode=decode_like_the_talk) if form == "talk" else Parts(tf.nn)
    graph = seq2seq_copy.build_graph(config, parts)
    session = tf.Session() if form == "talk" else sessions.open_session(config)
    session.run(tf.global_variables_initializer())
    load(data.weights, session)
    decode = functools.partial(seq2seq_copy.predicted, session, graph)
    if form == "talk":
        return functools.partial(take_steps_of_the_talk, session, graph), decode
    make_steps = seq2seq_copy.prepare_steps(session, graph, config)
    most = compiled.most_steps(config)

    def take_steps(batches):
        calls = [make_steps(batches[start : start + most]) for start in range(0, len(batches), most)]
        return [loss for losses, *_ in calls for loss in losses]

    return take_steps, decode


def main():
    path, form, _ = sys.argv[1:]
    if form == "talk":
        os.environ |= {"TF_NUM_INTRAOP_THREADS": "0", "TF_NUM_INTEROP_THREADS": "0"}
    else:
        sessions.prepare(settings(work.load(path), form))
    assert tf.__version__  # imports TensorFlow
    work.run(prepare)


if __name__ == "__main__":
    main()
