"""TensorFlow as a peer.

    python -m benchmarks.peer_tensorflow WORK compiled|raw_rnn|talk steps|job

compiled and raw_rnn are seq2seq_copy.py with --xla on and off. talk is the graph of the well-known tutorials: it
projects the decoder's outputs a second time after the loop, and runs in a session with default settings.
"""

import os
import sys
from dataclasses import replace

import seq2seq_copy
from benchmarks import work
from seq2seq_copy import PLAIN, Model, build_model, masked_loss
from support.model import variants
from support.tensorflow import startup
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.compiled import most_steps

NAMES = {
    "embeddings": "embedding/embeddings",
    "forward": "encoder/forward/lstm_cell/",
    "backward": "encoder/backward/lstm_cell/",
    "decoder": "decoder/cell/lstm_cell/",
    "output": "decoder/output_",
}


class TalkModel(Model):
    """The talk's graph. Its loop emits the outputs of the cell, and one product after the loop makes the logits."""

    def connect(self, parts):
        encoder, parts = (self.encoder_inputs, self.encoder_inputs_length), parts._replace(make_loop_fn=make_loop_fn)
        results = build_model(*encoder, None, self.decoder_targets_length, self.config, parts, tf.nn)
        with tf.variable_scope("decoder", reuse=True):
            weights, bias = tf.get_variable("output_weights"), tf.get_variable("output_bias")
        time, batch, units = tf.unstack(tf.shape(results["decoder_outputs"]))
        flat = tf.matmul(tf.reshape(results["decoder_outputs"], [-1, units]), weights) + bias
        logits = tf.reshape(flat, [time, batch, bias.shape[0]])
        return {
            "decoder_logits": logits,
            "decoder_prediction": tf.argmax(logits, axis=2, output_type=tf.int32),
            "loss": masked_loss(logits, self.decoder_targets, results["decoder_lengths"]),
        }


def make_loop_fn(embeddings, encoder_final_state, *arguments, **others):
    loop_fn = seq2seq_copy.make_loop_fn(embeddings, encoder_final_state, *arguments, **others)

    def emit_outputs(time, cell_output, cell_state, loop_state):
        finished, next_input, next_state, _, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
        outputs = tf.zeros(encoder_final_state.h.shape[1:]) if cell_output is None else cell_output
        return finished, next_input, next_state, {"decoder_outputs": outputs}, loop_state

    return emit_outputs


def load(weights, session):
    for name, value in weights.items():
        first, _, second = name.partition("_")
        (variable,) = (v for v in tf.trainable_variables() if v.op.name == NAMES[first] + second)
        variable.load(value, session)


def config_of(config, form):
    return replace(config, xla="on" if form == "compiled" else "off")


def prepare(data, form):
    """Returns take_steps and decode for work.run()."""
    config = config_of(data.config, form)
    model = TalkModel(config, PLAIN, PLAIN) if form == "talk" else variants.open_model(config)
    load(data.weights, model.session)
    most, done = most_steps(config), 0

    def take_steps(batches):
        nonlocal done
        calls = [batches[start : start + most] for start in range(0, len(batches), most)]
        step = min(done, config.max_batches - len(batches))  # after the last batch, the learning rate no longer changes
        done += len(batches)
        return [loss for _, losses, *_ in seq2seq_copy.train(model, calls, step) for loss in losses]

    return take_steps, model.predict


def main():
    path, form, _ = sys.argv[1:]
    if form == "talk":
        os.environ |= {"TF_NUM_INTRAOP_THREADS": "0", "TF_NUM_INTEROP_THREADS": "0"}
    else:
        startup.prepare_training(config_of(work.read_config(path), form))
    startup.import_tensorflow()
    work.run(prepare)


if __name__ == "__main__":
    main()
