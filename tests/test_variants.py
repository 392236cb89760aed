"""Attention, cells, encoders and feedback against NumPy, against each other, and in the real command."""

import dataclasses
import itertools
import re

import core
import numpy as np
import pytest
import reference
from same_end import assert_same_end, stopped_copy

import helpers
import seq2seq_copy
from seq2seq_copy import PLAIN, LSTMCell, LSTMStateTuple
from support.model import attention, teacher_forcing, variants
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf
from tests.running import SHORT, files, long, run, succeed

CONFIG = Settings(
    vocab_size=7, input_embedding_size=4, encoder_hidden_units=3, seed=3, max_batches=20, length_to=6, batch_size=4
)
BATCH = helpers.task_batch("copy", [[3, 2, 6, 5, 4], [5], [2, 2, 6], [6, 4, 3, 5, 2]])


def load_weights(session):
    """Loads weights that are large enough for attention to be far from even."""
    generator = np.random.default_rng(0)
    for variable in tf.trainable_variables():
        variable.load(generator.normal(size=variable.shape), session)


def build(**changes):
    """Returns a model with large weights."""
    model = variants.open_model(dataclasses.replace(CONFIG, xla="off", **changes))
    load_weights(model.session)
    return model


@pytest.mark.parametrize("attention", ["none", "bahdanau", "luong"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(
    ("encoder", "layers"), [("bidirectional", 1), long("forward", 1), ("bidirectional", 3), ("forward", 2)]
)
def test_forward_pass_equals_numpy(attention, cell, encoder, layers):
    model = build(attention=attention, cell=cell, encoder=encoder, layers=layers)
    with model.session as session:
        weights = reference.weights_of(session)
        fetches = [model.decoder_logits, model.decoder_prediction]
        fetches += [] if model.alignment is None else [model.alignment]
        logits, prediction, *alignment = session.run(fetches, model.feed(BATCH))
    assert ("backward" in weights) == (encoder == "bidirectional")
    assert len(weights["forward"]) == len(weights["decoder"]) == layers
    assert (attention in weights) == (attention != "none") == bool(alignment)
    for column, length in enumerate(BATCH.lengths):
        expected = reference.forward(weights, BATCH.inputs[:length, column])
        np.testing.assert_allclose(logits[: length + 3, column], expected["logits"], atol=1e-4)
        np.testing.assert_array_equal(prediction[: length + 3, column], expected["prediction"])
        if alignment:
            np.testing.assert_allclose(alignment[0][: length + 3, column, :length], expected["alignment"], atol=1e-4)
            weights_of_steps = alignment[0][: length + 3, column, :length]
            np.testing.assert_allclose(weights_of_steps.sum(axis=1), 1, rtol=1e-5)
            assert (weights_of_steps > 0).all()
            assert not alignment[0][:, column, length:].any() and not alignment[0][length + 3 :, column].any()


@pytest.mark.parametrize(
    ("attention", "cell", "layers"),
    [
        ("luong", "lstm", 1),
        ("bahdanau", "gru", 2),
        *(long(*each) for each in (("bahdanau", "lstm", 1), ("none", "gru", 1), ("none", "lstm", 2))),
    ],
)
def test_gradients_equal_finite_differences_of_numpy(attention, cell, layers):
    model = build(attention=attention, cell=cell, layers=layers)
    _, gradients = core.results_of(model)
    with model.session as session:
        weights = reference.weights_of(session)
        gradients = session.run(gradients, model.feed(BATCH))
    sequences = [BATCH.inputs[:length, column] for column, length in enumerate(BATCH.lengths)]
    generator = np.random.default_rng(0)
    for variable, values, gradient in zip(tf.trainable_variables(), reference.arrays(weights), gradients):
        assert np.abs(gradient).max() > 1e-3
        for index in map(tuple, generator.integers(0, values.shape, size=[10, values.ndim])):
            slope = reference.slope(weights, values, index, sequences)
            assert gradient[index] == pytest.approx(slope, rel=1e-2, abs=1e-4), variable.name


def test_weights_stay_finite_when_no_score_is_near_another():
    scores = tf.constant([[1e30, -1e30], [-1e30, 3.0], [1e38, 1e38]])  # [time, batch]
    context, weights = attention.weighted_mean(scores, tf.ones([3, 2, 1]), tf.constant([2, 1]))
    with tf.Session() as session:
        context, weights = session.run([context, weights])
    np.testing.assert_array_equal(weights, [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(context, [[1], [1]])


def taught(model):
    """Returns what build_model() returns for the parts that are trained."""
    return core.results_of(model, variants.replace_parts(PLAIN, model.config, training=True))[0]


def test_teacher_reads_the_truth_and_reporting_does_not():
    model = build(feedback="teacher")
    with model.session as session:
        weights = reference.weights_of(session)
        results = taught(model)
        fetches = [results["decoder_logits"], results["loss"], model.decoder_logits]
        logits, loss, asked_logits = session.run(fetches, model.feed(BATCH))
    losses = []
    for column, length in enumerate(BATCH.lengths):
        fed = BATCH.targets[:, column]
        expected = reference.forward(weights, BATCH.inputs[:length, column], fed)
        losses.append(expected["cross_entropy"])
        np.testing.assert_allclose(logits[: length + 3, column], expected["logits"], atol=1e-4)
        expected = reference.forward(weights, BATCH.inputs[:length, column])
        np.testing.assert_allclose(asked_logits[: length + 3, column], expected["logits"], atol=1e-4)
    assert loss == pytest.approx(np.concatenate(losses).mean(), rel=1e-5)
    assert not np.allclose(logits, asked_logits)


def test_teacher_forcing_equals_dynamic_rnn_in_one_line():
    """The decoder's inputs are then known in advance, so no loop_fn is needed."""
    model = build(feedback="teacher")
    config, taught_logits = model.config, taught(model)["decoder_logits"]
    variables = {variable.op.name: variable for variable in tf.trainable_variables()}
    names = ("encoder/encoder_final_state_c:0", "encoder/encoder_final_state_h:0")
    state = LSTMStateTuple(*map(tf.get_default_graph().get_tensor_by_name, names))
    cell = LSTMCell("second_cell", 2 * config.encoder_hidden_units, config.input_embedding_size)
    read = np.concatenate([np.full([1, 4], helpers.EOS), BATCH.targets[:-1]])
    read_embedded = tf.nn.embedding_lookup(variables["embedding/embeddings"], read)
    outputs, _ = tf.nn.dynamic_rnn(cell, read_embedded, BATCH.lengths + 3, initial_state=state, time_major=True)
    logits = tf.tensordot(outputs, variables["decoder/output_weights"], 1) + variables["decoder/output_bias"]
    with model.session as session:
        cell.kernel.load(session.run(variables["decoder/cell/lstm_cell/kernel"]), session)
        cell.bias.load(session.run(variables["decoder/cell/lstm_cell/bias"]), session)
        results = session.run([taught_logits, logits], model.feed(BATCH))
    for column, length in enumerate(BATCH.lengths):
        ours, one_line = (result[: length + 3, column] for result in results)
        np.testing.assert_allclose(ours, one_line, atol=1e-5)


def logits_after(batches_done, reads, probability=1.0):
    model = build(feedback=reads, teacher_probability=probability)
    with model.session as session:
        tf.train.get_global_step().load(batches_done, session)
        return session.run(taught(model)["decoder_logits"], model.feed(BATCH))


@pytest.mark.long
def test_scheduled_sampling_falls_from_the_truth_to_the_prediction():
    argmax, teacher = logits_after(0, "argmax"), logits_after(0, "teacher")
    np.testing.assert_array_equal(logits_after(0, "scheduled"), teacher)
    np.testing.assert_array_equal(logits_after(0, "scheduled", probability=0.0), argmax)
    np.testing.assert_array_equal(logits_after(CONFIG.max_batches, "scheduled"), argmax)
    half = logits_after(CONFIG.max_batches // 2, "scheduled")
    np.testing.assert_array_equal(half, logits_after(CONFIG.max_batches // 2, "scheduled"))
    others = [argmax, teacher, logits_after(CONFIG.max_batches // 2 + 1, "scheduled")]
    assert not any(np.allclose(half, other) for other in others)


def truth_read(batches_done, seed=3):
    """Returns which sequences read the truth, bool [steps, columns], in a run of 10 batches that starts at 0.7."""
    tf.reset_default_graph()
    columns, scheduled = 20_000, {"feedback": "scheduled", "teacher_probability": 0.7, "max_batches": 10}
    config = dataclasses.replace(CONFIG, batch_size=columns, seed=seed, **scheduled)

    def loop_fn(time, cell_output, cell_state, loop_state):
        return tf.fill([columns], False), tf.zeros([columns, 1]), None, None, None

    truth = tf.ones([5, columns], tf.int32)
    tf.train.create_global_step()
    encoded = seq2seq_copy.Encoded(tf.constant([[0.0], [1.0]]), None, None, None)
    parts = teacher_forcing.with_teacher_forcing(PLAIN._replace(make_loop_fn=lambda *_: loop_fn), config)
    teaching = parts.make_loop_fn(encoded, None, truth)
    steps = [teaching(tf.constant(time), tf.zeros([]), None, None)[1][:, 0] for time in range(1, 6)]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        tf.train.get_global_step().load(batches_done, session)
        return np.array(session.run(steps)) == 1


def test_the_coins_of_scheduled_sampling():
    for batches_done, probability in ((0, 0.7), (3, 0.49), (9, 0.07), (10, 0)):
        shares = truth_read(batches_done).mean(axis=1)
        np.testing.assert_allclose(shares, probability, atol=0.02)
    read = truth_read(0)
    assert np.abs(np.corrcoef(read) - np.eye(5)).max() < 0.05, "one coin for all steps"
    np.testing.assert_array_equal(read, truth_read(0))
    assert 0.3 < (read != truth_read(0, seed=4)).mean() < 0.6
    assert 0.3 < (truth_read(1) != truth_read(2)).mean() < 0.6


def first_compiled_loss(**changes):
    trainer = variants.open_trainer(dataclasses.replace(CONFIG, **changes))
    with trainer.model.session as session:
        load_weights(session)
        return core.losses_of(trainer, [BATCH], 0.01)[0]


@pytest.mark.long
def test_scheduled_sampling_compiled():
    argmax, teacher = first_compiled_loss(feedback="argmax"), first_compiled_loss(feedback="teacher")
    assert argmax != pytest.approx(teacher, rel=1e-3)
    assert first_compiled_loss(feedback="scheduled") == pytest.approx(teacher, rel=1e-5)
    assert first_compiled_loss(feedback="scheduled", teacher_probability=0.0) == pytest.approx(argmax, rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": 2, "cell": "gru", "attention": "bahdanau", "feedback": "teacher"},
        long({"attention": "bahdanau"}),
        long({"attention": "luong", "feedback": "teacher"}),
        long({"cell": "gru", "encoder": "forward"}),
        long({"layers": 3}),
        long({"layers": 2, "encoder": "forward", "attention": "luong"}),
    ],
)
def test_the_compiled_step_is_the_same(changes):
    results = {}
    for xla in ("on", "off"):
        config = dataclasses.replace(CONFIG, xla=xla, **changes)
        batches = list(itertools.islice(helpers.task_batches(config, config.batch_size, 5), 20))
        trainer = variants.open_trainer(config)
        with trainer.model.session:
            results[xla] = [figures for _, *figures in seq2seq_copy.train(trainer, batches)]
    np.testing.assert_allclose(results["on"], results["off"], rtol=1e-3)


EVERYTHING = ["--attention", "luong", "--cell", "gru", "--feedback", "scheduled", "--task", "alphabet"]
EVERYTHING += ["--dropout", "0.2", "--layers", "2"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A folder with a run of many variants, and its output."""
    folder = tmp_path_factory.mktemp("everything")
    return folder, run([*SHORT, *EVERYTHING, "--run-dir", "whole", "--plot", "p/loss.svg"], folder)


def test_a_run_with_everything_prints_letters(everything):
    _, (status, stdout, stderr) = everything
    assert (status, stderr) == (0, "")
    letters = r"\[([a-z]|<PAD>|<EOS>)( [a-z]| <PAD>| <EOS>)*\]"
    assert re.search(rf"input     > {letters}\n +target    > {letters}\n +predicted > {letters}", stdout), stdout


def test_a_run_with_everything_draws_everything(everything):
    folder, (_, stdout, _) = everything
    assert stdout.endswith(
        "\nloss curve in p/loss.svg, the run in whole\nmemory in p/memory.svg\nattention in p/attention.svg\n"
        "look inside: p/model.html\n"
    )
    assert files(folder / "p") == ["attention.svg", "loss.svg", "memory.svg", "model.html"]
    assert (folder / "p/loss.svg").read_text().startswith("<?xml")
    assert (folder / "whole/attention.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_with_everything_is_resumed(everything):
    folder, _ = everything
    stopped_copy(folder / "whole", folder / "stopped")
    assert run(["--resume", "stopped"], folder)[::2] == (0, "")
    assert_same_end(folder / "whole", folder / "stopped")


def test_a_run_with_everything_is_asked(everything):
    stdout = succeed(["--predict", "x y z", "--run-dir", "whole"], everything[0])
    assert re.fullmatch(r"input     > \[x y z\]\npredicted > \[[a-z <>PAD]*\]\n", stdout)


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        "--xla on --dropout 0.2 --attention bahdanau --feedback scheduled --task reverse",
        "--xla off --cell gru --encoder forward --attention bahdanau",
    ],
)
def test_a_run_with_layers_and_more_is_resumed_and_asked(settings, tmp_path):
    succeed([*SHORT, *settings.split(), "--layers", "2", "--run-dir", "whole"], tmp_path)
    stopped_copy(tmp_path / "whole", tmp_path / "stopped")
    succeed(["--resume", "stopped"], tmp_path)
    assert_same_end(tmp_path / "whole", tmp_path / "stopped")
    stdout = succeed(["--predict", "4 8 5", "--run-dir", "stopped"], tmp_path)
    assert stdout.startswith("input     > [4 8 5]\npredicted > [")
