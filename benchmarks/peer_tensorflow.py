"""TensorFlow as a peer.

    python peer_tensorflow.py WORK compiled|raw_rnn|talk

compiled and raw_rnn are seq2seq_copy.py with --xla on and off; talk is the graph of the well-known tutorials: it
projects the decoder's outputs a second time after the loop, and runs in a session with default settings.
"""

import os
import sys
from pathlib import Path
from unittest import mock

import work

sys.path.insert(0, str(Path(__file__).parent.parent))
if sys.argv[2] == "talk":
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "0", "TF_NUM_INTEROP_THREADS": "0"}

import compiled
import helpers
import seq2seq_copy
from config import Config
from tensorflow_v1 import tf

AFTER_IMPORT = work.peak_memory()
NAMES = {
    "embeddings": "embedding/embeddings",
    "forward": "encoder/forward/lstm_cell/",
    "backward": "encoder/backward/lstm_cell/",
    "decoder": "decoder/cell/lstm_cell/",
    "output": "decoder/output_",
}


def decode_like_the_talk(cell, loop_fn, loops):
    """Emits the outputs of the cell, and projects them to logits in one product after the loop."""

    def emit_outputs(time, cell_output, cell_state, loop_state):
        finished, next_input, next_state, _, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
        return finished, next_input, next_state, cell_output, loop_state

    outputs = loops.raw_rnn(cell, emit_outputs)[0].stack()  # [time, batch, decoder_hidden_units]
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
    data = work.load(path)
    _, time, batch_size = data.inputs.shape
    config = Config(
        batch_size=batch_size,
        length_from=int(data.lengths.min()),
        length_to=time,
        encoder_hidden_units=data.weights["forward_bias"].size // 4,
        learning_rate=work.LEARNING_RATE,
        max_batches=work.MAX_BATCHES,
    )
    batches = [helpers.Batch(*arrays) for arrays in zip(*data[1:])]
    with mock.patch.object(seq2seq_copy, "decode", decode_like_the_talk if form == "talk" else seq2seq_copy.decode):
        graph = seq2seq_copy.build_graph(config)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        load(data.weights, session)
        if form == "compiled":
            steps = compiled.compile_steps(session, graph, seq2seq_copy.connect, config)
            if steps is None:
                raise SystemExit("the benchmark needs XLA")

            def take_steps(first, count):
                losses, most = [], compiled.most_steps(config)
                for start in range(first, first + count, most):
                    indices = range(start, min(start + most, first + count))
                    losses += list(steps([batches[index % work.BATCHES] for index in indices])[0])
                return losses
        else:

            def take_steps(first, count):
                losses = []
                for index in range(first, first + count):
                    feed = seq2seq_copy.next_feed(graph, batches[index % work.BATCHES])
                    losses.append(session.run([graph.loss, graph.train_op], feed)[0])
                return losses

        work.serve(take_steps, AFTER_IMPORT)


if __name__ == "__main__":
    assert (helpers.PAD, helpers.EOS, helpers.EXTRA_DECODER_STEPS) == (work.PAD, work.EOS, work.EXTRA_DECODER_STEPS)
    main(sys.argv[1], sys.argv[2])
