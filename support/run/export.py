"""A trained run as a SavedModel: a folder that TensorFlow loads and runs without this project.

It holds the model without loss and Adam. The signature is batch-major, unlike everything else in this project: a server
joins requests along the first axis, and so does the row format of TensorFlow Serving.
"""

import os
import sys

from helpers import EXTRA_DECODER_STEPS, PAD, Batch
from seq2seq_copy import PLAIN, build_model
from support.model import greedy, variants
from support.run.whole_files import clear_write_errors, new_folder
from support.signals import handling
from support.tensorflow import tensorflow_v1 as tf

VOCABULARY = "vocabulary.txt"


def write(folder, path, config):
    """Writes the final weights of a run as a SavedModel at path, which must not exist yet.

    Raises:
      UserError: the checkpoint is damaged or of another model.
      OSError: something cannot be written. Nothing is left behind.
      SystemExit: a signal came while the files were written. Nothing is left behind.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        inputs, outputs = connect(config)
        tf.add_to_collection(tf.GraphKeys.ASSET_FILEPATHS, tf.constant(VOCABULARY, name="vocabulary"))
        saver = tf.train.Saver()
        folder.restore_final(session, saver)
        signature = tf.saved_model.predict_signature_def(inputs, outputs)
        errors, received = clear_write_errors(path, tf.errors.OpError), []
        # A handler that raises could interrupt TensorFlow at any point, and it does not survive that at every point.
        with errors, handling(lambda number, _: received.append(number)), new_folder(path) as partial:
            builder = tf.saved_model.Builder(os.fspath(partial))
            builder.add_meta_graph_and_variables(
                session,
                [tf.saved_model.SERVING],
                {tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature},
                assets_collection=tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS),
                strip_default_attrs=True,  # so that an older TensorFlow can load it
                saver=saver,
            )
            builder.save()
            # Last, because the builder copies a file of this name from the current folder if there is one.
            lines = "".join(f"{name}\n" for name in config.vocabulary)
            (partial / "assets" / VOCABULARY).write_text(lines, encoding="utf-8", newline="\n")
            if received:
                sys.exit(128 + received[0])


def connect(config):
    """Connects the model to batch-major inputs and outputs.

    Returns:
      inputs, outputs: dicts from the names in the signature to tensors.
    """
    sequences = tf.placeholder(tf.int32, [None, None], name="sequences")  # [batch, time]
    lengths = tf.placeholder(tf.int32, [None], name="lengths")  # [batch]
    encoder_inputs = tf.transpose(sequences, name="encoder_inputs")
    parts = greedy.answer(variants.replace_parts(PLAIN, config))
    longest = config.longest_answer
    with tf.name_scope("decoder_targets_length"):
        target_lengths = lengths if longest is None else tf.fill(tf.shape(lengths), longest - EXTRA_DECODER_STEPS)
    results = build_model(Batch(encoder_inputs, lengths, None, target_lengths), config, parts)
    with tf.name_scope("outputs"):
        predictions = tf.transpose(results["decoder_prediction"], name="predictions")  # [batch, decoder_time]
        of_all = tf.transpose(tf.nn.softmax(results["decoder_logits"]), [1, 0, 2])  # [batch, decoder_time, vocab_size]
        of_predicted = tf.gather(of_all, predictions, batch_dims=2)
        # PAD occurs only past the end of an answer, where all logits are zeros and all symbols equally probable.
        is_answer = tf.cast(tf.not_equal(predictions, PAD), tf.float32)
        probabilities = tf.multiply(of_predicted, is_answer, name="probabilities")
    inputs = {"sequences": sequences, "lengths": lengths}
    return inputs, {"predictions": predictions, "probabilities": probabilities}
