"""The compiled step against the reference: the same logits, gradients, steps and losses."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
from support.terminal.settings import Config

import helpers
import seq2seq_copy
from seq2seq_copy import Parts, prepare_steps
from support.graph import compiled
from support.tensorflow import tensorflow_v1 as tf
from support.terminal.command import read_command

CONFIG = Config(vocab_size=7, input_embedding_size=4, encoder_hidden_units=3, length_to=6, batch_size=5, max_batches=60)


def random_batches(config, count):
    return list(itertools.islice(helpers.task_batches(config, config.batch_size, 5), count))


@pytest.fixture
def graph():
    return seq2seq_copy.build_graph(CONFIG, Parts(tf.nn))


@pytest.fixture
def session(graph):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        yield session


def restart(session, values):
    for variable, value in zip(tf.global_variables(), values):
        variable.load(value, session)


@pytest.mark.short
def test_logits_and_gradients_are_the_same(graph, session):
    (batch,) = random_batches(CONFIG, 1)
    assert len(batch.inputs) == CONFIG.length_to

    def gradients_of(any_graph):
        gradients = tf.gradients(any_graph.loss, tf.trainable_variables())
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    @tf.function(jit_compile=True, autograph=False)
    def step(*arguments):
        parts = seq2seq_copy.Parts(compiled.bounded_loops(CONFIG))
        with tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=compiled.read_once):
            in_xla = seq2seq_copy.connect(*arguments, CONFIG, graph.optimizer, parts)
        return in_xla.decoder_logits, in_xla.decoder_prediction, in_xla.loss, gradients_of(in_xla)

    reference = [graph.decoder_logits, graph.decoder_prediction, graph.loss, gradients_of(graph)]
    logits, prediction, loss, gradients = session.run(reference, seq2seq_copy.next_feed(graph, batch))
    result = session.run(step(*map(tf.constant, batch)))
    compiled_logits, compiled_prediction, compiled_loss, compiled_gradients = result

    longest = logits.shape[0]
    np.testing.assert_allclose(compiled_logits[:longest], logits, atol=1e-6)
    np.testing.assert_array_equal(compiled_prediction[:longest], prediction)
    assert not compiled_logits[longest:].any()
    assert compiled_loss == pytest.approx(loss, rel=1e-6)
    for variable, expected, gradient in zip(tf.trainable_variables(), gradients, compiled_gradients):
        assert np.abs(expected).max() > 1e-4
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6, err_msg=variable.name)


@pytest.mark.short
def test_50_training_steps_are_the_same(graph, session):
    """In calls of 1, 20 and 29 steps, which must make no difference."""
    batches = random_batches(CONFIG, 50)
    start = session.run(tf.global_variables())
    losses, norms, rates = seq2seq_copy.take_steps(session, graph, batches)
    end = session.run(tf.global_variables())

    restart(session, start)
    steps = prepare_steps(session, graph, CONFIG)
    for before, after in zip(start, session.run(tf.global_variables())):
        np.testing.assert_array_equal(before, after, "compiling is no training")
    calls = [steps(batches[:1]), steps(batches[1:21]), steps(batches[21:])]
    for index, expected in enumerate((losses, norms, rates)):
        np.testing.assert_allclose(np.concatenate([call[index] for call in calls]), expected, rtol=1e-3)
    for variable, expected, value in zip(tf.global_variables(), end, session.run(tf.global_variables())):
        np.testing.assert_allclose(value, expected, rtol=1e-2, atol=1e-3, err_msg=variable.name)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5]), "nothing was learned"


def test_the_default_model_takes_50_equal_steps():
    config = Config()
    graph = seq2seq_copy.build_graph(config, Parts(tf.nn))
    batches = random_batches(config, 50)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        start = session.run(tf.global_variables())
        losses, *_ = seq2seq_copy.take_steps(session, graph, batches)
        restart(session, start)
        steps = prepare_steps(session, graph, config)
        np.testing.assert_allclose(steps(batches)[0], losses, rtol=1e-3)


@pytest.mark.short
@pytest.mark.parametrize("steps", [9, 12])
def test_bounded_raw_rnn_does_what_raw_rnn_does(steps):
    """Without XLA, with a sequence that is finished before the first step."""
    tf.reset_default_graph()
    lengths, generator = np.array([3, 0, 9, 5]), np.random.default_rng(0)
    embeddings = tf.constant(generator.normal(size=[6, 4]), tf.float32)
    state = seq2seq_copy.LSTMStateTuple(*tf.unstack(tf.constant(generator.normal(size=[2, 4, 3]), tf.float32)))
    cell = seq2seq_copy.LSTMCell("cell", 3, 4)
    loop_fn = seq2seq_copy.make_loop_fn(embeddings, state, tf.constant(lengths, tf.int32))
    results = []
    for raw_rnn in (tf.nn.raw_rnn, functools.partial(compiled.bounded_raw_rnn, steps=steps)):
        (logits, prediction), final_state, loop_state = raw_rnn(cell, loop_fn)
        assert raw_rnn is tf.nn.raw_rnn or loop_state is None
        results.append([logits.stack()[:9], prediction.stack()[:9], final_state])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        reference, bounded = session.run(results)
    assert np.abs(reference[0]).max() > 0.1
    np.testing.assert_allclose(bounded[0], reference[0], atol=1e-6)
    np.testing.assert_array_equal(bounded[1], reference[1])
    np.testing.assert_allclose(bounded[2], reference[2], atol=1e-6)


def test_more_batches_than_fit_into_a_call_are_refused(session, graph):
    config = dataclasses.replace(CONFIG, batch_size=25_000)
    assert compiled.most_steps(config) == 2
    take_steps = prepare_steps(session, graph, config)
    with pytest.raises(IndexError):
        take_steps(random_batches(config, 3))


def test_without_xla_one_line(caplog):
    class Session:
        def run(self, fetches, feed):
            raise tf.errors.UnimplementedError(None, None, "no compiler here\nand more")

    graph = seq2seq_copy.build_graph(CONFIG, Parts(tf.nn))
    connect = functools.partial(seq2seq_copy.connect, config=CONFIG, optimizer=graph.optimizer)
    assert compiled.compile_steps(Session(), connect, Parts(tf.nn), CONFIG) is None
    assert caplog.messages == ["XLA cannot compile the step; going on as with --xla off (no compiler here)"]


def test_a_run_goes_on_without_xla(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compiled, "compile_steps", lambda *_: None)
    command = read_command(["--max-batches", "3", "--batch-size", "5", "--feedback", "teacher"])
    assert seq2seq_copy.run_training(command) == 0
    assert "after 15 examples" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change, steps", [({}, 50), ({"length_to": 10_000}, 1), ({"encoder_hidden_units": 256}, 4), ({"layers": 16}, 3)]
)
def test_a_call_does_not_last_long(change, steps):
    assert compiled.most_steps(Config(**change)) == steps


@pytest.mark.short
def test_bounded_bidirectional_dynamic_rnn_does_what_that_of_tensorflow_does():
    """Without XLA; outputs and final states, sequences of no and of full length."""
    tf.reset_default_graph()
    inputs = tf.constant(np.random.default_rng(0).normal(size=[6, 4, 2]), tf.float32)
    cells = [seq2seq_copy.LSTMCell(name, 3, 2) for name in ("a", "b")]
    options = {"sequence_length": tf.constant([3, 0, 6, 1]), "dtype": tf.float32, "time_major": True}
    loops = (tf.nn.bidirectional_dynamic_rnn, compiled.bounded_bidirectional_dynamic_rnn)
    results = [loop(*cells, inputs, **options) for loop in loops]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        reference, bounded = (tf.nest.flatten(result) for result in session.run(results))
    assert len(reference) == 6
    for expected, value in zip(reference, bounded):
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(value, expected, atol=1e-6)
