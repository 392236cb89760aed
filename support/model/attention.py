"""Attention: at every step the decoder weighs the encoder's outputs again.

The plain model has to carry a whole sequence in the encoder's final state. With attention, the decoder looks back. Both
forms wrap the decoder's loop_fn in another loop_fn for tf.nn.raw_rnn.
"""

from support.tensorflow import tensorflow_v1 as tf


def with_attention(parts, config):
    """Lets the decoder's loop_fn attend, and also emit alignment, the weights of each step, float32 [batch, time]."""
    wrap = {"bahdanau": bahdanau, "luong": luong}[config.attention]

    def make_loop_fn(encoded, decoder_lengths, decoder_targets):
        loop_fn = parts.make_loop_fn(encoded, decoder_lengths, decoder_targets)
        with tf.variable_scope(config.attention):
            return wrap(loop_fn, encoded.outputs, encoded.lengths)

    return parts._replace(make_loop_fn=make_loop_fn, context_size=config.decoder_hidden_units)


def bahdanau(loop_fn, encoder_outputs, encoder_inputs_length):
    """Lets the cell read, besides a symbol, the context that the state before the step attends to.

    Source: Bahdanau et al., "Neural machine translation by jointly learning to align and translate", 2015. Scores:
    e = v tanh(W s + U h), section 3.1 and appendix A.1.2. The state s is the one before the step, so the call of
    loop_fn after one step computes the weights of the next step and returns them as loop_state. Two things are simpler
    than in the paper: the decoder starts from the encoder's final state as it is, and g (equation 4) reads only the
    state, which has read the context.

    Args:
      loop_fn: the loop_fn to wrap. It returns next_input [batch, input_size] and emits a dict.
      encoder_outputs: float32 [time, batch, encoder_units], h.
      encoder_inputs_length: int32 [batch].

    Returns:
      A loop_fn whose next_input is [batch, input_size + encoder_units], and which also emits alignment, the weights.
    """
    units = encoder_outputs.shape[2]
    keys = keys_of(encoder_outputs)  # [time, batch, units]
    state_weights = tf.get_variable("state_weights", [units, units])
    score_weights = tf.get_variable("score_weights", [units])

    def attending_loop_fn(time, cell_output, cell_state, loop_state):
        finished, next_input, next_state, emit, _ = loop_fn(time, cell_output, cell_state, None)
        weights_of_step = tf.zeros(tf.shape(encoder_outputs)[:1]) if cell_output is None else loop_state
        query = tf.matmul(next_state.h, state_weights)
        scores = tf.reduce_sum(score_weights * tf.tanh(query + keys), axis=2)  # [time, batch]
        context, next_weights = weighted_mean(scores, encoder_outputs, encoder_inputs_length)
        next_input = tf.concat([next_input, context], axis=1)
        return finished, next_input, next_state, emit | {"alignment": weights_of_step}, next_weights

    return attending_loop_fn


def luong(loop_fn, encoder_outputs, encoder_inputs_length):
    """Lets the projection read, besides the cell's output, the context that it attends to. The cell then reads both.

    Source: Luong et al., "Effective approaches to attention-based neural machine translation", 2015: global attention
    (section 3.1) with the weights of equation 7 and the score "general" below it, the attentional state (equation 5),
    input feeding (section 3.3).

    Arguments and results are the same as for bahdanau().
    """
    units = encoder_outputs.shape[2]
    keys = keys_of(encoder_outputs)  # [time, batch, units]
    combining_weights = tf.get_variable("combining_weights", [2 * units, units])

    def attending_loop_fn(time, cell_output, cell_state, loop_state):
        if cell_output is None:
            finished, next_input, next_state, emit, _ = loop_fn(time, None, None, None)
            attentional_state = tf.zeros_like(next_state.h)
            weights = tf.zeros(tf.shape(encoder_outputs)[:1])
        else:
            scores = tf.reduce_sum(cell_output * keys, axis=2)  # [time, batch]
            context, weights = weighted_mean(scores, encoder_outputs, encoder_inputs_length)
            attentional_state = tf.tanh(tf.matmul(tf.concat([context, cell_output], axis=1), combining_weights))
            finished, next_input, next_state, emit, _ = loop_fn(time, attentional_state, cell_state, None)
        next_input = tf.concat([next_input, attentional_state], axis=1)
        return finished, next_input, next_state, emit | {"alignment": weights}, None

    return attending_loop_fn


def weighted_mean(scores, encoder_outputs, encoder_inputs_length):
    """Turns scores into weights, and averages the encoder's outputs with them.

    Args:
      scores: float32 [time, batch]; those past the end of a sequence are ignored.
      encoder_outputs: float32 [time, batch, encoder_units].
      encoder_inputs_length: int32 [batch].

    Returns:
      context: float32 [batch, encoder_units].
      weights: float32 [batch, time]. They sum to 1, and are 0 past the end of a sequence.
    """
    is_real = tf.sequence_mask(encoder_inputs_length, tf.shape(scores)[0])  # [batch, time]
    scores = tf.where(is_real, tf.transpose(scores), tf.fill(tf.shape(is_real), tf.float32.min))
    weights = tf.nn.softmax(scores)
    context = tf.reduce_sum(tf.transpose(weights)[:, :, tf.newaxis] * encoder_outputs, axis=0)
    return context, weights


def keys_of(encoder_outputs):
    """Multiplies the encoder's outputs by a new matrix of weights."""
    units = encoder_outputs.shape[2]
    return tf.tensordot(encoder_outputs, tf.get_variable("encoder_weights", [units, units]), axes=1)
