"""The user's own data: what is read, held out, refused, and learned."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from running import ROOT, posix, resource, run
from same_end import assert_same_end
from support.terminal.settings import Config

from support.data import pairs
from support.terminal import report
from support.terminal.command import with_data

LINES = "a b c\tc b a\r\nd\te é f g h\nb  d\ta\n1 0\tEOS\n"
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "\u4e5d"]


@pytest.fixture
def small_file(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "CHUNK", 5)  # numbers; the file has 22
    (tmp_path / "pairs.tsv").write_bytes(LINES.encode())
    return pairs.read(tmp_path / "pairs.tsv")


def test_a_file_becomes_batches_worked_out_by_hand(small_file, tmp_path):
    config = with_data(Config(data=tmp_path / "pairs.tsv"), small_file)
    assert (config.length_from, config.length_to, config.vocab_size) == (1, 3, 2 + 12)
    assert config.extra_decoder_steps == 3 + 4  # of the line from one symbol to five
    words = ["<PAD>", "<EOS>", "a", "b", "c", "d", "e", "é", "f", "g", "h", "1", "0", "EOS"]
    assert list(config.vocabulary) == words
    made = pairs.batch(small_file, np.array([1, 0, 3]), config.extra_decoder_steps)
    assert made.lengths.tolist() == [1, 3, 2]
    spelled = [[words[symbol] for symbol in column] for column in np.concatenate([made.inputs, made.targets]).T]
    assert spelled == [
        ["d", *["<PAD>"] * 2, "e", "é", "f", "g", "h", "<EOS>", *["<PAD>"] * 4],
        ["a", "b", "c", "c", "b", "a", "<EOS>", *["<PAD>"] * 6],
        ["1", "0", "<PAD>", "EOS", "<EOS>", *["<PAD>"] * 8],
    ]


def test_the_split_depends_on_the_seed_and_loses_no_line(small_file):
    lines = pairs.Pairs(small_file.symbols, np.arange(1001), np.arange(1000), np.arange(1000), small_file.names, "")
    splits = [pairs.split(lines, 10_000, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    for training, held_out in splits:
        assert len(held_out) == 100
        assert sorted([*training, *held_out]) == list(range(1000))
    np.testing.assert_array_equal(splits[0][1], splits[1][1])
    assert (splits[0][1] != splits[2][1]).any()
    assert [len(part) for part in pairs.split(lines, 7, np.random.default_rng(0))] == [993, 7]


def test_a_repeated_input_is_held_out_with_all_its_lines_or_not_at_all(small_file):
    hashes = np.random.default_rng(0).integers(0, 40, size=400)
    lines = pairs.Pairs(small_file.symbols, np.arange(401), np.arange(400), hashes, small_file.names, "")
    training, held_out = pairs.split(lines, 10_000, np.random.default_rng(0))
    assert sorted([*training, *held_out]) == list(range(400))
    assert len(set(hashes[held_out])) == 4
    assert not set(hashes[training]) & set(hashes[held_out])
    training, held_out = pairs.split(lines, 25, np.random.default_rng(0))
    assert 0 < len(held_out) <= 25
    assert not set(hashes[training]) & set(hashes[held_out])
    assert pairs.repeated_inputs(lines) == 360


def test_random_answers_are_not_right_because_their_lines_are_repeated(tmp_path):
    """Nothing can predict them, so what is right of them has been trained on."""
    generator = np.random.default_rng(0)
    inputs, answers = generator.integers(0, 10, size=[2, 400, 6])
    lines = [f"{' '.join(map(str, one))}\t{' '.join(map(str, other))}\n" for one, other in zip(inputs, answers)]
    (tmp_path / "random.tsv").write_text("".join(lines * 3))
    status, stdout, _ = run(["--data", "random.tsv", "--max-batches", "400", "--samples", "0"], tmp_path)
    assert status == 0
    assert stdout.startswith(
        "1080 pairs to learn, 120 held out; 800 lines with the input of an earlier one; 10 symbols"
    )
    assert re.search(r"exact match +0.00%  \(0 of 120\)", stdout)


def test_no_held_out_pair_is_trained_on(small_file, caplog):
    lines = np.arange(100)
    names = [f"s{line}" for line in lines]
    made = pairs.Pairs(lines.repeat(2) + 2, 2 * np.arange(101), 2 * lines + 1, lines, names, "")
    config = Config(data=Path("pairs.tsv"), length_from=1, length_to=1, vocab_size=102, batch_size=50)
    batches, held_out = pairs.examples(made, config, *np.random.default_rng(0).spawn(2))
    trained_on = set(np.concatenate([next(batches).inputs[0] for _ in range(100)]))
    assert trained_on == set(lines + 2) - set(held_out.inputs[0])
    assert held_out.inputs.shape == (1, 10)
    numbers = held_out.inputs[0] - 1
    description = "90 pairs to learn, 10 held out; 100 symbols; inputs of 1 to 1 symbol, decoded in up to 4 steps\n"
    assert report.data_report(made, held_out, config) == description
    assert caplog.messages == [
        f"line {number} is held out, and 's{number - 1}' is in no training pair" for number in numbers[:5]
    ] + ["and 5 more such lines"]


def test_two_lines_are_enough_and_a_byte_order_mark_is_no_symbol(tmp_path):
    (tmp_path / "two.tsv").write_bytes(b"\xef\xbb\xbfa b\tb\nb\ta")
    made = pairs.read(tmp_path / "two.tsv")
    assert made.names == ["a", "b"]
    assert [len(part) for part in pairs.split(made, 10, np.random.default_rng(0))] == [1, 1]


def test_symbols_that_look_alike_are_named(tmp_path, caplog):
    (tmp_path / "two.tsv").write_text("\u00e9 a\tb\ne\u0301\ta\n", encoding="utf-8")
    assert len(pairs.read(tmp_path / "two.tsv").names) == 4
    assert caplog.messages == ["'\\xe9' and 'e\\u0301' look alike, but are different symbols"]


def test_too_many_symbols_are_one_error(small_file, tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "LARGEST_VOCABULARY", 9)
    with pytest.raises(pairs.PairsError, match="line 4: more than 9 different symbols"):
        pairs.read(tmp_path / "pairs.tsv")


@posix
def test_a_full_disk_is_one_line(tmp_path):
    (tmp_path / "pairs.tsv").write_text("a b c d\ta b c d\n" * 3000)

    def little_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    status, stdout, stderr = run(["--data", "pairs.tsv"], tmp_path, preexec_fn=little_disk)
    assert (status, stdout) == (2, "")
    assert stderr == (
        "seq2seq_copy.py: --data: cannot write a temporary file for 'pairs.tsv': File too large (see --help)\n"
    )


def test_symbols_that_only_held_out_pairs_hold_are_found(small_file):
    assert pairs.untrained_symbols(small_file, np.array([1, 3])) == [(2, "e"), (4, "1")]
    assert pairs.untrained_symbols(small_file, np.array([2])) == []


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
    settings = ["--data", "numbers.tsv", "--max-batches", "700", "--samples", "1", "--seed", "21"]
    return folder, run([*settings, "--run-dir", "whole"], folder)


@pytest.fixture
def stopped(learned, tmp_path):
    """A copy of the folder, in which the run was stopped before its end."""
    shutil.copytree(learned[0], tmp_path / "copy")
    folder = (tmp_path / "copy/whole").rename(tmp_path / "copy/stopped").parent
    (folder / "stopped/metrics.json").unlink()
    shutil.rmtree(folder / "stopped/checkpoints/700")
    return folder


def test_own_data_is_learned_and_shown_in_its_own_symbols(learned):
    _, (status, stdout, stderr) = learned
    assert status == 0
    rare, box = "line 18 is held out, and 'rare' is in no training pair", r"no installed font has '\\u4e5d'; .*"
    assert re.fullmatch(rf"(seq2seq_copy.py: {rare}\n)?(seq2seq_copy.py: {box}\n)?", stderr)
    assert re.search(
        r"^    input     > \[(zero|one|two|three|four|five|six|seven|eight|\u4e5d|<PAD>| )+\]$", stdout, re.M
    )
    assert "\n230 held-out sequences\n" in stdout
    assert float(re.search(r"exact match +([\d.]+)%", stdout)[1]) > 95


def test_own_data_is_asked_in_its_own_symbols(learned):
    answer = "input     > [seven one]\npredicted > [7 + 1 +]\n"
    problem = "seq2seq_copy.py: line 2: 'ten' is not a symbol of the training data\n"
    assert run(["--predict", "-", "--run-dir", "whole"], learned[0], "seven one\nseven ten\n") == (1, answer, problem)


def test_a_symbol_that_the_terminal_does_not_know_is_escaped(learned):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    answer = "input     > [\\u4e5d]\npredicted > [9 +]\n"
    assert run(["--predict", "\u4e5d", "--run-dir", "whole"], learned[0], env=environment) == (0, answer, "")


def test_a_run_on_own_data_is_resumed_from_another_folder(learned, stopped, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert run(["--resume", "../copy/stopped"], tmp_path / "elsewhere")[0] == 0
    assert_same_end(learned[0] / "whole", stopped / "stopped")


def test_data_that_has_moved_is_named_by_a_flag(learned, stopped):
    config = (stopped / "stopped/config.json").read_text().replace(str(learned[0]), str(stopped))
    (stopped / "stopped/config.json").write_text(config)
    (stopped / "numbers.tsv").rename(stopped / "moved.tsv")
    status, _, stderr = run(["--resume", "stopped"], stopped)
    assert status == 2
    assert re.fullmatch(r"seq2seq_copy.py: --data: cannot read '.*numbers.tsv': No such file .*\n", stderr)
    assert run(["--resume", "stopped", "--data", "moved.tsv"], stopped)[0] == 0


def test_data_that_has_changed_is_refused(stopped):
    with open(stopped / "numbers.tsv", "a") as file:
        file.write("one\t1 +\n")
    status, stdout, stderr = run(["--resume", "stopped", "--data", "numbers.tsv"], stopped)
    assert (status, stdout) == (2, "")
    assert re.fullmatch(r"seq2seq_copy.py: --resume: 'numbers.tsv' is not, or no longer, the data .*\n", stderr)


@posix
def test_memory_does_not_grow_with_the_symbols_of_a_file(tmp_path):
    """Half a million lines of 40 symbols, which as Python objects or as one array would take 80 MB and more."""
    line = " ".join(map(str, range(20)))
    (tmp_path / "long.tsv").write_text(f"{line}\t{line}\n" * 500_000 + "0\t1\n")
    program = (
        "import pathlib, resource, numpy as np\n"
        "from support.data import pairs\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "own = pairs.read(pathlib.Path('long.tsv'))\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    environment = {"PYTHONPATH": str(ROOT)}
    printed = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True)
    assert int(printed.stdout) < 45, printed
