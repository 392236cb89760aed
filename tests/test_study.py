"""The study: that its trials train as the script does, on data of their own, and what it does with the results."""

import functools
import json

import numpy as np
import optuna
import pytest
from running import ROOT, run
from support.terminal.settings import Config, SettingsError

import helpers
import seq2seq_copy
from experiments.study import objective, request, results, space, storage, trainer, workers
from seq2seq_copy import LSTMCell, Parts
from support.data import pairs
from support.tensorflow import tensorflow_v1 as tf

CONFIG = Config(max_batches=12, batch_size=20, vocab_size=5, length_to=4, encoder_hidden_units=3, xla="off", seed=7)
SCRIPT = space.suggest(optuna.trial.FixedTrial({}), CONFIG, [])


def batches_of(config):
    generator, _ = np.random.default_rng(config.seed).spawn(2)
    batches = helpers.task_batches(config, config.batch_size, generator)
    return [next(batches) for _ in range(config.max_batches)]


def weights_of_script(parts, config=CONFIG):
    """Trains as the script does; returns the weights after each step, a list of lists of arrays."""
    graph = seq2seq_copy.build_graph(config, parts)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        weights = tf.trainable_variables()
        history = [session.run(weights)]
        for batch in batches_of(config):
            seq2seq_copy.take_steps(session, graph, [batch])
            history.append(session.run(weights))
    return history


@functools.cache
def new_trainer():
    """Returns a trainer.Trainer that has trained with other settings, and the initial weights."""
    model, weights = trainer.Trainer(CONFIG), trainer.initial_weights(CONFIG)
    train(model, weights, learning_rate=0.5, adam_beta1=0.3, averaging=0.5, clip_norm=0.1)
    return model, weights


def train(model, weights, **settings):
    model.reset(SCRIPT | settings, trainer.scaled(weights, SCRIPT | settings))
    model.train(batches_of(CONFIG))


def trained(**settings):
    """Returns the trainer.Trainer after all steps with these settings."""
    model, weights = new_trainer()
    train(model, weights, **settings)
    return model


def test_a_trial_with_the_settings_of_the_script_trains_as_the_script_does():
    model = trained()
    for weight, expected in zip(model.session.run(model.weights), weights_of_script(Parts(tf.nn))[-1]):
        np.testing.assert_array_equal(weight, expected)
    for average, expected in zip(model.session.run(model.averages), model.session.run(model.weights)):
        np.testing.assert_array_equal(average, expected)


def test_the_forget_bias_does_what_that_of_a_cell_does():
    class Cell(LSTMCell):
        forget_bias = 2.5  # and 3 in the initial bias

    model = trained(forget_bias=5.5)
    expected = weights_of_script(Parts(tf.nn, cell=Cell))[-1]
    for weight, variable, other in zip(model.session.run(model.weights), model.weights, expected):
        if variable.op.name.endswith("lstm_cell/bias"):
            other = other + np.repeat([0, 0, 1.5, 0], other.size // 4)
        np.testing.assert_allclose(weight, other, atol=1e-5)


def test_scales_multiply_the_initial_weights():
    weights = {
        "embedding/embeddings": np.ones([2, 2]),
        "a/kernel": np.ones([2, 2]),
        "decoder/output_weights": np.ones(2),
    }
    scales = {"embedding_scale": 2.0, "kernel_scale": 3.0, "output_scale": 4.0, "forget_bias": 0.0}
    assert [weight.flat[0] for weight in trainer.scaled(weights, scales)] == [2, 3, 4]


def test_the_average_forgets_exponentially():
    model = trained(averaging=0.25)  # three of twelve batches
    expected, *later = weights_of_script(Parts(tf.nn))
    for done, weights in enumerate(later, start=1):
        batches = max(1, min(3, done / 4))
        expected = [average + (weight - average) / batches for average, weight in zip(expected, weights)]
    for average, other in zip(model.session.run(model.averages), expected):
        np.testing.assert_allclose(average, other, atol=1e-6)


def test_the_learning_rate_rises_stays_and_falls():
    model = trained(learning_rate=0.8, warm_up=0.25, decay_start=0.5, decay_power=2)
    rates = []
    with model.session.graph.as_default():
        rate = model.learning_rate()
    for step in range(12):
        model.global_step.load(step, model.session)
        rates.append(model.session.run(rate))
    falling = [0.8 * ((12 - step) / 6) ** 2 for step in range(6, 12)]
    np.testing.assert_allclose(rates, [0.8 / 3, 1.6 / 3, 0.8, 0.8, 0.8, 0.8, *falling], rtol=1e-5)


def test_no_sequence_of_a_report_is_looked_at(tmp_path):
    """With the user's pairs: what the run would hold out. Nor is a validation sequence trained on."""
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{number} a\tb\n" for number in range(100)))
    user_pairs, config = pairs.read(path), Config(data=path, max_batches=50, extra_decoder_steps=3)
    _, held_out = pairs.examples(user_pairs, config, *np.random.default_rng(config.seed).spawn(2))
    inputs = []
    for seed in (1000, 1001):
        task = objective.Objective(config, user_pairs, [], [seed])
        validation, _ = task.validation(seed)
        training = {key for batch in task.batches(seed, 100) for key in helpers.keys(batch)}
        assert not training & set(helpers.keys(validation))
        assert not (training | set(helpers.keys(validation))) & set(helpers.keys(held_out))
        inputs.append(set(helpers.keys(validation)))
    assert inputs[0] != inputs[1]


def test_random_validation_sequences_are_of_a_stream_of_their_own():
    task = objective.Objective(CONFIG, None, [], [7])
    validation, _ = task.validation(7)
    batches, held_out = helpers.examples(CONFIG, *np.random.default_rng(7).spawn(2))
    for other in (held_out, next(batches)):
        assert helpers.keys(validation)[:20] != helpers.keys(other)[:20]
    assert helpers.keys(next(iter(task.batches(7, 20)))) == helpers.keys(batches_of(CONFIG)[0])


def test_other_batch_sizes_get_as_many_sequences():
    for size, steps in ((50, 6002), (100, 3001), (200, 1500)):
        assert space.with_batch_size(Config(), size).max_batches == steps


@pytest.mark.parametrize(
    ("values", "is_pruned"),
    [({0: -0.01}, True), ({0: -1.3}, False), ({0: -1.3, 1: -1.4}, True), ({0: -1.3, 1: -1.8}, False)],
)
def test_half_way_only_the_hopeless_are_pruned(values, is_pruned):
    study = optuna.create_study(pruner=workers.BySeed())
    for number in range(11):  # -1.0 to -2.0 half-way, and as much at the end
        value = -1 - number / 10
        study.add_trial(optuna.create_trial(value=value, intermediate_values={0: value, 1: value}))
    trial = study.ask()
    for step, value in values.items():
        trial.report(value, step)
    assert trial.should_prune() == is_pruned


def test_what_is_typed_is_not_searched_and_is_part_of_the_result():
    asked = request.read_request(["--batch-size", "40", "--cell", "gru", "--seed", "3"])
    assert asked.study == "copy"
    assert "batch_size" not in asked.names and "learning_rate" in asked.names
    assert not set(asked.names) - {name for name in space.NAMES if space.field_of(name) in space.SCRIPT}
    params = results.script_params(asked) | {"1 - adam_beta2": 0.2}
    learned = results.learned(optuna.create_trial(params=params, distributions=distributions(params), value=0), asked)
    assert learned["adam_beta2"] == 0.8
    assert {"batch_size": 40, "cell": "gru"}.items() <= learned.items()
    assert "seed" not in learned


def distributions(params):
    return {name: optuna.distributions.FloatDistribution(0, 1000) for name in params}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--trials 0", "study: --trials: '0' is not a whole number from 1 to 1000000 (see --help)"),
        ("--workers x", "study: --workers: 'x' is not a whole number from 1 to 1000 (see --help)"),
        ("--study a/b", "study: --study: 'a/b' is not a name of letters, digits, dots and dashes (see --help)"),
        ("--data nowhere.tsv", "study: --data: cannot read 'nowhere.tsv': No such file or directory (see --help)"),
        ("--samples 3", "study: unrecognized arguments: --samples 3 (see --help)"),
    ],
)
def test_a_wrong_flag_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        request.read_request(arguments.split())
    assert error.value.code == 2
    assert capsys.readouterr().err == message + "\n"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("postgresql+psycopg://me:s3cret@127.0.0.1:1/x", "://me:***@127.0.0.1:1/x': connection failed"),
        ("postgresql+psycopg://me:s3cret@127.0.0.1:port/x", "not a URL like postgresql"),
        ("nothing://me:s3cret@host/x", "sqlalchemy.dialects:nothing"),
        (".", "cannot use '.': Is a directory"),
        ("text", "'text' is not a journal of Optuna"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line_without_the_password(place, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("some\ntext\n")
    with pytest.raises(SettingsError) as error:
        storage.open_storage(place)
    assert reason in str(error.value)
    assert "s3cret" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "flags", "reason"),
    [
        (None, "", "cannot read 'x.json': No such file or directory"),
        ("{", "", "cannot read 'x.json': Expecting property name"),
        ("[1]", "", "'x.json' holds no JSON object"),
        ('{"learning_rat": 1}', "", "'x.json': there is no setting 'learning_rat'"),
        ('{"data": "x"}', "", "'x.json': there is no setting 'data'"),
        ('{"clip_norm": -1}', "", "'x.json': clip_norm: '-1' is not a finite number above 0"),
        ('{"batch_size": true}', "", "'x.json': batch_size: 'True' is not a whole number"),
        ('{"length_from": 9}', "", "--length-from: 9 is more than --length-to 8"),
        ("{}", "--resume runs/latest", "--settings does not go with --resume"),
        ("{}", "--predict 3", "--settings does not go with --predict"),
    ],
)
def test_a_wrong_file_of_settings_is_one_line(text, flags, reason, tmp_path):
    if text is not None:
        (tmp_path / "x.json").write_text(text)
    status, stdout, stderr = run(["--settings", "x.json", *flags.split()], tmp_path)
    assert (status, stdout, stderr.count("\n")) == (2, "", 1)
    assert reason in stderr


def test_flags_win_over_the_file_of_settings(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"learning_rate": 0.5, "batch_size": 7, "adam_beta2": 0.5}))
    flags = "--batch-size 5 --max-batches 2 --xla off --run-dir run"
    status, _, stderr = run(["--settings", "x.json", *flags.split()], tmp_path)
    assert (status, stderr) == (0, "")
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert [config[name] for name in ("learning_rate", "batch_size", "adam_beta2")] == [0.5, 5, 0.5]


def test_the_defaults_are_what_the_study_has_learned():
    for name, value in json.loads((ROOT / "experiments/best.json").read_text()).items():
        assert getattr(Config, name) == value, name
