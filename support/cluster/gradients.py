"""The gradient of a training step compiled by XLA, for a worker of a cluster.

The sum over workers does not fit into a compiled program. So while compiled.py compiles whole steps, many in one call,
this file compiles the gradient of one.
"""

import types

import numpy as np

from support.graph import compiled
from support.tensorflow import tensorflow_v1 as tf


def compile_gradients(session, graph, connect, adam, parts, config):
    """Compiles the gradient of a training step. What follows it stays outside: the sum over workers, and Adam.

    Args:
      session: a tf.Session with initialised variables.
      graph: the seq2seq_copy.Graph that is asked; its optimizer makes the step.
      connect, adam: the functions of seq2seq_copy.
      parts: a seq2seq_copy.Parts.
      config: a settings.Config, with a batch_size of the columns that this worker takes.

    Returns:
      A Graph of the step, and a function from a helpers.Batch to its feed_dict. None if XLA does not compile it; a
      warning says why.
    """
    shapes = ([config.length_to, config.batch_size], [config.batch_size], [config.decoder_steps, config.batch_size])
    arguments = [tf.placeholder(tf.int32, shape) for shape in shapes]

    @tf.function(jit_compile=True, autograph=False)
    def gradients_of_step(*arguments):
        loss_and_gradients = []

        def keep(gradients, loss):
            loss_and_gradients.extend([loss, *gradients])
            return gradients, loss

        changes_nothing = types.SimpleNamespace(
            compute_gradients=graph.optimizer.compute_gradients, apply_gradients=lambda *_, **__: tf.no_op()
        )
        bounded_parts = parts._replace(loops=compiled.bounded_loops(config), sum_over_workers=keep)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=compiled.read_once):
            connect(*arguments, config=config, optimizer=changes_nothing, parts=bounded_parts)
        return loss_and_gradients

    def feed(batch):
        arrays = [np.zeros(shape, np.int32) for shape in shapes]
        compiled.fill(arrays, batch)
        return dict(zip(arguments, arrays))

    with compiled.warning_if_not_compiled():
        loss, *gradients = gradients_of_step(*arguments)
        session.run(loss, {argument: np.zeros(argument.shape) for argument in arguments})
        computed = types.SimpleNamespace(
            compute_gradients=lambda loss, variables: zip(gradients, variables),
            apply_gradients=graph.optimizer.apply_gradients,
        )
        names = ("encoder_inputs", "encoder_inputs_length", "decoder_targets")
        outputs = ("loss", "gradient_norm", "learning_rate", "train_op")
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            values = adam(loss, computed, config, parts)
        return graph._replace(**dict(zip((*names, *outputs), (*arguments, *values)))), feed
