"""The model that the settings ask for: which parts they replace, and whether XLA compiles its training step."""

import logging
from dataclasses import replace

from seq2seq_copy import PLAIN, Model, Trainer, build_model
from support.model import attention, cells, dropout, teacher_forcing
from support.tensorflow import compile_cache, compiled, startup
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.sharing import reusing

log = logging.getLogger(__name__)


def open_model(config, parts=PLAIN):
    """Returns a seq2seq_copy.Model of some settings, which only predicts; their variants are put around parts."""
    return Model(config, replace_parts(parts, config))


def open_trainer(config, parts=PLAIN, training_parts=None):
    """Returns a seq2seq_copy.Trainer of the model of some settings, as compiled_if_possible() does.

    The variants of the settings are put around parts or, for the training step, around training_parts if there are any.
    """
    training = replace_parts(training_parts or parts, config, training=True)

    def build(config):
        model = open_model(config, parts)
        return Trainer(model, training, compiled.run_compiled) if config.xla == "on" else Trainer(model, training)

    return compiled_if_possible(config, build)


def compiled_if_possible(config, build):
    """Returns the Trainer that build() makes of a settings.Settings.

    If config.xla is on, XLA has compiled its step. If it cannot, a warning says why, and config.xla is off.
    """
    has_forgotten = False
    while config.xla == "on":
        try:
            trainer = build(config)
            with startup.silent_compilation():
                list(trainer.run([]))
            return trainer
        except tf.errors.OpError as error:
            if not has_forgotten and compile_cache.forget():  # a cached program may be to blame
                has_forgotten = True
                continue
            if isinstance(error, tf.errors.ResourceExhaustedError):
                raise
            lines = [line for line in str(error).splitlines() if line and line != "Graph execution error:"]
            log.warning("XLA cannot compile the step; continuing as with --xla off (%s)", lines[0])
            config = replace(config, xla="off")
    return build(config)


def validation_loss(model):
    """Returns the loss of what the model is fed, float32 []: as in training, but without dropout or scheduled sampling.

    With teacher forcing, the decoder reads true symbols, so that one error does not count again at each later step.
    """
    config = replace(model.config, dropout=0.0)
    if config.feedback != "teacher":
        return model.loss
    with reusing(model.variables):
        return build_model(model.placeholders, config, replace_parts(PLAIN, config, training=True))["loss"]


def replace_parts(parts, config, training=False, columns=None):
    """Replaces the parts of the model that the settings ask for.

    In the training step the decoder may read true symbols, and dropout applies. A model that predicts reads its own
    predictions. columns is a slice, which columns of each batch the model gets; None for all.
    """
    if config.cell == "gru":
        parts = parts._replace(cell=cells.GRUCell, concatenate_states=cells.concatenate_states)
    if config.encoder == "forward":
        parts = parts._replace(encode=encode_forward)
    if training and config.dropout:
        parts = dropout.with_dropout(parts, config, columns)
    if config.layers > 1:
        parts = cells.with_layers(parts, config.layers)
    if training and config.feedback != "argmax":
        parts = teacher_forcing.with_teacher_forcing(parts, config, columns)
    if config.attention != "none":
        parts = attention.with_attention(parts, config)
    return parts


def encode_forward(encoder_inputs_embedded, encoder_inputs_length, config, parts):
    """Reads the sequences from left to right only. Arguments and results as for seq2seq_copy.encode()."""
    cell = parts.cell("forward", config.encoder_hidden_units, config.input_embedding_size)
    return parts.loops.dynamic_rnn(
        cell, encoder_inputs_embedded, encoder_inputs_length, dtype=tf.float32, time_major=True
    )
