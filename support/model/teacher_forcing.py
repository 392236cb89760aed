"""The decoder's inputs in training: true symbols in place of its own predictions, always or by chance."""

from support.tensorflow import tensorflow_v1 as tf


def with_teacher_forcing(parts, config, columns=None):
    """Lets the decoder read the true symbol of the step before.

    Source: always (--feedback teacher): Williams and Zipser, "A learning algorithm for continually running fully
    recurrent neural networks", 1989. By chance (--feedback scheduled): Bengio et al., "Scheduled sampling for sequence
    prediction with recurrent neural networks", 2015, section 2.4. The probability of the true symbol falls linearly,
    here from config.teacher_probability to 0 over the run. columns is a slice, which columns of each batch the model
    gets; None for all.
    """

    def make_loop_fn(encoded, decoder_lengths, decoder_targets):
        loop_fn = parts.make_loop_fn(encoded, decoder_lengths, decoder_targets)
        true_inputs = tf.nn.embedding_lookup(encoded.embeddings, decoder_targets)  # [decoder_time, batch, size]
        reads_truth = tf.ones_like(decoder_targets, tf.bool)  # [decoder_time, batch]
        if config.feedback == "scheduled":
            reads_truth = toss_coins(config, columns)[: tf.shape(decoder_targets)[0]]

        def taught_loop_fn(time, cell_output, cell_state, loop_state):
            finished, next_input, next_state, emit, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
            if cell_output is not None:
                next_input = tf.where(reads_truth[time - 1], true_inputs[time - 1], next_input)
            return finished, next_input, next_state, emit, loop_state

        return taught_loop_fn

    return parts._replace(make_loop_fn=make_loop_fn)


def toss_coins(config, columns):
    """Returns which sequences read the truth at which step, bool [decoder_steps, batch].

    A coin depends only on the seed and the batch, but XLA and TensorFlow toss different coins.
    """
    # Tensors outside of what XLA compiles, so that a compiled program is the same for all their values.
    with tf.init_scope():
        probability, max_batches = tf.constant(config.teacher_probability), tf.constant(config.max_batches)
        seed = tf.constant(config.seed)
    batch = tf.cast(tf.train.get_global_step(), tf.int32)
    probability *= 1 - tf.cast(batch, tf.float32) / tf.cast(max_batches, tf.float32)
    coins = tf.random.stateless_uniform([config.decoder_steps, config.batch_size], tf.stack([seed, batch]))
    return (coins if columns is None else coins[:, columns]) < probability
