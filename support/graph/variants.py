"""Which parts of the plain model the settings replace."""

from support.graph import attention, feedback, gru, layers
from support.graph import tensorflow_v1 as tf


def replace_parts(parts, config, training=False, columns=None):
    """Returns the parts of the model that the settings ask for.

    Args:
      parts: the seq2seq_copy.Parts of the plain model.
      config: a settings.Config.
      training: bool, whether they are for the training step. Only there may the decoder read true symbols; whoever
        asks the model gets one that reads its own predictions.
      columns: slice, which columns of each batch the model gets; None for all.

    Returns:
      A seq2seq_copy.Parts.
    """
    if config.cell == "gru":
        parts = parts._replace(cell=gru.GRUCell, concatenate_states=gru.concatenate_states)
    if config.layers > 1:
        parts = layers.stack(parts, config.layers)
    if config.encoder == "forward":
        parts = parts._replace(encode=encode_forward)
    if training and config.feedback != "argmax":
        parts = feedback.teach(parts, config, columns)
    if config.attention != "none":
        parts = attention.attend(parts, config.attention)
    return parts


def encode_forward(encoder_inputs_embedded, encoder_inputs_length, encoder_hidden_units, parts):
    """Reads the sequences from left to right only. Arguments and results are those of seq2seq_copy.encode()."""
    with tf.variable_scope("encoder"):
        cell = parts.cell("forward", encoder_hidden_units, encoder_inputs_embedded.shape[2])
        return parts.loops.dynamic_rnn(
            cell, encoder_inputs_embedded, sequence_length=encoder_inputs_length, dtype=tf.float32, time_major=True
        )
