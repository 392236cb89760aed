"""TensorFlow as a peer.

    python -m benchmarks.peer_tensorflow WORK compiled|raw_rnn|talk job|LOSSES

compiled and raw_rnn are seq2seq_copy.py with --xla on and off. talk trains with the graph of the well-known tutorials,
which projects the decoder's outputs a second time after the loop, in a session with default settings.
"""

import os
import sys
from dataclasses import replace
from functools import partial

import seq2seq_copy
from benchmarks import work
from seq2seq_copy import Model, Trainer, build_model, masked_loss, run_in_session, train
from support.model import variants
from support.tensorflow import startup
from support.tensorflow import tensorflow_v1 as tf

NAMES = {
    "embeddings": "embedding/embeddings",
    "forward": "encoder/forward/lstm_cell/",
    "backward": "encoder/backward/lstm_cell/",
    "decoder": "decoder/cell/lstm_cell/",
    "output": "decoder/output_",
    "encoder": "decoder/luong/encoder_",
    "combining": "decoder/luong/combining_",
}


def compute_as_the_talk(batch, config, parts):
    """Replaces loss_and_gradients(): the loop emits the outputs of the cell, and one product after it the logits."""
    parts = parts._replace(make_loop_fn=make_loop_fn)
    results = build_model(batch._replace(targets=None), config, parts)
    with tf.variable_scope("decoder", reuse=True):
        weights, bias = tf.get_variable("output_weights"), tf.get_variable("output_bias")
    time, batch_size, units = tf.unstack(tf.shape(results["decoder_outputs"]))
    flat = tf.matmul(tf.reshape(results["decoder_outputs"], [-1, units]), weights) + bias
    logits = tf.reshape(flat, [time, batch_size, bias.shape[0]])
    loss = masked_loss(logits, batch.targets[:time], results["decoder_lengths"])
    return loss, [tf.convert_to_tensor(gradient) for gradient in tf.gradients(loss, tf.trainable_variables())]


def make_loop_fn(encoded, decoder_lengths, decoder_targets):
    loop_fn = seq2seq_copy.make_loop_fn(encoded, decoder_lengths, decoder_targets)

    def emit_outputs(time, cell_output, cell_state, loop_state):
        finished, next_input, next_state, _, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
        outputs = tf.zeros(encoded.final_state.h.shape[1:]) if cell_output is None else cell_output
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
    trainer = Trainer(Model(config), runner=run_as_the_talk) if form == "talk" else variants.open_trainer(config)
    load(data.weights, trainer.model.session)
    done = 0

    def take_steps(batches):
        nonlocal done
        step = min(done, config.max_batches - len(batches))  # after the last batch, the learning rate no longer changes
        done += len(batches)
        return [loss for _, loss, *_ in train(trainer, batches, step)]

    return take_steps, trainer.model.predict


def run_as_the_talk(step, model):
    return run_in_session(partial(step, compute=compute_as_the_talk), model)


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
