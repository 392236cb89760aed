"""How much a run may ask for: limits of time and memory, and what they allow at given settings."""

LARGEST_VOCABULARY = 100_000
LONGEST_SEQUENCE = 10_000
LARGEST_LAYER = 4_096  # units
MOST_LAYERS = 16
EVALUATION_BATCH = 1_000  # validation sequences that the curve counts; sequences that are decoded together
LARGEST_TENSOR = 2**31 - 1  # numbers; XLA counts them in 32 bits, and a training step needs a dozen such tensors
LARGEST_DECODING = 10_000_000  # numbers of the widest layer, in all sequences that are decoded together


def largest_tensor(config):
    """Returns how many numbers the largest tensor of a training step holds."""
    units = config.decoder_hidden_units
    width = max(config.vocab_size, 4 * units)  # numbers of a decoder step
    if config.attention == "bahdanau":
        width = max(width, config.length_to * units)  # kept for the gradient of the scores
    elif config.attention == "luong":
        width = max(width, config.length_to)  # the weights
    return config.batch_size * max(config.decoder_steps * width, config.length_to * 4 * config.encoder_hidden_units)


def sequences_at_once(config, length, steps, beam=1):
    """Returns how many sequences fit into memory, at least 1, when they are answered together.

    length is that of the longest input, steps how many the decoder makes for it, and beam how many answers it tries.
    """
    gates, weights = 8 * config.encoder_hidden_units, length if config.attention != "none" else 0
    numbers = max(length * gates, steps * beam * max(config.vocab_size, gates, weights))
    return max(1, LARGEST_DECODING // numbers)


def evaluation_batch(config):
    """Returns how many sequences of an evaluation are decoded at once."""
    return min(EVALUATION_BATCH, sequences_at_once(config, config.length_to, config.decoder_steps))
