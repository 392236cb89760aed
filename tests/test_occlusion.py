"""The occlusion map against NumPy, on a model whose dependence is known, and on small models that have learned."""

import dataclasses
import types

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

import helpers
import seq2seq_copy
from support import limits
from support.model import variants
from support.pictures import occlusion
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf
from tests.running import long

CONFIG = Settings(vocab_size=7, input_embedding_size=4, encoder_hidden_units=3, seed=3, length_to=6)


@pytest.mark.short
@pytest.mark.parametrize(
    ("variant", "at_once"),
    [
        ({}, 1000),
        ({}, 3),
        ({"attention": "bahdanau", "encoder": "forward"}, 1),
        ({"attention": "luong", "cell": "gru", "layers": 2}, 3),
    ],
)
def test_the_map_equals_numpy(variant, at_once, monkeypatch):
    """The model decodes each changed sequence separately, in NumPy."""
    config = dataclasses.replace(CONFIG, **variant)
    sequence = np.array([3, 2, 6, 5], np.int32)
    monkeypatch.setattr(limits, "LARGEST_DECODING", at_once * 7 * 24)  # 24 is the widest layer
    model = variants.open_model(config)
    with model.session as session:
        generator = np.random.default_rng(0)
        for variable in tf.trainable_variables():
            variable.load(generator.normal(size=variable.shape), session)
        prediction, changes = occlusion.occlusion_map(model, sequence)
        weights = reference.weights_of(session)

    original = reference.forward(weights, sequence)
    np.testing.assert_array_equal(prediction, original["prediction"])
    steps = np.arange(7)
    before = reference.softmax(original["logits"])[steps, prediction]
    for position in range(4):
        after = []
        for symbol in {2, 3, 4, 5, 6} - {int(sequence[position])}:
            replaced = sequence.copy()
            replaced[position] = symbol
            after.append(reference.softmax(reference.forward(weights, replaced)["logits"])[steps, prediction])
        np.testing.assert_allclose(changes[:, position], np.abs(after - before).mean(axis=0), atol=1e-5)
    assert changes.max() > 0.01


def one_input_later(original, config):
    """Returns a model that knows its answer to one sequence, where step t reads input t - 1, and its batches."""
    batches = []

    def run(fetches, batch):
        batches.append(batch)
        steps = len(batch.inputs) + helpers.EXTRA_DECODER_STEPS
        logits = np.zeros([steps, batch.lengths.size, 2], np.float32)
        logits[:, :, 0] = 20
        logits[1 : len(batch.inputs) + 1, :, 1] = 40 * (batch.inputs != original[:, np.newaxis])
        results = {"logits": logits, "prediction": np.zeros([steps, batch.lengths.size], np.int32)}
        return [results[name] for name in fetches] if isinstance(fetches, list) else results[fetches]

    names = {"decoder_logits": "logits", "decoder_prediction": "prediction"}
    session = types.SimpleNamespace(run=run)
    return types.SimpleNamespace(config=config, session=session, feed=lambda batch: batch, **names), batches


def test_a_known_dependence_is_found():
    sequence = np.array([4, 4, 2, 9, 3], np.int32)
    model, _ = one_input_later(sequence, Settings())
    _, changes = occlusion.occlusion_map(model, sequence)
    np.testing.assert_allclose(changes, np.eye(8, 5, k=-1), atol=1e-6)


def test_the_work_is_bounded_for_long_sequences_and_large_vocabularies():
    config = Settings(vocab_size=5_000, length_to=500)
    sequence = np.random.default_rng(0).integers(2, 5_000, size=500, dtype=np.int32)
    model, batches = one_input_later(sequence, config)
    _, changes = occlusion.occlusion_map(model, sequence)
    assert changes.shape == (60, 60)
    assert np.diag(changes).min() > 0.7  # step t reads input t - 1, sometimes in the patch before
    assert changes.sum(axis=1).max() < 1.1
    assert sum(batch.lengths.size for batch in batches) <= 1 + occlusion.MOST_COPIES
    assert max(batch.inputs.size * config.vocab_size for batch in batches) <= limits.LARGEST_DECODING
    different = np.concatenate([batch.inputs != sequence[:, np.newaxis] for batch in batches], axis=1)
    assert different.any(axis=1).all(), "each input symbol is replaced"
    again, batches_again = one_input_later(sequence, config)
    occlusion.occlusion_map(again, sequence)
    for batch, same in zip(batches, batches_again):
        np.testing.assert_array_equal(batch.inputs, same.inputs)


@given(st.integers(1, 3000), st.integers(1, 250))
def test_a_symbol_meets_others_evenly_spread(symbols, most):
    shifts = occlusion.spread(symbols, most)
    if symbols == 1:
        assert shifts.tolist() == [0]
        return
    met = {int(occlusion.replace(np.array([2]), [0], shift, symbols + 2)[0]) for shift in shifts}
    assert len(met) == len(shifts) == min(symbols - 1, most)
    assert met <= set(range(3, symbols + 2))
    assert shifts.min() == 1 and shifts.max() < symbols


def test_a_vocabulary_of_one_symbol_depends_on_nothing():
    config = dataclasses.replace(CONFIG, vocab_size=3)
    model = variants.open_model(config)
    with model.session:
        _, changes = occlusion.occlusion_map(model, np.array([2, 2, 2], np.int32))
    np.testing.assert_allclose(changes, np.zeros([6, 3]), atol=1e-6)


@pytest.mark.parametrize(
    ("batches", "variant"), [(400, {}), long(150, {"task": "reverse", "attention": "luong"})], ids=["copy", "reverse"]
)
def test_a_model_that_has_learned_shows_where_each_symbol_goes(batches, variant):
    """The main diagonal for copy, which never looks at its inputs again, and the other diagonal for reverse."""
    sizes = {"vocab_size": 5, "length_to": 4, "batch_size": 50, "max_batches": batches, "held_out_sequences": 100}
    config = Settings(xla="off", **sizes, **variant)
    _, held_out = helpers.examples(config, helpers.generators(0))
    trainer = variants.open_trainer(config)
    with trainer.model.session:
        seq2seq_copy.fit(config, trainer)
        found = occlusion.of_longest(trainer.model, held_out)
    assert len(found) == 4
    for sequence, prediction, changes in found:
        right = sequence if config.task == "copy" else sequence[::-1]
        np.testing.assert_array_equal(prediction, [*right, helpers.EOS, 0, 0])
        goes_to = np.eye(7, 4) if config.task == "copy" else np.eye(7, 4)[[3, 2, 1, 0, 4, 5, 6]]
        assert changes[goes_to == 1].min() > 0.8
        assert changes[goes_to == 0].mean() < 0.05
