"""The compiled step against the reference: the same logits, gradients, steps and losses."""

import dataclasses
import itertools

import core
import numpy as np
import pytest

import helpers
import seq2seq_copy
from seq2seq_copy import Model
from support.errors import UserError
from support.model import variants
from support.settings import DataFacts, Settings
from support.tensorflow import compiled
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.bounded_rnn import loops_of_length
from support.tensorflow.sharing import reusing
from support.terminal import training
from support.terminal.command import read_command

CONFIG = Settings(
    vocab_size=7, input_embedding_size=4, encoder_hidden_units=3, length_to=6, batch_size=5, max_batches=60
)


def random_batches(config, count):
    return list(itertools.islice(helpers.task_batches(config, config.batch_size, 5), count))


def take_steps(trainer, stretches):
    """Returns the losses, gradient norms and learning rates of training steps, each [steps]."""
    rows, done = [], 0
    for batches in stretches:
        rows += seq2seq_copy.train(trainer, batches, done)
        done += len(batches)
    return [np.array(values) for values in list(zip(*rows))[1:]]


def is_compiled(session):
    return any(operation.name.startswith("compiled_steps/") for operation in session.graph.get_operations())


@pytest.mark.short
def test_logits_and_gradients_are_the_same():
    """For a batch with sequences of all lengths."""
    model = Model(CONFIG)
    (batch,) = random_batches(CONFIG, 1)
    assert len(set(batch.lengths)) > 2 and len(batch.inputs) == CONFIG.length_to

    @tf.function(jit_compile=True, autograph=False)
    def step(*arguments):
        with reusing(model.variables, read=lambda variable: variable.read_value()):
            batch, parts = helpers.Batch(*arguments), seq2seq_copy.Parts(loops=loops_of_length(CONFIG.decoder_steps))
            _, gradients = seq2seq_copy.loss_and_gradients(batch, CONFIG, parts)
            return seq2seq_copy.build_model(batch, CONFIG, parts), gradients

    results, gradients = core.results_of(model)
    expected = [model.decoder_logits, model.decoder_prediction, results["loss"], gradients]
    with model.session as session:
        logits, prediction, loss, gradients = session.run(expected, model.feed(batch))
        results, compiled_gradients = session.run(step(*map(tf.constant, batch)))
    longest = logits.shape[0]
    np.testing.assert_allclose(results["decoder_logits"][:longest], logits, atol=1e-6)
    np.testing.assert_array_equal(results["decoder_prediction"][:longest], prediction)
    assert not results["decoder_logits"][longest:].any()
    assert results["loss"] == pytest.approx(loss, rel=1e-6)
    for variable, ours, theirs in zip(tf.trainable_variables(), compiled_gradients, gradients):
        assert np.abs(theirs).max() > 1e-4
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=variable.name)


@pytest.mark.short
def test_50_training_steps_are_the_same():
    """In calls of 1, 20 and 29 steps, which must make no difference. Compiling takes no training step."""
    batches = random_batches(CONFIG, 50)
    ends = {}
    for xla, calls in (("off", [batches]), ("on", [batches[:1], batches[1:21], batches[21:]])):
        trainer = variants.open_trainer(dataclasses.replace(CONFIG, xla=xla))
        with trainer.model.session as session:
            assert is_compiled(session) == (xla == "on")
            operations = session.graph.get_operations()
            assert any(each.name.startswith("gradients/") for each in operations) == (xla == "off")
            start = session.run(tf.global_variables())
            results = take_steps(trainer, calls)
            names = [variable.name for variable in tf.global_variables()]
            ends[xla] = names, start, results, session.run(tf.global_variables())
    (names, start, expected, end), (other_names, other_start, results, values) = ends["off"], ends["on"]
    order = [other_names.index(name) for name in names]
    assert sorted(names) == sorted(other_names)
    for index, other in enumerate(order):
        np.testing.assert_array_equal(other_start[other], start[index], names[index])
        np.testing.assert_allclose(values[other], end[index], rtol=1e-2, atol=1e-3, err_msg=names[index])
    for ours, theirs in zip(results, expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    losses = expected[0]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5]), "nothing was learned"


@pytest.mark.short
@pytest.mark.parametrize("steps", [9, 12])
def test_bounded_raw_rnn_does_what_raw_rnn_does(steps):
    """Without XLA, with a sequence that is finished before the first step."""
    tf.reset_default_graph()
    lengths, generator = np.array([3, 0, 9, 5]), np.random.default_rng(0)
    embeddings = tf.constant(generator.normal(size=[6, 4]), tf.float32)
    state = seq2seq_copy.LSTMStateTuple(*tf.unstack(tf.constant(generator.normal(size=[2, 4, 3]), tf.float32)))
    cell = seq2seq_copy.LSTMCell("cell", 3, 4)
    encoded = seq2seq_copy.Encoded(embeddings, state, None, None)
    loop_fn = seq2seq_copy.make_loop_fn(encoded, tf.constant(lengths, tf.int32), None)
    results = []
    for loops in (tf.nn, loops_of_length(steps)):
        emitted, final_state, loop_state = loops.raw_rnn(cell, loop_fn)
        assert loops is tf.nn or loop_state is None
        results.append([emitted[name].stack()[:9] for name in ("decoder_logits", "decoder_prediction")])
        results[-1].append(final_state)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        reference, bounded = session.run(results)
    assert np.abs(reference[0]).max() > 0.1
    np.testing.assert_allclose(bounded[0], reference[0], atol=1e-6)
    np.testing.assert_array_equal(bounded[1], reference[1])
    np.testing.assert_allclose(bounded[2], reference[2], atol=1e-6)


@pytest.mark.short
@pytest.mark.parametrize("lengths", [[3, 0, 7, 5], None])
@pytest.mark.parametrize("loop", ["dynamic_rnn", "bidirectional_dynamic_rnn"])
def test_a_bounded_encoder_does_what_tensorflows_does(loop, lengths):
    """Outputs, final states and the gradients of inputs and weights, with an empty sequence and a full one."""
    tf.reset_default_graph()
    inputs = tf.constant(np.random.default_rng(0).normal(size=[7, 4, 2]), tf.float32)
    cells = [seq2seq_copy.LSTMCell(name, 3, 2) for name in ("forward", "backward")[: 1 + ("bi" in loop)]]
    weights = tf.trainable_variables()
    bounded_loop = getattr(loops_of_length(None), loop)

    def results_of(loop):
        outputs, state = loop(*cells, inputs, lengths, dtype=tf.float32, time_major=True)
        flat = tf.nest.flatten([outputs, state])
        number = sum(tf.reduce_sum(tf.sin(tensor * (place + 1))) for place, tensor in enumerate(flat))
        return [*flat, *tf.gradients(number, [inputs, *weights])]

    results = results_of(getattr(tf.nn, loop)), tf.function(results_of, jit_compile=True, autograph=False)(bounded_loop)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        reference, bounded = session.run(results)
    for ours, theirs in zip(bounded, reference, strict=True):
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_more_batches_than_fit_into_a_call_take_several(monkeypatch):
    batches = random_batches(CONFIG, 5)
    losses = core.losses_of(variants.open_trainer(CONFIG), batches, 0.01)
    monkeypatch.setattr(compiled, "MOST_STEPS", 2)
    assert core.losses_of(variants.open_trainer(CONFIG), batches, 0.01) == pytest.approx(losses, rel=1e-6)


def test_a_batch_that_is_too_long_or_too_narrow_is_named():
    trainer = variants.open_trainer(CONFIG)
    for sequences, message in (
        ([[2, 3, 4, 5, 6, 2, 3]] * CONFIG.batch_size, "has 5 sequences, 7 inputs and 10 decoder steps, but XLA has"),
        ([[2, 3, 4]] * 4, "a batch has 4 sequences"),
    ):
        with pytest.raises(UserError, match=message):
            core.losses_of(trainer, [helpers.task_batch("copy", sequences)], 0.01)


@pytest.fixture
def no_compiler(monkeypatch):
    def refuse(*arguments, **options):
        raise tf.errors.UnimplementedError(None, None, "no compiler here\nand more")

    monkeypatch.setattr(compiled, "compute_for_size", refuse)


def test_without_xla_one_line(caplog, no_compiler):
    with variants.open_trainer(CONFIG).model.session as session:
        assert not is_compiled(session)
    assert caplog.messages == ["XLA cannot compile the step; continuing as with --xla off (no compiler here)"]


def test_a_run_goes_on_without_xla(tmp_path, monkeypatch, capsys, no_compiler):
    monkeypatch.chdir(tmp_path)
    command = read_command(["--max-batches", "3", "--batch-size", "5", "--feedback", "teacher"])
    assert training.run_training(*command) == 0
    assert "after 15 examples" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ({}, 50),
        ({"length_to": 10_000}, 1),
        ({"facts": DataFacts(buckets=((5, 5_000),))}, 1),
        ({"encoder_hidden_units": 256}, 4),
        ({"layers": 16}, 3),
    ],
)
def test_a_call_does_not_last_long(change, steps):
    assert compiled.most_steps(Settings(**change)) == steps
