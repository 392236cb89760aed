"""The model that the settings ask for: which parts they replace, and whether XLA compiles its training step."""

from __future__ import annotations

from seq2seq_copy import PLAIN, Model
from support.model import attention, cells, dropout, teacher_forcing
from support.tensorflow import compiled
from support.tensorflow import tensorflow_v1 as tf


def open_model(config, parts=PLAIN, training_parts=None, trains=True):
    """Builds the model of some settings and opens a session with initial weights.

    Args:
      config: a settings.Settings.
      parts: the seq2seq_copy.Parts that the variants of the settings are put around.
      training_parts: the Parts for the training step; None for the same.
      trains: bool, whether the model is trained, or only predicts.

    Returns:
      A seq2seq_copy.Model. If config.xla is on and it trains, it is a compiled.CompiledModel, unless XLA does not
      compile the step; then a warning says why.
    """
    predicting = replace_parts(parts, config)
    if not trains:
        return Model(config, predicting)
    training = predicting
    if training_parts is not None or config.feedback != "argmax" or config.dropout:
        training = replace_parts(training_parts or parts, config, training=True)
    model = compiled.compile_model(config, predicting, training) if config.xla == "on" else None
    return model or Model(config, predicting, training)


def replace_parts(parts, config, training=False, columns=None):
    """Replaces the parts of the model that the settings ask for.

    Args:
      parts: the seq2seq_copy.Parts of the plain model.
      config: a settings.Settings.
      training: bool, whether they are for the training step. Only then may the decoder read true symbols, and does
        dropout apply; a model that predicts reads its own predictions.
      columns: slice, which columns of each batch the model gets; None for all.

    Returns:
      A seq2seq_copy.Parts.
    """
    if config.cell == "gru":
        parts = parts._replace(cell=cells.GRUCell, concatenate_states=cells.concatenate_states)
    if config.encoder == "forward":
        parts = parts._replace(encode=encode_forward, concatenate_states=only_state)
    if training and config.dropout:
        parts = dropout.drop(parts, config, columns)
    if config.layers > 1:
        parts = cells.stack_layers(parts, config.layers)
    if training and config.feedback != "argmax":
        parts = teacher_forcing.teach(parts, config, columns)
    if config.attention != "none":
        parts = attention.attend(parts, config.attention)
    return parts


def encode_forward(cells, encoder_inputs_embedded, encoder_inputs_length, nn):
    """Reads the sequences from left to right only. Arguments and results as for seq2seq_copy.encode()."""
    (cell,) = cells
    encoder_outputs, final_state = nn.dynamic_rnn(
        cell, encoder_inputs_embedded, sequence_length=encoder_inputs_length, dtype=tf.float32, time_major=True
    )
    return encoder_outputs, [final_state]


def only_state(forward_state):
    """Replaces concatenate_states() if there is only one direction."""
    return forward_state
