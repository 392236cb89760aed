"""The experiments about memory: on states and answers that are known in advance, and each command once, very small."""

import itertools
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import helpers
from experiments import answers, capacity, claims, common, exchange, memory, recipes, states
from seq2seq_copy import Model, Trainer, train
from support.settings import Settings
from tests.running import ROOT, posix, run, start_process

KINDS = 5


def drawn(count, positions, seed=0):
    return np.random.default_rng(seed).integers(KINDS, size=(count, positions))


def separate(symbols):
    """States with a subspace for each position: one-hot vectors, turned by a random rotation."""
    one_hot = np.eye(KINDS)[symbols].reshape(len(symbols), -1)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=[one_hot.shape[1]] * 2))[0]
    return one_hot @ rotation


VECTORS = np.random.default_rng(2).normal(size=[KINDS, KINDS])
SCALES = 0.1 ** np.arange(3)


def layered(symbols):
    """States without a subspace for each position: the same vectors at each, ten times smaller at the next."""
    return np.einsum("p,npd->nd", SCALES, VECTORS[symbols])


@pytest.mark.parametrize("fit", [states.discriminant, states.logistic])
def test_a_linear_readout_reads_separate_subspaces_and_nothing_else(fit):
    symbols, asked = drawn(1000, 3), drawn(500, 3, seed=3)
    assert (states.read(separate(symbols), symbols, separate(asked), KINDS, fit) == asked).mean() == 1
    generator = np.random.default_rng(4)
    noise, other_noise = (generator.normal(size=[count, 15]) for count in (1000, 500))
    by_chance = (states.read(noise, symbols, other_noise, KINDS, fit) == asked).mean()
    assert abs(by_chance - 1 / KINDS) < 0.06  # five standard deviations


def test_the_discriminant_is_that_of_bayes():
    """Two normal distributions with the same covariance: the border is where the densities are equal."""
    generator = np.random.default_rng(0)
    symbols = generator.integers(2, size=200_000)
    mixing, means = np.array([[1.0, 0.5], [0.0, 0.7]]), np.array([[0.0, 0.0], [1.0, -1.0]])
    readout = states.discriminant(generator.normal(size=[len(symbols), 2]) @ mixing + means[symbols], symbols, 2)
    grid = generator.uniform(-2, 2, size=[1000, 2])
    precision = np.linalg.inv(mixing.T @ mixing)
    squares = [np.einsum("nd,de,ne->n", grid - mean, precision, grid - mean) for mean in means]
    clear = np.abs(squares[0] - squares[1]) > 0.2
    np.testing.assert_array_equal(readout(grid)[clear], np.argmin(squares, axis=0)[clear])


def test_peeling_reads_layers_that_a_linear_readout_does_not():
    symbols, asked = drawn(2000, 3), drawn(500, 3, seed=3)
    data = (layered(symbols), symbols, layered(asked), KINDS)
    linear = (states.read(*data) == asked).mean(axis=0)
    assert linear[0] == 1 and max(linear[1:]) < 0.6
    assert (states.peel(*data) == asked).mean() == 1
    assert (states.peel(*data, from_end=True) == asked)[:, 2].mean() < 0.6  # the smallest layer cannot be read first


def test_one_readout_for_all_lengths_counts_positions_from_the_end_it_is_told():
    """States that hold the last symbol in the same place at every length."""
    pairs = [[], []]
    for length in (2, 3):
        for seed, pair in enumerate(pairs):
            symbols = drawn(500, length, seed)
            pair.append((np.eye(KINDS)[symbols[:, -1]], symbols))
    from_end, from_start = (states.read_at_all_lengths(*pairs, KINDS, flag) for flag in (True, False))
    assert from_end[0] == 1 and max(from_end[1:]) < 0.35
    assert from_start[0] < 0.35 and 0.45 < from_start[1] < 0.75 and from_start[2] == 1  # half of the pairs end there


def test_effects_and_their_structure():
    symbols = drawn(3000, 3)
    added = states.effects(layered(symbols), symbols, KINDS)
    centred = VECTORS - VECTORS.mean(axis=0)
    np.testing.assert_allclose(added, SCALES[:, None, None] * centred, atol=1e-4)
    assert states.share_of_scaled(added) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(states.likeness(added), 1, atol=1e-3)
    apart = states.effects(separate(symbols), symbols, KINDS)
    np.testing.assert_allclose(states.likeness(apart), np.eye(3), atol=1e-3)
    assert states.share_of_scaled(apart) < 0.7


def test_a_linear_exchange_takes_one_position_and_leaves_the_others():
    """Even if the subspaces of the positions are not at right angles to each other."""
    symbols = drawn(3000, 3)
    slanted = np.random.default_rng(5).normal(size=[15, 15])
    vectors = np.eye(KINDS)[symbols].reshape(-1, 15) @ slanted
    added = states.effects(vectors, symbols, KINDS)
    matrices = states.linear_exchange(vectors, symbols, added, KINDS)
    for taken in range(3):
        for position in range(3):
            expected = added[position] if position == taken else 0
            np.testing.assert_allclose(added[position] @ matrices[taken], expected, atol=0.01)


def test_variance_explained_by_symbols_and_by_pairs():
    symbols, asked = drawn(3000, 3), drawn(1000, 3, seed=3)

    def of_pairs(symbols):
        return np.eye(KINDS**2)[symbols[:, 0] * KINDS + symbols[:, 1]]

    assert states.explained(separate(symbols), symbols, separate(asked), asked, KINDS) == pytest.approx(1, abs=1e-4)
    pairs = (of_pairs(symbols), symbols, of_pairs(asked), asked, KINDS)
    # A sum of effects spans 2 * 4 of the 24 dimensions of 25 pairs.
    assert states.explained(*pairs) == pytest.approx(8 / 24, abs=0.03)
    assert states.explained(*pairs, pairs=True) == pytest.approx(1, abs=1e-4)


class HandMade:
    """An Opened whose decoder answers, at each step, the symbol whose one-hot vector in the state is the largest."""

    kinds = KINDS

    def encode(self, symbols):
        return np.eye(KINDS)[symbols].reshape(len(symbols), -1)

    def decode(self, vectors, length):
        answers = vectors.reshape(len(vectors), length, KINDS).argmax(axis=2)
        return np.concatenate([answers, np.full([len(vectors), 1], -1)], axis=1)  # EOS

    def slopes(self, vectors, symbols):
        logits = vectors.reshape(*symbols.shape, KINDS)
        shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        return (shares - np.eye(KINDS)[symbols]).reshape(len(vectors), -1) / symbols.size


def test_an_exchange_changes_the_output_that_it_should():
    opened, generator = HandMade(), np.random.default_rng(0)
    symbols, asked = drawn(1000, 3), drawn(300, 3, seed=3)
    ways = exchange.ways_to_exchange(opened, opened.encode(symbols), symbols, generator)
    shares = exchange.exchange(opened, ways, opened.encode(asked), asked, generator)
    assert shares.shape == (8, 3, 3)
    *exchanges, random, beside, encoded = shares
    for way in (*exchanges, encoded):
        np.testing.assert_array_equal(way, [[1, 0, 1]] * 3)  # OUTCOMES: as intended, others change, only as intended
    assert random[:, 0].max() < 0.3
    # The output beside it changes wherever the old symbol is there too.
    assert not beside[:, 0].any() and (beside[:, 1] > 0.1).all()


def test_effects_are_learnt_from_nothing():
    opened, generator, symbols = HandMade(), np.random.default_rng(0), drawn(1000, 3)
    vectors = 0.8 * opened.encode(symbols)
    learnt = exchange.learnt(opened, vectors, symbols, [np.zeros([3, KINDS, 3 * KINDS])], generator)
    for position in range(3):
        changed = vectors + learnt[position][0] - learnt[position][symbols[:, position]]
        answers = opened.decode(changed, 3)[:, :3]
        assert (answers[:, position] == 0).mean() > 0.99
        others = np.delete(np.arange(3), position)
        assert (answers[:, others] == symbols[:, others]).mean() > 0.99


def test_outcomes_are_counted_by_hand():
    before = np.array([[1, 2, 0], [1, 2, 0], [1, 2, 0], [1, 2, 0]])
    answers = np.array([[1, 3, 0], [1, 3, 4], [1, 2, 0], [0, 4, 0]])
    assert exchange.outcome(answers, before, 1, np.array([3, 3, 3, 3])) == (0.5, 0.5, 0.25)


@pytest.mark.parametrize(
    "exact, length",
    [
        ([1, 1, 0, 0], 15),  # halfway from 10 to 20
        ([0, 1, 0.75, 0.25], 25),
        ([1, 0, 0.6, 0], 20 + 10 * 0.1 / 0.6),  # it falls for good after 20
        ([0.4, 0.3, 0, 0], 0),
        ([1, 1, 1, 0.5], 30),
    ],
)
def test_the_length_at_half_is_interpolated(exact, length):
    assert capacity.length_at_half([5, 10, 20, 30], exact) == pytest.approx(length)


def test_bits_of_a_length():
    assert capacity.bits(7) == 21  # 8 symbols


@pytest.fixture(scope="module")
def opened():
    """A small model that copies many sequences of three symbols and some of four."""
    settings = {"max_batches": 100, "length_to": 4, "held_out_sequences": 20, "xla": "off"}
    return exchange.Opened(settings, seed=0)


def test_a_state_that_is_put_back_gives_the_same_answers(opened):
    symbols = np.random.default_rng(0).integers(8, size=(20, 4))
    vectors = opened.encode(symbols)
    assert vectors.shape == (20, 2 * 40)  # c and h
    feed = opened._feed(symbols)
    prediction = opened.model.session.run(opened.model.decoder_prediction, feed)
    np.testing.assert_array_equal(opened.decode(vectors, 4), prediction.T - 2)
    assert (opened.decode(5 * vectors[::-1], 4) != prediction.T - 2).any()


def test_slopes_equal_differences(opened):
    symbols = np.random.default_rng(1).integers(8, size=(6, 4))
    vectors, direction = opened.encode(symbols), np.random.default_rng(2).normal(size=[6, 80])
    losses = [
        opened.model.session.run(opened.model.loss, opened._feed(symbols, vectors + step * direction))
        for step in (-0.01, 0.01)
    ]
    expected = (opened.slopes(vectors, symbols) * direction).sum()
    assert abs(expected) > 1e-3
    assert (losses[1] - losses[0]) / 0.02 == pytest.approx(expected, rel=0.02)


def test_the_command_about_the_state(opened, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["memory", "--seeds", "1"])
    for module, name, value in (
        (memory, "Opened", lambda *_: opened),
        (memory, "MODELS", {"small": {}}),
        (memory, "FITTED", 400),
        (memory, "ASKED", 200),
        (memory, "EXCHANGED_LENGTHS", (4,)),
        (exchange, "LEARNING_STEPS", 2),
    ):
        monkeypatch.setattr(module, name, value)
    memory.main()
    stdout = capsys.readouterr().out
    assert "| linear, length 4 |" in stdout and "| difference learnt |" in stdout and "nan" not in stdout
    assert Path("plots/memory-state.png").stat().st_size > 10_000


def test_the_command_about_capacity(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["capacity", "--seeds", "1"])
    for name, value in {
        "BATCHES": 2,
        "UNITS": (8,),
        "USUAL_UNITS": 8,
        "FORMS": {"LSTM": ({"xla": "off"}, (8,))},
        "BAHDANAU": {},
        "CHECKS": {"the same": {"xla": "off"}},
        "ASKED_LENGTHS": (3, 30, 40),
        "SHOWN_LENGTHS": (3, 40),
    }.items():
        monkeypatch.setattr(capacity, name, value)
    capacity.main()
    stdout = capsys.readouterr().out
    # 10 x 20 embeddings, two encoder cells, the decoder's cell, the projection to 10 symbols
    assert f"| LSTM | 8 | {200 + 2 * (24 + 1) * 16 + (28 + 1) * 32 + 90:,} | 0.0 |" in stdout
    assert "| the same | 8 |" in stdout
    assert Path("plots/capacity.png").exists() and Path("plots/memory-length.png").exists()


def test_a_variant_of_a_claim_has_the_parts_that_it_names():
    batch = helpers.task_batch("copy", list(np.random.default_rng(0).integers(2, 10, [50, 8], np.int32)))
    predictions = []
    for threshold in (None, 0.999, 0.0):  # the best symbol; the best one, as none is that likely; any symbol
        variant = claims.Variant(encoder_hidden_units=3, decoder_units=5, forget_bias=1.0, decode_above=threshold)
        model = Model(variant, claims.parts_of(variant)[0])
        predictions.append(model.predict(batch))
    weights = answers.weights_of(model)
    biases = [value for name, value in weights.items() if name.endswith("lstm_cell/bias")]
    assert [bias.tolist() for bias in biases] == [np.repeat([0, 0, 1, 0], units).tolist() for units in (3, 3, 5)]
    assert weights["encoder/bridge/c"].shape == weights["encoder/bridge/h"].shape == (6, 5)
    np.testing.assert_array_equal(predictions[1], predictions[0])
    assert len(np.unique(predictions[2][:10])) == 10


def test_the_first_recipe_is_the_tutorials_and_the_last_one_is_this_script():
    steps = {}
    changes = {name: value for change in recipes.CHANGES.values() for name, value in change.items()}
    for recipe in (recipes.Recipe(), recipes.Recipe(**changes), Settings()):
        is_recipe = isinstance(recipe, recipes.Recipe)
        trainer = recipes.open_trainer(recipe) if is_recipe else Trainer(Model(recipe))
        weights = answers.weights_of(trainer.model)
        batches = itertools.islice(helpers.task_batches(recipe, recipe.batch_size, 0), 3)
        steps[recipe] = [figures for _, *figures in train(trainer, batches)]
        if recipe == recipes.Recipe():
            assert "encoder/backward/lstm_cell/kernel" not in weights
            assert weights["encoder/forward/lstm_cell/bias"].max() == 1
            assert all(0.9 < weights[name].max() <= 1 for name in ("embedding/embeddings", "decoder/output_weights"))
    _, last, script = steps.values()
    np.testing.assert_allclose(last, script, rtol=1e-5)


def test_ctrl_c_ends_an_experiment_though_fit_goes_on(capsys):
    trainer = Trainer(Model(Settings(max_batches=3, held_out_sequences=1)))
    run = trainer.run

    def interrupted(feeds):
        yield next(run(feeds))
        raise KeyboardInterrupt

    trainer.run = interrupted
    with pytest.raises(KeyboardInterrupt):
        common.fit(trainer.model.config, trainer)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["accuracy", "answers", "capacity", "claims", "memory", "recipes"])
def test_help_measures_nothing(name):
    status, stdout, stderr = run(["--help"], ROOT, module=f"experiments.{name}")
    assert (status, stdout[:7], stderr) == (0, "usage: ", "")
    assert run(["--nonsense"], ROOT, module=f"experiments.{name}")[0] == 2


@posix
def test_the_processes_of_an_experiment_end_with_it_though_it_is_killed():
    program = """if True:
        import os, signal
        from experiments import common
        with common.two_processes() as processes:
            print(*processes.map(abs, (1, 2)), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    process = start_process([], ROOT, program=program)
    stdout, _ = process.communicate(timeout=120)  # until no process can print any more
    assert (process.returncode, stdout) == (-signal.SIGKILL, "1 2\n")
