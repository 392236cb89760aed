"""The answers to the exercises of the notebook, each held to what the exercise says one will see."""

import itertools

import numpy as np
import pytest
from support.terminal.settings import Config

import helpers
import seq2seq_copy
from experiments import answers
from seq2seq_copy import Parts, next_feed
from support.graph import feedback, variants
from support.tensorflow import tensorflow_v1 as tf

CONFIG = Config(vocab_size=7, input_embedding_size=4, encoder_hidden_units=3, max_batches=10, feedback="teacher")
BATCH = helpers.task_batch("copy", [[3, 2, 6, 5, 4], [5, 6, 2, 2, 3], [2, 2, 6, 3, 3], [6, 4]])


@pytest.fixture
def model():
    """A session and a Graph whose biases are not zero."""
    session, graph = answers.build(CONFIG)
    for variable in tf.trainable_variables():
        if "bias" in variable.name:
            variable.load(np.random.default_rng(0).normal(size=variable.shape), session)
    with session:
        yield session, graph


@pytest.mark.parametrize("sizes", [{}, {"vocab_size": 30, "input_embedding_size": 7, "encoder_hidden_units": 11}])
def test_the_parameters_are_counted(sizes):
    config = Config(**sizes)
    seq2seq_copy.build_graph(config, Parts(tf.nn))
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
    session, graph = model
    unmasked = answers.unmasked_loss(graph)
    gradients = [tf.gradients(loss, tf.trainable_variables()[1:]) for loss in (graph.loss, unmasked)]
    losses, gradients = session.run([(graph.loss, unmasked), gradients], next_feed(graph, BATCH))
    real = (BATCH.lengths + 3).sum() / BATCH.targets.size
    assert real < 1
    assert losses[1] == pytest.approx(real * losses[0] + (1 - real) * np.log(7), rel=1e-5)
    for masked, other in zip(*gradients):
        np.testing.assert_allclose(other, real * masked, atol=1e-6)


def test_the_state_of_the_neighbour_gives_the_sequence_of_the_neighbour(model):
    session, graph = model
    parts = Parts(tf.nn, concatenate_states=answers.state_of_the_neighbour)
    neighbours = answers.on_the_same_weights(graph, CONFIG, parts)
    logits, of_neighbour = session.run([graph.decoder_logits, neighbours.decoder_logits], next_feed(graph, BATCH))
    assert np.abs(of_neighbour - logits).max() > 0.01
    np.testing.assert_allclose(of_neighbour[:, 1:3], logits[:, :2], atol=1e-6)
    np.testing.assert_allclose(of_neighbour[:5, 0], logits[:5, 3], atol=1e-6)  # which makes five steps


def test_reordering_the_decoder_undoes_the_swap_of_the_directions(model):
    session, graph = model
    swapped = answers.on_the_same_weights(graph, CONFIG, Parts(tf.nn, concatenate_states=answers.backward_first))
    logits, of_swapped = session.run([graph.decoder_logits, swapped.decoder_logits], next_feed(graph, BATCH))
    assert np.abs(of_swapped - logits).max() > 0.01
    answers.reorder_decoder_of(session, CONFIG)
    np.testing.assert_allclose(session.run(swapped.decoder_logits, next_feed(graph, BATCH)), logits, atol=1e-5)


def test_the_teaching_loop_fn_is_that_of_feedback_teacher(model):
    session, graph = model
    expected_parts = variants.replace_parts(Parts(tf.nn), CONFIG, training=True)
    assert expected_parts.make_loop_fn.__module__ == feedback.__name__
    graphs = [
        answers.on_the_same_weights(graph, CONFIG, parts)
        for parts in (expected_parts, Parts(tf.nn, make_loop_fn=answers.make_teaching_loop_fn))
    ]
    feed = next_feed(graph, BATCH)
    logits, expected, taught = session.run([each.decoder_logits for each in (graph, *graphs)], feed)
    assert np.abs(taught - logits).max() > 0.01
    np.testing.assert_allclose(taught, expected, atol=1e-6)


def test_a_model_learns_from_reversed_targets():
    """Three symbols, two of them at a time: 9 sequences."""
    config = Config(vocab_size=5, length_from=2, length_to=2, max_batches=150, learning_rate=0.05)
    session, graph = answers.build(config)
    batch = helpers.task_batch("copy", list(itertools.product([2, 3, 4], repeat=2)))
    with session:
        answers.train(session, graph, config, change=answers.reversed_targets)
        assert answers.exact(session, graph, answers.reversed_targets(batch)).all()
        assert answers.exact(session, graph, batch).sum() == 3  # 2 2, 3 3 and 4 4
