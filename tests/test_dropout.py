"""Dropout: which connections, how much on average, only in training, and with every variant."""

import dataclasses

import core
import numpy as np
import pytest

import helpers
from seq2seq_copy import PLAIN
from support.model import dropout, variants
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf
from tests.running import long

CONFIG = Settings(vocab_size=7, input_embedding_size=9, encoder_hidden_units=8, length_to=6, batch_size=4, xla="off")
BATCH = helpers.task_batch("copy", [[3, 2, 6, 5, 4], [5], [2, 2, 6], [6, 4, 3, 5, 2]])
VARIANTS = [
    {"attention": "luong", "cell": "gru", "feedback": "teacher"},
    long({}),
    long({"attention": "bahdanau", "layers": 2}),
    long({"encoder": "forward", "layers": 3, "cell": "gru"}),
]


def kept(batch=0, name="cell", columns=None, seed=3):
    tf.reset_default_graph()
    tf.train.create_global_step()
    config = dataclasses.replace(CONFIG, batch_size=2000, dropout=0.3, seed=seed)
    found = dropout.keep_some(name, 10, config, columns)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        tf.train.get_global_step().load(batch, session)
        return session.run(found)


def test_the_coins():
    values = kept()
    np.testing.assert_allclose(np.unique(values), [0, 1 / 0.7], rtol=1e-6)
    np.testing.assert_allclose(values.mean(axis=0), 1, atol=0.06)
    np.testing.assert_array_equal(values, kept())
    for other in (kept(batch=1), kept(name="forward"), kept(seed=4)):
        assert 0.35 < (values != other).mean() < 0.49, "0.42 of two independent coins differ"
    np.testing.assert_array_equal(values[5:9], kept(columns=slice(5, 9)))


def test_without_dropout_the_parts_are_as_they_were():
    assert variants.replace_parts(PLAIN, CONFIG, training=True) == PLAIN
    assert variants.replace_parts(PLAIN, dataclasses.replace(CONFIG, dropout=0.5)) == PLAIN


@pytest.mark.parametrize("xla", [long("on"), "off"])
@pytest.mark.parametrize("changes", VARIANTS)
def test_almost_no_dropout_is_none(changes, xla):
    """Everything is kept, in every variant, so the loss is the same. With half of it dropped, only answers are."""
    losses, logits = {}, {}
    for probability in (0.0, 1e-12, 0.5):
        trainer = variants.open_trainer(dataclasses.replace(CONFIG, dropout=probability, xla=xla, **changes))
        with trainer.model.session as session:
            logits[probability] = session.run(trainer.model.decoder_logits, trainer.model.feed(BATCH))
            losses[probability] = core.losses_of(trainer, [BATCH] * 3, 0.05)
    np.testing.assert_array_equal(logits[0.5], logits[0.0])
    np.testing.assert_allclose(losses[1e-12], losses[0.0], rtol=1e-4)
    assert not np.isclose(losses[0.5], losses[0.0], rtol=1e-4).any()


def test_inputs_are_dropped_and_states_are_not():
    """A weight of an input that is dropped at all steps has no gradient; the weights of the state have one."""
    config = dataclasses.replace(CONFIG, dropout=0.5, layers=2, batch_size=1)
    model = variants.open_model(config)
    _, gradients = core.results_of(model, variants.replace_parts(PLAIN, config, training=True))
    gradients = dict(zip(tf.trainable_variables(), gradients))
    kernels = {variable.op.name: gradient for variable, gradient in gradients.items() if "kernel" in variable.op.name}
    with model.session as session:
        batch = helpers.task_batch("copy", [[3, 2, 6, 5, 4]])
        masks = {name: dropout.keep_some(name.split("/", 1)[1].removesuffix("/lstm_cell/kernel"), size, config)
                 for name in kernels for size in [rows_of_inputs(name)]}  # fmt: skip
        found, masks = session.run([kernels, masks], model.feed(batch))
    assert len(found) == 6
    for name, gradient in found.items():
        has_gradient = np.abs(gradient).max(axis=1) > 0
        inputs = has_gradient[: masks[name].size]
        np.testing.assert_array_equal(inputs, masks[name][0] > 0, err_msg=name)
        assert 0 < inputs.sum() < inputs.size
        assert has_gradient[masks[name].size :].all()


def rows_of_inputs(name):
    if "layer_0" in name:
        return CONFIG.input_embedding_size
    return CONFIG.encoder_hidden_units * (2 if name.startswith("decoder") else 1)
