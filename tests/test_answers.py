"""The answers to the exercises of the notebook, each compared with the result that the exercise promises."""

import itertools

import core
import numpy as np
import pytest

import helpers
from experiments import answers
from seq2seq_copy import PLAIN, Model, Parts, Trainer, evaluate, train
from support.model import teacher_forcing, variants
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

CONFIG = Settings(vocab_size=7, input_embedding_size=4, encoder_hidden_units=3, max_batches=10, feedback="teacher")
BATCH = helpers.task_batch("copy", [[3, 2, 6, 5, 4], [5, 6, 2, 2, 3], [2, 2, 6, 3, 3], [6, 4]])


@pytest.fixture
def model():
    """A Model whose biases are not zero."""
    model = Model(CONFIG)
    for variable in tf.trainable_variables():
        if "bias" in variable.name:
            variable.load(np.random.default_rng(0).normal(size=variable.shape), model.session)
    return model


def logits_of(model, *some):
    """Returns the logits for BATCH with the weights of a model and each of some parts."""
    return model.session.run([core.results_of(model, parts)[0]["decoder_logits"] for parts in some], model.feed(BATCH))


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
    losses = model.loss, answers.unmasked_loss(model.decoder_logits, model.placeholders.targets)
    gradients = [tf.gradients(loss, tf.trainable_variables()[1:]) for loss in losses]
    losses, gradients = model.session.run([losses, gradients], model.feed(BATCH))
    real = (BATCH.lengths + 3).sum() / BATCH.targets.size
    assert real < 1
    assert losses[1] == pytest.approx(real * losses[0] + (1 - real) * np.log(7), rel=1e-5)
    for masked, other in zip(*gradients):
        np.testing.assert_allclose(other, real * masked, atol=1e-6)


def test_the_state_of_the_neighbour_gives_the_sequence_of_the_neighbour(model):
    logits, of_neighbour = logits_of(model, PLAIN, Parts(concatenate_states=answers.state_of_the_neighbour))
    assert np.abs(of_neighbour - logits).max() > 0.01
    np.testing.assert_allclose(of_neighbour[:, 1:3], logits[:, :2], atol=1e-6)
    np.testing.assert_allclose(of_neighbour[:5, 0], logits[:5, 3], atol=1e-6)  # it makes five steps


def test_reordering_the_decoder_undoes_the_swap_of_the_directions(model):
    parts, weights = Parts(concatenate_states=answers.backward_first), answers.weights_of(model)
    logits, of_swapped = logits_of(model, PLAIN, parts)
    assert np.abs(of_swapped - logits).max() > 0.01
    reordered = answers.with_weights(answers.reorder_decoder(weights, 6), CONFIG, parts)
    np.testing.assert_allclose(logits_of(reordered, parts)[0], logits, atol=1e-5)


def test_the_teaching_loop_fn_is_that_of_feedback_teacher(model):
    expected_parts = variants.replace_parts(PLAIN, CONFIG, training=True)
    assert expected_parts.make_loop_fn.__module__ == teacher_forcing.__name__
    some = PLAIN, expected_parts, Parts(make_loop_fn=answers.make_teaching_loop_fn)
    logits, expected, taught = logits_of(model, *some)
    assert np.abs(taught - logits).max() > 0.01
    np.testing.assert_allclose(taught, expected, atol=1e-6)


def test_a_model_learns_from_reversed_targets():
    """Three symbols, two of them at a time: 9 sequences."""
    config = Settings(vocab_size=5, length_from=2, length_to=2, max_batches=150, learning_rate=0.05)
    trainer = Trainer(Model(config))
    batches = itertools.islice(helpers.task_batches(config, config.batch_size, 0), config.max_batches)
    batch = helpers.task_batch("copy", list(itertools.product([2, 3, 4], repeat=2)))
    for _ in train(trainer, map(answers.reversed_targets, batches)):
        pass
    assert evaluate(trainer.model, answers.reversed_targets(batch))[0].all()
    assert evaluate(trainer.model, batch)[0].sum() == 3  # 2 2, 3 3 and 4 4
