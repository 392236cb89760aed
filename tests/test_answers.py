"""The answers to the exercises of the notebook, each compared with the result that the exercise promises."""

import itertools

import numpy as np
import pytest

import helpers
from experiments import answers
from seq2seq_copy import PLAIN, Model, Parts, evaluate
from support.model import teacher_forcing, variants
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

CONFIG = Settings(vocab_size=7, input_embedding_size=4, encoder_hidden_units=3, max_batches=10, feedback="teacher")
BATCH = helpers.task_batch("copy", [[3, 2, 6, 5, 4], [5, 6, 2, 2, 3], [2, 2, 6, 3, 3], [6, 4]])


@pytest.fixture
def model():
    """A Model whose biases are not zero."""
    model = Model(CONFIG, PLAIN, PLAIN)
    for variable in tf.trainable_variables():
        if "bias" in variable.name:
            variable.load(np.random.default_rng(0).normal(size=variable.shape), model.session)
    with model.session:
        yield model


def logits_of(*models):
    """Returns the logits of models in the same session for BATCH."""
    return models[0].session.run([model.decoder_logits for model in models], models[0].feed(BATCH))


@pytest.mark.parametrize("sizes", [{}, {"vocab_size": 30, "input_embedding_size": 7, "encoder_hidden_units": 11}])
def test_the_parameters_are_counted(sizes):
    config = Settings(**sizes)
    Model(config)
    expected = sum(int(np.prod(variable.shape)) for variable in tf.trainable_variables())
    assert sum(answers.count_parameters(config).values()) == expected
    assert sizes or expected == 16_930


def test_reversed_targets_are_those_of_the_task():
    generator = np.random.default_rng(0)
    sequences = [generator.integers(2, 10, size=length) for length in (5, 1, 8, 2)]
    batch = answers.reversed_targets(helpers.task_batch("copy", sequences))
    for values, expected in zip(batch, helpers.task_batch("reverse", sequences)):
        np.testing.assert_array_equal(values, expected)


def test_padding_adds_a_constant_to_the_unmasked_loss_and_only_scales_its_gradient(model):
    unmasked = answers.unmasked_loss(model)
    gradients = [tf.gradients(loss, tf.trainable_variables()[1:]) for loss in (model.loss, unmasked)]
    losses, gradients = model.session.run([(model.loss, unmasked), gradients], model.feed(BATCH))
    real = (BATCH.lengths + 3).sum() / BATCH.targets.size
    assert real < 1
    assert losses[1] == pytest.approx(real * losses[0] + (1 - real) * np.log(7), rel=1e-5)
    for masked, other in zip(*gradients):
        np.testing.assert_allclose(other, real * masked, atol=1e-6)


def test_the_state_of_the_neighbour_gives_the_sequence_of_the_neighbour(model):
    neighbours = answers.replace_parts(model, Parts(concatenate_states=answers.state_of_the_neighbour))
    logits, of_neighbour = logits_of(model, neighbours)
    assert np.abs(of_neighbour - logits).max() > 0.01
    np.testing.assert_allclose(of_neighbour[:, 1:3], logits[:, :2], atol=1e-6)
    np.testing.assert_allclose(of_neighbour[:5, 0], logits[:5, 3], atol=1e-6)  # it makes five steps


def test_reordering_the_decoder_undoes_the_swap_of_the_directions(model):
    swapped = answers.replace_parts(model, Parts(concatenate_states=answers.backward_first))
    logits, of_swapped = logits_of(model, swapped)
    assert np.abs(of_swapped - logits).max() > 0.01
    answers.reorder_decoder_of(model)
    np.testing.assert_allclose(logits_of(swapped)[0], logits, atol=1e-5)


def test_the_teaching_loop_fn_is_that_of_feedback_teacher(model):
    expected_parts = variants.replace_parts(PLAIN, CONFIG, training=True)
    assert expected_parts.make_loop_fn.__module__ == teacher_forcing.__name__
    both = [
        answers.replace_parts(model, parts)
        for parts in (expected_parts, Parts(make_loop_fn=answers.make_teaching_loop_fn))
    ]
    logits, expected, taught = logits_of(model, *both)
    assert np.abs(taught - logits).max() > 0.01
    np.testing.assert_allclose(taught, expected, atol=1e-6)


def test_a_model_learns_from_reversed_targets():
    """Three symbols, two of them at a time: 9 sequences."""
    config = Settings(vocab_size=5, length_from=2, length_to=2, max_batches=150, learning_rate=0.05)
    model = Model(config, PLAIN, PLAIN)
    batch = helpers.task_batch("copy", list(itertools.product([2, 3, 4], repeat=2)))
    with model.session:
        answers.train(model, answers.reversed_targets)
        assert evaluate(model, answers.reversed_targets(batch))[0].all()
        assert evaluate(model, batch)[0].sum() == 3  # 2 2, 3 3 and 4 4
