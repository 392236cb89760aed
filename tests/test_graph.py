"""The graph against a NumPy model, finite differences, and its own loop_fn run by hand."""

import subprocess
import sys
import types

import core
import numpy as np
import pytest
import reference

import helpers
import seq2seq_copy
from helpers import EOS, PAD
from seq2seq_copy import Encoded, LSTMCell, LSTMStateTuple, Model, Trainer, make_loop_fn
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf
from tests.running import ROOT

CONFIG = Settings(vocab_size=7, input_embedding_size=4, encoder_hidden_units=3, seed=3, max_batches=10)
INPUTS = [np.array(sequence, np.int32) for sequence in ([3, 2, 6, 5, 4], [5], [2, 2, 6], [6, 4, 3, 5, 2])]
BATCH = helpers.task_batch("copy", INPUTS)

pytestmark = pytest.mark.short


@pytest.fixture
def model():
    model = Model(CONFIG)
    with model.session as session:
        # The initial output bias is zero, which would hide a bias that is added twice or not at all.
        for variable in tf.trainable_variables():
            if "bias" in variable.name:
                variable.load(np.random.default_rng(0).normal(size=variable.shape), session)
        yield model


def test_forward_pass_equals_numpy(model):
    weights = reference.weights_of(model.session)
    fetches = [f"encoder/{name}:0" for name in ("encoder_outputs", "encoder_final_state_c", "encoder_final_state_h")]
    fetches += [model.decoder_logits, model.decoder_prediction]
    encoder_outputs, c, h, logits, prediction = model.session.run(fetches, model.feed(BATCH))
    for column, sequence in enumerate(INPUTS):
        expected = reference.forward(weights, sequence)
        length = len(sequence)
        close = {"rtol": 0, "atol": 1e-5}
        np.testing.assert_allclose(encoder_outputs[:length, column], expected["encoder_outputs"], **close)
        ((expected_c, expected_h),) = expected["states"]
        np.testing.assert_allclose(c[column], expected_c, **close)
        np.testing.assert_allclose(h[column], expected_h, **close)
        np.testing.assert_allclose(logits[: length + 3, column], expected["logits"], **close)
        np.testing.assert_array_equal(prediction[: length + 3, column], expected["prediction"])


def test_loss_equals_numpy_and_leaves_out_the_padding(model):
    loss = model.session.run(core.results_of(model)[0]["loss"], model.feed(BATCH))
    assert loss == pytest.approx(reference.loss(reference.weights_of(model.session), INPUTS), rel=1e-5)


def test_nothing_is_predicted_past_the_steps_of_a_sequence(model):
    logits, prediction = model.session.run([model.decoder_logits, model.decoder_prediction], model.feed(BATCH))
    assert prediction.shape == (5 + 3, len(INPUTS))
    for column, sequence in enumerate(INPUTS):
        assert (prediction[len(sequence) + 3 :, column] == PAD).all()
        assert (logits[len(sequence) + 3 :, column] == 0).all()


def test_targets_past_the_steps_of_a_sequence_do_not_count(model):
    feed = model.feed(BATCH._replace(targets=BATCH.targets.copy()))
    loss, targets = core.results_of(model)[0]["loss"], feed[model.placeholders.targets]
    before = model.session.run(loss, feed)
    targets[1 + 3 :, 1] = 4
    assert model.session.run(loss, feed) == before
    targets[1 + 2, 1] = 4
    assert model.session.run(loss, feed) != before


def test_gradients_equal_finite_differences_of_numpy(model):
    weights = reference.weights_of(model.session)
    variables = tf.trainable_variables()
    gradients = model.session.run(core.results_of(model)[1], model.feed(BATCH))
    generator = np.random.default_rng(0)
    for variable, values, gradient in zip(variables, reference.arrays(weights), gradients):
        assert np.abs(gradient).max() > 1e-4
        for index in map(tuple, generator.integers(0, values.shape, size=[25, values.ndim])):
            slope = reference.slope(weights, values, index, INPUTS)
            assert gradient[index] == pytest.approx(slope, rel=1e-3, abs=1e-6), variable.name


def test_loop_fn_step_by_step():
    """Runs a cell and loop_fn by hand, and checks everything that loop_fn returns between two steps."""
    tf.reset_default_graph()
    tf.set_random_seed(1)
    embeddings = tf.constant(np.random.default_rng(0).normal(size=[6, 4]), tf.float32)
    initial = LSTMStateTuple(c=tf.random_normal([2, 3]), h=tf.random_normal([2, 3]))
    lengths = np.array([2, 4])
    cell = LSTMCell("cell", 3, 4)
    loop_fn = make_loop_fn(Encoded(embeddings, initial, None, None), tf.constant(lengths, tf.int32), None)

    steps = [loop_fn(tf.constant(0), None, None, None)]
    cell_outputs = []
    for time in range(1, 5):
        _, cell_input, cell_state, _, _ = steps[-1]
        cell_output, cell_state = cell(cell_input, cell_state)
        cell_outputs.append(cell_output)
        steps.append(loop_fn(tf.constant(time), cell_output, cell_state, None))
        assert steps[-1][2] is cell_state
    assert [step[4] for step in steps] == [None] * 5

    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        fetches = [embeddings, *[tf.trainable_variables(s)[0] for s in ("output_weights", "output_bias")]]
        values, cell_outputs, (table, weights, bias) = session.run(
            [[step[:4] for step in steps], cell_outputs, fetches]
        )

    finished, first_input, first_state, structure = values[0]
    np.testing.assert_array_equal(first_input, table[[EOS, EOS]])
    np.testing.assert_array_equal(finished, [False, False])
    assert {name: part.shape for name, part in structure.items()} == {"decoder_logits": (6,), "decoder_prediction": ()}
    for time in range(1, 5):
        finished, next_input, _, emitted = values[time]
        expected_logits = cell_outputs[time - 1] @ weights + bias
        np.testing.assert_allclose(emitted["decoder_logits"], expected_logits, atol=1e-6)
        prediction = emitted["decoder_prediction"]
        np.testing.assert_array_equal(prediction, expected_logits.argmax(axis=1))
        np.testing.assert_array_equal(finished, time >= lengths)
        np.testing.assert_array_equal(next_input, table[np.where(time >= lengths, PAD, prediction)])


def test_train_op_is_adam_on_clipped_gradients_with_a_falling_step_size(model):
    trainer, feed = Trainer(model), model.feed(BATCH)
    variables, (results, gradients_op) = tf.trainable_variables(), core.results_of(model)
    for variable in variables:  # larger weights, so that there is something to clip
        variable.load(3 * model.session.run(variable), model.session)
    expected = [value.astype(np.float64) for value in model.session.run(variables)]
    first = [np.zeros_like(value) for value in expected]
    second = [np.zeros_like(value) for value in expected]
    norms = []
    for step in range(1, 5):
        gradients, loss = model.session.run([gradients_op, results["loss"]], feed)
        norms.append(np.sqrt(sum((gradient**2).sum() for gradient in gradients)))
        rise = min(1, step / max(1, 0.1 * CONFIG.max_batches))
        size = CONFIG.learning_rate * rise * (1 - (step - 1) / CONFIG.max_batches)
        for index, gradient in enumerate(gradients):
            gradient = gradient * min(1, 1 / norms[-1])
            first[index] = 0.9 * first[index] + 0.1 * gradient
            second[index] = 0.95 * second[index] + 0.05 * gradient**2
            unbiased_size = size * np.sqrt(1 - 0.95**step) / (1 - 0.9**step)
            expected[index] -= unbiased_size * first[index] / (np.sqrt(second[index]) + 1e-8)
        ((_, loss_of_step, norm, learning_rate),) = seq2seq_copy.train(trainer, [BATCH], step - 1)
        assert loss_of_step == loss
        assert norm == pytest.approx(norms[-1], rel=1e-5)
        assert learning_rate == pytest.approx(size, rel=1e-6)
        for variable, value, target in zip(variables, model.session.run(variables), expected):
            np.testing.assert_allclose(value, target, atol=1e-4, err_msg=variable.name)
    assert max(norms) > 1, "nothing was clipped"


def test_every_operation_is_in_a_named_scope(model):
    Trainer(model)
    placeholders = {"encoder_inputs", "encoder_inputs_length", "decoder_targets", "decoder_targets_length"}
    scopes = {operation.name.split("/")[0] for operation in tf.get_default_graph().get_operations()}
    model_parts = {"decoder_lengths", "embedding", "encoder", "decoder", "fill_up", "loss"}
    step = {"learning_rate", "global_step", "training", "gradients", "train", "training_loss", "gradient_norm"}
    assert {scope for scope in scopes if not scope.startswith("init")} == placeholders | model_parts | step


def test_the_seed_decides_the_initial_weights():
    def weights(seed):
        with Model(Settings(seed=seed)).session as session:
            return np.concatenate([value.ravel() for value in session.run(tf.trainable_variables())])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert (weights(1) != weights(2)).mean() > 0.8


def test_evaluate_counts_exact_sequences_and_correct_tokens():
    """A model with three errors: one in a symbol, one in EOS, one in the last PAD."""
    batch = helpers.task_batch("copy", [[2, 3], [4], [5, 6, 2], [3]])
    prediction = batch.targets.copy()
    prediction[1, 0] = 6
    prediction[1, 1] = 2
    prediction[5, 2] = 3
    model = types.SimpleNamespace(predict=lambda _: prediction)
    exact, correct_tokens = seq2seq_copy.evaluate(model, batch)
    np.testing.assert_array_equal(exact, [False, False, False, True])
    np.testing.assert_array_equal(correct_tokens, [2, 1, 4, 2])


def test_evaluating_in_parts_makes_no_difference(model):
    """Each part is only as long as its longest sequence."""
    for expected, values in zip(seq2seq_copy.evaluate(model, BATCH), seq2seq_copy.evaluate(model, BATCH, 1)):
        np.testing.assert_array_equal(values, expected)


def test_the_plain_imports_load_neither_tensorflow_nor_matplotlib():
    program = "import sys, seq2seq_copy; print(*{'tensorflow', 'matplotlib', 'keras'} & set(sys.modules), end='')"
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (process.stdout, process.stderr) == ("", "")
