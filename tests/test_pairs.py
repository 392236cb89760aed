"""The user's own data: what is read, drawn for validation and test, refused, and learned."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import core
import numpy as np
import pytest
from same_end import assert_same_end, stopped_copy

import helpers
from seq2seq_copy import Model
from support.data import pairs
from support.errors import UserError
from support.model import greedy, variants
from support.settings import DataFacts, Settings
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import report
from tests.running import ROOT, long, posix, run, run_process

LINES = "a b c\tc b a\r\nd\te é f g h\nb  d\ta\n1 0\tEOS\n"
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "\u4e5d"]


@pytest.fixture
def small_file(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "CHUNK", 5)  # numbers; the file has 22
    (tmp_path / "pairs.tsv").write_bytes(LINES.encode())
    return pairs.read(Settings(data=tmp_path / "pairs.tsv"))


def pairs_of(symbols, bounds, training=(), validation=(), names=("a",)):
    """Returns Pairs whose inputs are all different."""
    lines, spellings = np.arange(len(bounds) // 2), ["<PAD>", "<EOS>", *names]
    parts = [np.array(part, int) for part in (training, validation, ())]
    model = spellings, np.arange(len(spellings)), list(names)
    return pairs.Pairs(np.asarray(symbols, np.int32), np.asarray(bounds), lines, *model, "", *parts)


def test_a_file_becomes_batches_worked_out_by_hand(small_file, tmp_path):
    config = pairs.with_facts(Settings(data=tmp_path / "pairs.tsv"), small_file)
    assert (config.length_from, config.length_to, config.vocab_size) == (1, 3, 2 + 12)
    assert config.decoder_steps == 5 + 3  # EOS and two PADs follow the longest target
    words = ["<PAD>", "<EOS>", "a", "b", "c", "d", "e", "é", "f", "g", "h", "1", "0", "EOS"]
    assert list(config.vocabulary) == words
    made = pairs.batch(small_file, np.array([1, 0, 3]))
    assert made.lengths.tolist() == [1, 3, 2]
    assert made.target_lengths.tolist() == [5, 3, 1]
    spelled = [[words[symbol] for symbol in column] for column in np.concatenate([made.inputs, made.targets]).T]
    assert spelled == [
        ["d", *["<PAD>"] * 2, "e", "é", "f", "g", "h", "<EOS>", *["<PAD>"] * 2],
        ["a", "b", "c", "c", "b", "a", "<EOS>", *["<PAD>"] * 4],
        ["1", "0", "<PAD>", "EOS", "<EOS>", *["<PAD>"] * 6],
    ]
    few = helpers.take(made, 1, 3)
    assert (len(few.inputs), len(few.targets), few.target_lengths.tolist()) == (3, 3 + 3, [3, 1])


def test_the_split_depends_on_the_seed_and_loses_no_line():
    hashes = np.arange(1000)
    splits = [pairs.split(hashes, 10_000, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    for training, held_out in splits:
        assert len(held_out) == 100
        assert sorted([*training, *held_out]) == list(range(1000))
    np.testing.assert_array_equal(splits[0][1], splits[1][1])
    assert (splits[0][1] != splits[2][1]).any()
    assert [len(part) for part in pairs.split(hashes, 7, np.random.default_rng(0))] == [993, 7]


def test_the_same_file_and_seed_give_the_same_sets_and_batches(tmp_path):
    """So that runs can be resumed. The test lines were printed by version f8e76e2, which had no validation set."""
    inputs = [" ".join("abcde"[(line * place) % 5] for place in range(1, 2 + line % 4)) for line in range(60)]
    targets = [" ".join("xyz"[(line + place) % 3] for place in range(1 + line % 7)) for line in range(60)]
    (tmp_path / "pairs.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in zip(inputs, targets)))
    config = Settings(data=tmp_path / "pairs.tsv", batch_size=4, seed=3)
    made = pairs.read(config)
    config = pairs.with_facts(config, made)
    assert config.facts.buckets == ((4, 5), (4, 7))
    assert made.test_lines.tolist() == [2, 13, 22, 33, 42, 53]
    assert made.validation_lines.tolist() == [17, 37, 57]
    batches = pairs.training_batches(made, config, helpers.generators(3)[0])
    for drawn in (
        ["cebd>y", "dbec>zxy", "edc>z", "c>yzxy"],
        ["aaa>xyz", "bcde>zxyzx", "bc>x", "dbec>zxy"],
        ["e>zxy", "aaa>xyz", "e>xyzx", "edcb>xyzxy"],
    ):
        batch = next(batches)
        columns = zip(batch.inputs.T, batch.lengths, batch.targets.T, batch.target_lengths)
        sides = [(inputs[:length], targets[:steps]) for inputs, length, targets, steps in columns]
        assert [
            ">".join("".join(config.vocabulary[symbol] for symbol in side) for side in both) for both in sides
        ] == drawn


def test_at_most_a_tenth_of_the_lines_is_held_out(tmp_path, caplog):
    """Input 0 fills a quarter of the lines, and is drawn with a chance of a tenth."""
    hashes = np.append(np.arange(100), np.zeros(33, int))
    for seed in range(50):
        training, held_out = pairs.split(hashes, 10_000, np.random.default_rng(seed))
        assert 0 not in hashes[held_out] and 9 <= len(held_out) <= 10
        assert sorted([*training, *held_out]) == list(range(133))
    few = np.array([0] * 9 + [1] * 6)
    assert [pairs.split(few, 10, np.random.default_rng(seed))[1].tolist() for seed in range(9)] == [[*range(9, 15)]] * 9
    (tmp_path / "pairs.tsv").write_text("a\tb\n" * 9 + "b\ta\n" * 6)
    pairs.read(Settings(data=tmp_path / "pairs.tsv", test_data=tmp_path / "pairs.tsv"))
    message = "6 of 15 lines are validation pairs, more than a tenth, because no input has fewer lines"
    assert caplog.messages == [message]


def test_no_input_of_repeated_lines_is_in_two_sets(tmp_path):
    generator = np.random.default_rng(0)
    inputs, answers = generator.integers(0, 10, size=[2, 60, 3])
    lines = [f"{' '.join(map(str, one))}\t{' '.join(map(str, other))}\n" for one, other in zip(inputs, answers)]
    (tmp_path / "random.tsv").write_text("".join(lines * 3))
    config = Settings(data=tmp_path / "random.tsv")
    made = pairs.read(config)
    sets = [
        {made.sides_as_written(line)[0] for line in lines}
        for lines in (made.training_lines, made.validation_lines, made.test_lines)
    ]
    assert all(sets) and sum(map(len, sets)) == len(set.union(*sets)) == 59
    assert report.data_report(made, pairs.with_facts(config, made)).startswith(
        "150 pairs to learn, 15 for validation, 15 for the test; 121 lines with an earlier line's input; 10 symbols"
    )
    few = pairs.read(replace(config, held_out_sequences=4))  # lines, and each input has at least three
    assert 0 < few.validation_lines.size <= 4 and 0 < few.test_lines.size <= 4


def test_no_held_out_pair_is_trained_on(caplog):
    lines = np.arange(100)
    names = [f"s{line}" for line in lines]
    config = Settings(data=Path("pairs.tsv"), batch_size=50)
    made = pairs.draw(pairs_of(lines.repeat(2) + 2, np.arange(201), lines, names=names), config)
    config = pairs.with_facts(config, made)
    assert (made.validation_lines.size, made.test_lines.size) == (9, 10)
    pairs.warn_of_untrained(made, config)
    batches = pairs.training_batches(made, config, helpers.generators(0)[0])
    trained_on = set(np.concatenate([next(batches).inputs[0] for _ in range(100)]))
    others = {*made.validation_lines, *made.test_lines}
    assert trained_on == set(lines + 2) - {line + 2 for line in others}
    description, settings = report.data_report(made, config).splitlines()
    assert description == (
        "81 pairs to learn, 9 for validation, 10 for the test; 100 symbols; inputs of 1 to 1 symbol, decoded in up to "
        "4 steps"
    )
    assert caplog.messages == [
        f"--data, line {line + 1}: 's{line}' is in no training pair" for line in sorted(others)[:5]
    ] + ["and 14 more such lines"]


def test_an_input_is_known_with_all_its_targets():
    made = pairs_of(range(2, 14), np.arange(13))._replace(input_hashes=np.array([7, 8, 7, 9, 8, 7]))
    assert pairs.some_inputs(made, np.arange(5), 1).tolist() == [0, 2]
    assert pairs.some_inputs(made, np.arange(5), 2).tolist() == [0, 1, 2, 4]
    assert pairs.some_of(np.arange(10, 19), 3).tolist() == [10, 14, 18]


def test_three_lines_are_enough_and_a_byte_order_mark_is_no_symbol(tmp_path):
    (tmp_path / "few.tsv").write_bytes(b"\xef\xbb\xbfa b\tb\nb\ta\na\ta")
    made = pairs.read(Settings(data=tmp_path / "few.tsv"))
    assert made.names == ["a", "b"]
    assert (made.training_lines.size, made.validation_lines.size, made.test_lines.size) == (1, 1, 1)


def test_symbols_that_look_alike_are_named(tmp_path, caplog):
    (tmp_path / "few.tsv").write_text("\u00e9 a\tb\ne\u0301\ta\na\ta\n", encoding="utf-8")
    assert len(pairs.read(Settings(data=tmp_path / "few.tsv")).names) == 4
    assert caplog.messages == ["'\\xe9' and 'e\\u0301' look alike, but are different symbols"]
    caplog.clear()
    pairs.read(Settings(data=tmp_path / "few.tsv", symbols="characters"))
    assert caplog.messages == ["'\\xe9' is a symbol, and so are 'e' and '\\u0301', which look the same"]


def test_a_test_file_of_inputs_that_are_trained_on_is_named(tmp_path, caplog):
    (tmp_path / "data.tsv").write_text("a b\tb\nb a\ta\na a\tb\n")
    (tmp_path / "test.tsv").write_text("b b\ta\nb a\tb\na a\ta\n")
    (tmp_path / "other.tsv").write_text("b b\ta\nb a\tb\n")
    for validation, test in (("other", "test"), ("test", "other")):
        files = {"validation_data": tmp_path / f"{validation}.tsv", "test_data": tmp_path / f"{test}.tsv"}
        config = Settings(data=tmp_path / "data.tsv", **files)
        pairs.warn_of_known_inputs(pairs.read(config), config)
    of = "the inputs of 2 of 3 lines are also trained on"
    assert caplog.messages == [f"--test-data: {of}", f"--validation-data: {of}"]


def test_too_many_symbols_are_one_error(small_file, tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "LARGEST_VOCABULARY", 9)
    with pytest.raises(UserError, match="line 4: more than 9 different symbols"):
        pairs.read(Settings(data=tmp_path / "pairs.tsv"))


def test_rare_symbols_do_not_count_where_they_are_left_out(tmp_path, monkeypatch):
    (tmp_path / "pairs.tsv").write_text("".join(f"a b{number}\tb a\n" for number in range(30)))
    config = Settings(data=tmp_path / "pairs.tsv")
    monkeypatch.setattr(pairs, "LARGEST_VOCABULARY", 3)
    with pytest.raises(UserError, match="more than 3 different symbols; --min-count 2 leaves out those that"):
        pairs.read(config)
    config = replace(config, min_count=2)
    assert set(pairs.read(config).names) == {"a", "b", "<UNK>"}
    with monkeypatch.context() as patch, pytest.raises(UserError, match="line 3: more than 5 different symbols$"):
        patch.setattr(pairs, "MOST_WORDS", 5)
        pairs.read(config)
    monkeypatch.setattr(pairs, "LARGEST_VOCABULARY", 2)
    with pytest.raises(UserError, match="--min-count: 3 symbols remain, more than 2; a higher --min-count leaves out"):
        pairs.read(config)


@posix
def test_a_full_disk_is_one_line(tmp_path):
    (tmp_path / "pairs.tsv").write_text("a b c d\ta b c d\n" * 3000)
    status, stdout, stderr = run_process(["--data", "pairs.tsv"], tmp_path, largest_file=4096)
    assert (status, stdout) == (2, "")
    assert stderr == (
        "seq2seq_copy.py: --data: cannot write a temporary file for 'pairs.tsv': File too large (see --help)\n"
    )


def synthetic(lengths, target_lengths):
    """Returns pairs of the symbol 2, of the given lengths, all to be trained on."""
    bounds = np.cumsum([0, *np.ravel(np.stack([lengths, target_lengths], axis=1))])
    return pairs_of(np.full(bounds[-1], 2), bounds, range(len(lengths)))


def test_buckets_worked_out_by_hand():
    few_long = np.array([5] * 90 + [40] * 10)
    assert pairs.buckets(few_long, few_long) == ((5, 5), (40, 40))
    assert pairs.buckets(np.full(9, 5), np.full(9, 5)) == ((5, 5),)
    nearly_equal = np.array([50, 51])
    assert pairs.buckets(nearly_equal, nearly_equal) == ((51, 51),), "a bucket must save a tenth of the steps"
    each = np.array([1, 10, 100, 1000, 10_000])
    made = pairs.buckets(each.repeat([1000, 100, 10, 1, 1]), np.ones(1112, int))
    assert made[-1] == (10_000, 1)
    assert len(made) <= pairs.MOST_BUCKETS


def test_an_outlier_has_its_own_bucket_and_every_step_counts_as_much():
    """The loss is a mean over the steps of a batch, so a bucket is drawn by its share of all steps."""
    generator = np.random.default_rng(0)
    lengths = np.append(generator.integers(3, 9, size=999), 8)
    target_lengths = np.append(lengths[:-1], 150)
    made = synthetic(lengths, target_lengths)
    config = pairs.with_facts(Settings(batch_size=20), made)
    assert [target for _, target in config.facts.buckets] == [5, 8, 150]
    batches = pairs.training_batches(made, config, generator)
    batches = [next(batches) for _ in range(4000)]
    assert {(len(batch.inputs), len(batch.targets)) for batch in batches} == set(config.sizes)
    drawn = [batch.target_lengths for batch in batches]
    assert all(batch.max() <= 5 or (batch > 5).all() for batch in drawn)
    buckets = np.digitize([batch.max() for batch in drawn], [6, 9])
    steps = np.bincount(np.digitize(target_lengths, [6, 9]), weights=target_lengths + 3)
    np.testing.assert_allclose(np.bincount(buckets) / 4000, steps / steps.sum(), atol=0.03)
    assert (buckets == 2).mean() < 0.004, "one pair in a thousand, fewer than a batch has"


def test_every_batch_depends_only_on_the_state_of_the_generator(small_file, tmp_path):
    config = pairs.with_facts(Settings(data=tmp_path / "pairs.tsv", batch_size=3), small_file)
    everything, generator = small_file._replace(training_lines=np.arange(4)), np.random.default_rng(0)
    batches = pairs.training_batches(everything, config, generator)
    for _ in range(5):
        next(batches)
    state = generator.bit_generator.state
    expected = [next(batches) for _ in range(5)]
    generator = np.random.default_rng(1)
    batches = pairs.training_batches(everything, config, generator)
    generator.bit_generator.state = state
    for ours, theirs in zip(batches, expected):
        for array, same in zip(ours, theirs):
            np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize(
    "variant", [{"feedback": "scheduled"}, *(long(v) for v in ({}, {"attention": "bahdanau", "layers": 2}))]
)
def test_xla_takes_the_same_steps_in_every_bucket(variant):
    """A program for each size: all of them train the same weights, as without XLA."""
    made = synthetic([2, 2, 3, 9, 4], [2, 3, 1, 2, 30])
    sizes = {"length_to": 9, "facts": DataFacts(((3, 3), (9, 3), (9, 30)))}
    config = Settings(data=Path("x"), batch_size=2, encoder_hidden_units=3, input_embedding_size=2, **sizes, **variant)
    batches = [pairs.batch(made, np.array(lines)) for lines in ([0, 1], [3, 0], [4, 4], [2, 1], [3, 4])]
    ends = {}
    for xla in ("on", "off"):
        trainer = variants.open_trainer(replace(config, xla=xla))
        with trainer.model.session as session:
            found = core.losses_of(trainer, batches, 0.05)
            ends[xla] = found, {v.name: session.run(v) for v in tf.trainable_variables()}
    if variant.get("feedback") != "scheduled":  # XLA tosses different coins
        np.testing.assert_allclose(ends["on"][0], ends["off"][0], rtol=1e-4)
        for name, values in ends["off"][1].items():
            np.testing.assert_allclose(ends["on"][1][name], values, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_loss_counts_each_target_up_to_its_eos_and_two_pads():
    """Whatever else is in the batch, and however long its longest target is."""
    made = synthetic([2, 4, 3], [1, 2, 40])
    sizes = {"length_to": 4, "facts": DataFacts(((4, 40),))}
    config = Settings(data=Path("x"), encoder_hidden_units=3, input_embedding_size=2, **sizes)
    model = Model(config)
    with model.session as session:
        loss = core.results_of(model)[0]["loss"]
        losses = [session.run(loss, model.feed(pairs.batch(made, np.array([line])))) for line in range(3)]
        together = session.run(loss, model.feed(pairs.batch(made, np.arange(3))))
    steps = np.array([1, 2, 40]) + 3
    assert together == pytest.approx((losses * steps).sum() / steps.sum(), rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-3)


def test_how_long_an_answer_may_become():
    config = Settings(data=Path("x"), length_to=4, facts=DataFacts(((2, 2), (4, 40))))
    assert greedy.question([[2], [3, 4]], config).target_lengths.tolist() == [40, 40]
    assert greedy.question([[2], [3, 4]], replace(config, max_answer=5)).target_lengths.tolist() == [2, 2]
    assert greedy.question([[2], [3, 4]], Settings()).target_lengths.tolist() == [1, 2]
    assert greedy.question([[2], [3, 4]], replace(Settings(), max_answer=50)).target_lengths.tolist() == [47, 47]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A folder with a file of numbers in words, and a run that has learned to write them in digits; its output too."""
    folder = tmp_path_factory.mktemp("learned")
    generator = np.random.default_rng(0)
    lines = []
    for _ in range(3000):
        number = generator.integers(0, 10, size=generator.integers(1, 4))
        lines.append(f"{' '.join(DIGITS[digit] for digit in number)}\t{' '.join(f'{d} +' for d in number)}\n")
    lines[17] = "zero rare\t0\n"
    (folder / "numbers.tsv").write_text("".join(lines))
    settings = ["--data", "numbers.tsv", "--plain", "--max-batches", "400", "--samples", "1", "--seed", "36"]
    settings += ["--xla", "off"]
    return folder, run([*settings, "--run-dir", "whole"], folder)


@pytest.fixture
def stopped(learned, tmp_path):
    """A copy of the folder, in which the run was stopped before its end."""
    (tmp_path / "copy").mkdir()
    shutil.copy(learned[0] / "numbers.tsv", tmp_path / "copy")
    stopped_copy(learned[0] / "whole", tmp_path / "copy/stopped")
    return tmp_path / "copy"


def test_own_data_is_learned_and_shown_in_its_own_symbols(learned):
    _, (status, stdout, stderr) = learned
    assert status == 0
    rare, box = "--data, line 18: 'rare' is in no training pair", r"no installed font has '\\u4e5d'; .*"
    assert re.fullmatch(rf"seq2seq_copy.py: {rare}\n(seq2seq_copy.py: {box}\n)?", stderr)
    assert re.search(r"^    input     > \[(zero|one|two|three|four|five|six|seven|eight|\u4e5d| )+\]$", stdout, re.M)
    assert re.search(r"^\d+ test inputs$", stdout, re.M)
    assert float(re.search(r"exact match +([\d.]+)%", stdout)[1]) > 95


def test_own_data_is_asked_in_its_own_symbols(learned):
    answer = "input     > [seven one]\npredicted > [7 + 1 +]\n"
    problem = "seq2seq_copy.py: line 2: 'ten' is not a symbol of the training data\n"
    assert run(["--predict", "-", "--run-dir", "whole"], learned[0], "seven one\nseven ten\n") == (1, answer, problem)


def test_a_symbol_that_the_terminal_does_not_know_is_escaped(learned):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    answer = "input     > [\\u4e5d]\npredicted > [9 +]\n"
    assert run(["--predict", "\u4e5d", "--run-dir", "whole"], learned[0], env=environment) == (0, answer, "")


@pytest.mark.long
def test_a_run_on_own_data_is_resumed_from_another_folder(learned, stopped, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert run(["--resume", "../copy/stopped"], tmp_path / "elsewhere")[0] == 0
    assert_same_end(learned[0] / "whole", stopped / "stopped")


@pytest.mark.long
def test_data_that_has_moved_is_named_by_a_flag(learned, stopped):
    config = (stopped / "stopped/config.json").read_text().replace(str(learned[0]), str(stopped))
    (stopped / "stopped/config.json").write_text(config)
    (stopped / "numbers.tsv").rename(stopped / "moved.tsv")
    assert run(["--resume", "stopped", "--data", "moved.tsv"], stopped)[0] == 0


def test_data_that_has_changed_is_refused(stopped):
    with open(stopped / "numbers.tsv", "a") as file:
        file.write("one\t1 +\n")
    status, stdout, stderr = run(["--resume", "stopped", "--data", "numbers.tsv"], stopped)
    assert (status, stdout) == (2, "")
    assert re.fullmatch(r"seq2seq_copy.py: --resume: 'numbers.tsv' is not, or no longer, the data .*\n", stderr)


def test_a_run_of_a_version_without_validation_set_is_refused(stopped):
    """It was trained on other lines."""
    config = json.loads((stopped / "stopped/config.json").read_text())
    del config["lines"]
    (stopped / "stopped/config.json").write_text(json.dumps(config))
    status, stdout, stderr = run(["--resume", "stopped"], stopped)
    assert (status, stdout) == (2, "")
    assert stderr.startswith("seq2seq_copy.py: --resume: this run is of an older version, which had no validation set")


@posix
def test_memory_does_not_grow_with_the_symbols_of_a_file(tmp_path):
    """A quarter of a million lines of 40 symbols: 40 MB as one array, and more as Python objects."""
    line = " ".join(map(str, range(20)))
    (tmp_path / "long.tsv").write_text(f"{line}\t{line}\n" * 250_000 + "0\t1\n1\t0\n")
    program = (
        "import pathlib, resource, numpy as np\n"
        "from support import settings\n"
        "from support.data import pairs\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "own = pairs.read(settings.Settings(data=pathlib.Path('long.tsv')))\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    environment = {"PYTHONPATH": str(ROOT)}
    printed = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True)
    assert int(printed.stdout) < 32, printed


def test_an_answer_that_reaches_its_limit_says_so(learned):
    asked = ["--predict", "seven one two", "--predict", "seven", "--run-dir", "whole", "--max-answer", "3"]
    limit = "  (no end after 3 symbols; see --max-answer)\n"
    answers = f"predicted > [7 + 1]{limit}input     > [seven]\npredicted > [7 +]\n"
    assert run(asked, learned[0])[1].endswith(answers)
    assert run(["--export", "short", "--run-dir", "whole", "--max-answer", "3"], learned[0])[0] == 0
    with tf.Session(graph=tf.Graph()) as session:
        signature = tf.saved_model.load(session, ["serve"], str(learned[0] / "short")).signature_def["serving_default"]
        feed = {signature.inputs["sequences"].name: [[2, 3, 4, 5]], signature.inputs["lengths"].name: [4]}
        assert session.run(signature.outputs["predictions"].name, feed).shape == (1, 3)


def test_a_symbol_that_was_never_trained_is_named_when_asked(learned):
    config = json.loads((learned[0] / "whole/config.json").read_text())
    (learned[0] / "whole/config.json").write_text(json.dumps(config | {"untrained": ["two"]}))
    warning = "seq2seq_copy.py: --predict 'two one two': 'two' is in no training pair\n"
    assert run(["--predict", "two one two", "--run-dir", "whole"], learned[0])[2] == warning
    (learned[0] / "whole/config.json").write_text(json.dumps(config))


def test_symbols_without_a_training_pair_are_kept_with_the_run(small_file, tmp_path):
    config = pairs.with_facts(Settings(data=tmp_path / "pairs.tsv"), small_file)
    trained = [set("abc"), set("deéfgh"), set("ab"), {"1", "0", "EOS"}]
    untrained = set(small_file.names).difference(*(trained[line] for line in small_file.training_lines))
    assert set(config.facts.untrained) == untrained != set()
