"""What the plain model leaves out: attention, and true symbols in the place of predicted ones.

Both stand around the decoder's loop_fn: a function with the contract of tf.nn.raw_rnn that asks the one within and
changes what it needs. The plain model is not touched.
"""

from tensorflow_v1 import tf


def output_of(state):
    """Returns the part of a cell's state that is its output too: h of an LSTM's c and h, the whole state of a GRU."""
    return tf.nest.flatten(state)[-1]


def extend(loop_fn, config, embeddings, encoder_outputs, encoder_inputs_length, decoder_targets):
    """Puts around the decoder's loop_fn what the settings ask for.

    Args:
      loop_fn: what seq2seq_copy.make_loop_fn() returned.
      config: the Config.
      embeddings: float32 [vocab_size, input_embedding_size].
      encoder_outputs: float32 [time, batch, encoder_units].
      encoder_inputs_length: int32 [batch].
      decoder_targets: int32 [decoder_time, batch].

    Returns:
      loop_fn, for tf.nn.raw_rnn; with attention it also emits the weights, float32 [batch, time].
      input_size: int, the length of the vectors that it gives the cell to read.
    """
    input_size = embeddings.shape[1]
    if config.feedback != "argmax":
        loop_fn = reading_the_truth(loop_fn, config, embeddings, decoder_targets)
    if config.attention != "none":
        with tf.variable_scope(config.attention):
            attending = {"bahdanau": bahdanau, "luong": luong}[config.attention]
            loop_fn = attending(loop_fn, encoder_outputs, encoder_inputs_length)
        input_size += encoder_outputs.shape[2]
    return loop_fn, input_size


# ---------------------------------------------------------------------------------------------------
# Attention. It weights the encoder's outputs anew at each step of the decoder.


def weighted(scores, encoder_outputs, encoder_inputs_length):
    """Turns scores into weights, and the encoder's outputs into their weighted sum.

    Args:
      scores: float32 [time, batch], of each encoder output; higher is more important.
      encoder_outputs: float32 [time, batch, encoder_units].
      encoder_inputs_length: int32 [batch].

    Returns:
      context: float32 [batch, encoder_units].
      weights: float32 [batch, time]; they sum to 1, and past the end of a sequence they are 0.
    """
    real = tf.sequence_mask(encoder_inputs_length, tf.shape(scores)[0])  # [batch, time]
    scores = tf.where(real, tf.transpose(scores), tf.fill(tf.shape(real), tf.float32.min))
    weights = tf.nn.softmax(scores)
    context = tf.reduce_sum(tf.transpose(weights)[:, :, tf.newaxis] * encoder_outputs, axis=0)
    return context, weights


def linear(name, tensor, units):
    """Multiplies the last axis of a tensor by a new matrix of weights; returns [..., units]."""
    size = tensor.shape[-1]
    return tf.tensordot(tensor, tf.get_variable(name, [size, units]), axes=1)


def bahdanau(loop_fn, encoder_outputs, encoder_inputs_length):
    """Lets the cell read, besides a symbol, what the state before it attends to.

    Source: Bahdanau et al., "Neural machine translation by jointly learning to align and translate", 2015. Scores:
    e = v tanh(W s + U h), section 3.1 and appendix A.1.2; the state s is that before the step, so the weights for a
    step come from the call of loop_fn before it, which hands them on as loop_state. Two things are simpler than in the
    paper: the first state is the encoder's final one as it is, and g (equation 4) reads the state alone, which has read
    the context.

    Args:
      loop_fn: the loop_fn within, which returns next_input [batch, input_size] and emits a tuple.
      encoder_outputs: float32 [time, batch, encoder_units], h.
      encoder_inputs_length: int32 [batch].

    Returns:
      A loop_fn whose next_input is [batch, input_size + encoder_units], and which emits the weights too.
    """
    units = encoder_outputs.shape[2]
    keys = linear("encoder_weights", encoder_outputs, units)  # [time, batch, units]
    state_weights = tf.get_variable("state_weights", [units, units])
    score_weights = tf.get_variable("score_weights", [units])

    def attend(state):
        scores = tf.reduce_sum(score_weights * tf.tanh(tf.matmul(state, state_weights) + keys), axis=2)
        return weighted(scores, encoder_outputs, encoder_inputs_length)

    def attending(time, cell_output, cell_state, loop_state):
        finished, next_input, next_state, emit, _ = loop_fn(time, cell_output, cell_state, None)
        weights_of_step = tf.zeros(tf.shape(encoder_outputs)[:1]) if cell_output is None else loop_state
        context, weights = attend(output_of(next_state))
        return finished, tf.concat([next_input, context], axis=1), next_state, (*emit, weights_of_step), weights

    return attending


def luong(loop_fn, encoder_outputs, encoder_inputs_length):
    """Lets the projection read, besides what the cell puts out, what this attends to; the cell reads both next.

    Source: Luong et al., "Effective approaches to attention-based neural machine translation", 2015: global attention
    (section 3.1) with the weights of equation 7 and the score "general" below it, the attentional state (equation 5),
    input feeding (section 3.3).

    Args, returns:
      as for bahdanau().
    """
    units = encoder_outputs.shape[2]
    keys = linear("encoder_weights", encoder_outputs, units)  # [time, batch, units]
    combining_weights = tf.get_variable("combining_weights", [2 * units, units])

    def attending(time, cell_output, cell_state, loop_state):
        if cell_output is None:
            finished, next_input, next_state, emit, _ = loop_fn(time, None, None, None)
            attentional = tf.zeros_like(output_of(next_state))
            weights = tf.zeros(tf.shape(encoder_outputs)[:1])
        else:
            context, weights = weighted(
                tf.reduce_sum(cell_output * keys, axis=2), encoder_outputs, encoder_inputs_length
            )
            attentional = tf.tanh(tf.matmul(tf.concat([context, cell_output], axis=1), combining_weights))
            finished, next_input, next_state, emit, _ = loop_fn(time, attentional, cell_state, None)
        return finished, tf.concat([next_input, attentional], axis=1), next_state, (*emit, weights), None

    return attending


# ---------------------------------------------------------------------------------------------------
# Feedback, in training.


def reading_the_truth(loop_fn, config, embeddings, decoder_targets):
    """Gives the cell the true symbol of the step before to read, always or by chance.

    Source: always: Williams and Zipser, "A learning algorithm for continually running fully recurrent neural networks",
    1989. By chance: Bengio et al., "Scheduled sampling for sequence prediction with recurrent neural networks", 2015,
    section 2.4: the probability of the true symbol falls linearly, here from config.teacher_probability to 0 over the
    run. The coin is thrown for each sequence and step, and depends on the seed and the batch alone; XLA throws other
    coins than TensorFlow.

    Args:
      loop_fn: the loop_fn within, which returns the embedded prediction as next_input.
      config: the Config; its feedback is teacher or scheduled.
      embeddings: float32 [vocab_size, input_embedding_size].
      decoder_targets: int32 [decoder_time, batch].

    Returns:
      A loop_fn.
    """
    steps = tf.shape(decoder_targets)[0]
    truth = tf.nn.embedding_lookup(embeddings, decoder_targets)  # [decoder_time, batch, input_embedding_size]
    read = tf.ones_like(decoder_targets, tf.bool)
    if config.feedback == "scheduled":
        batch = tf.cast(tf.train.get_or_create_global_step(), tf.int32)
        probability = config.teacher_probability * (1 - tf.cast(batch, tf.float32) / config.max_batches)
        coins = tf.random.stateless_uniform([config.decoder_steps, config.batch_size], [config.seed, batch])
        read = coins[:steps] < probability

    def teaching(time, cell_output, cell_state, loop_state):
        finished, next_input, next_state, emit, loop_state = loop_fn(time, cell_output, cell_state, loop_state)
        if cell_output is not None:
            next_input = tf.where(read[time - 1], truth[time - 1], next_input)
        return finished, next_input, next_state, emit, loop_state

    return teaching
