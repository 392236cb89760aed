"""Own pairs as a test: splits given by files, answers compared with all targets of an input, characters as symbols."""

import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from same_end import stopped_copy

from support.data import pairs
from support.data.pairs import UNKNOWN
from support.errors import UserError
from support.settings import Settings
from support.terminal import judge, report
from tests.running import posix, refusal, run, start, succeed

ONE_BATCH = ["--plain", "--max-batches", "1", "--samples", "0", "--xla", "off"]


def test_figures_worked_out_by_hand():
    judged = [
        judge.judge(tuple(inputs), [tuple(target) for target in targets], answers)
        for inputs, targets, answers in [
            (["a", "b"], ["xyz"], [(tuple("xyz"), True), (tuple("xy"), True)]),
            (["a"], ["xyz"], [(tuple("xz"), True), (tuple("xyz"), True)]),  # one left out, but not by the second
            (["b"], ["x"], [(tuple("x"), False), (tuple("y"), True)]),  # right so far, but it did not end
            (["new"], ["xy"], []),
            (["c"], [["new"]], [(tuple("x"), True)]),
            (["d"], [["<UNK>"]], [(("<UNK>",), True)]),  # nobody knows what either stands for
        ]
    ]
    found = judge.figures(judged, ["<PAD>", "<EOS>", "<UNK>", *"abcdxyz"], n_best=2)
    assert found["right_among_2"] == {"share": 2 / 6, "exact": 2, "sequences": 6}
    assert "  among the first 2         33.33%  (2 of 6)" in report.report_of_pairs(found, "6 inputs")
    assert not [name for name in judge.figures(judged, ["a"]) if "among" in name]
    assert found["exact_match"] == {"share": 1 / 6, "exact": 1, "sequences": 6}
    assert found["symbol_error_rate"] == (0 + 1 + 0 + 2 + 1 + 1) / 11
    assert found["exact_match_by_length"]["1"] == {"share": 0.0, "exact": 0, "sequences": 5}
    assert found["exact_match_by_target_length"]["3"] == {"share": 0.5, "exact": 1, "sequences": 2}
    assert (found["inputs_with_unknown_symbols"], found["targets_with_unknown_symbols"]) == (1, 2)


def read(folder, *texts, **options):
    paths = [folder / f"{index}.tsv" for index in range(len(texts))]
    for path, text in zip(paths, texts):
        path.write_text(text, encoding="utf-8")
    files = dict(zip(("data", "validation_data", "test_data"), paths)) | (
        {"test_data": paths[0]} if len(paths) == 1 else {}
    )
    return pairs.read(Settings(**files, **options))


def test_three_files_become_three_parts(tmp_path, caplog):
    made = read(tmp_path, "a\tb\nb\ta\n", "a b\tb\nnew other\ta\n", "a c\tb\nb\tnone\n")
    assert made.names == ["a", "b", "new", "other"]
    assert [part.tolist() for part in sets(made)] == [[0, 1], [2, 3], [4, 5]]
    assert pairs.untrained_symbols(made, made.validation_lines) == [(3, "new")]
    assert [side.tolist() for line in made.test_lines for side in made.sides(line)] == [
        [2, UNKNOWN],
        [3],
        [3],
        [UNKNOWN],
    ]
    config = Settings(validation_data=Path("1.tsv"), test_data=Path("2.tsv"))
    assert pairs.with_facts(config, made).length_to == 2
    pairs.warn_of_untrained(made, config)
    assert caplog.messages == ["--validation-data, line 2: 'new' is in no training pair"]


def sets(made):
    return made.training_lines, made.validation_lines, made.test_lines


def test_each_line_of_one_file_is_in_one_set(tmp_path):
    lines = [f"{a} {b}\t{b}\n" for a in "abcdefghij" for b in "abcdefghij"]
    (tmp_path / "one.tsv").write_text("".join(lines))
    (tmp_path / "other.tsv").write_text("".join(lines[:7]))
    data, other = tmp_path / "one.tsv", tmp_path / "other.tsv"
    for files, sizes in (
        ({}, (81, 9, 10)),
        ({"test_data": other}, (90, 10, 7)),
        ({"validation_data": other}, (100, 7, 0)),
        ({"validation_data": other, "test_data": other}, (100, 7, 7)),
        ({"held_out_sequences": 3}, (94, 3, 3)),
    ):
        made = pairs.read(Settings(data=data, **files))
        assert tuple(part.size for part in sets(made)) == sizes
        assert np.unique(np.concatenate(sets(made))).size == sum(sizes)
        assert pairs.with_facts(Settings(data=data, **files), made).facts.lines == sizes
    assert [part.size for part in sets(read(tmp_path, "a\tb\nb\ta\n", "a\tb\n"))] == [2, 1, 0]


def test_characters_are_symbols_and_a_space_is_visible(tmp_path):
    made = read(tmp_path, "ab c\tx\u00a0y\nb\tx\n", symbols="characters")
    assert made.names == ["a", "b", "\u2423", "c", "x", "\u00a0", "y"]


@pytest.mark.long
def test_how_many_are_held_out_is_a_flag(tmp_path):
    (tmp_path / "pairs.tsv").write_text("".join(f"{a} {b}\t{b}\n" for a in "abcdefghij" for b in "abcdefghij"))
    settings = ["--max-batches", "1", "--samples", "0", "--xla", "off", "--held-out-sequences", "7"]
    stdout = run(["--data", "pairs.tsv", "--plain", *settings], tmp_path)[1]
    assert stdout.startswith("86 pairs to learn, 7 for validation, 7 for the test; ")
    assert "\n7 test inputs\n" in stdout
    assert "\n7 held-out sequences\n" in run(settings, tmp_path)[1]


def test_each_side_may_have_its_own_symbols(tmp_path):
    made = read(tmp_path, "ab c\tAH0 B\nb\tB\n", symbols="characters:words")
    assert made.names == ["a", "b", "\u2423", "c", "AH0", "B"]
    made = read(tmp_path, "AH0 B\tab c\nB\tb\n", symbols="words:characters")
    assert made.names == ["AH0", "B", "a", "b", "\u2423", "c"]


def test_one_rule_splits_into_words_whatever_else_a_line_holds(tmp_path):
    """Only ASCII white space separates. Python's split() also takes the control characters from U+001C to U+001F."""
    assert read(tmp_path, "a\x1fb c\ta\na\x1fb \u00e9\ta\x1e \v\x85\n").names == [
        "a\x1fb", "c", "a", "\u00e9", "a\x1e", "\x85"
    ]  # fmt: skip


def test_a_byte_order_mark_is_dropped_only_where_the_file_begins(tmp_path):
    assert read(tmp_path, "\ufeffa\tb\n\ufeffa\tb\n").names == ["a", "b", "\ufeffa"]
    (tmp_path / "more.tsv").write_text("\ufeffa\tb\n", encoding="utf-8")
    made = pairs.read_known("--predict-file", tmp_path / "more.tsv", ["a", "b"])
    assert made.sides(0)[0].tolist() == [2]


def test_characters_that_a_file_of_pairs_cannot_hold_are_refused_and_a_space_is_a_character(tmp_path):
    assert read(tmp_path, " \t \na\tb\n", symbols="characters").names == ["\u2423", "a", "b"]
    with pytest.raises(UserError, match="line 1: U\\+2423 in the input, which stands for a space$"):
        read(tmp_path, "a\u2423b\tc\nd\te\n", symbols="characters")
    with pytest.raises(UserError, match="line 1: a carriage return in the target$"):
        read(tmp_path, "a\tc\rd\nd\te\n", symbols="characters:characters")
    assert read(tmp_path, "a\u2423b\tc\rd\nd\te\n").names == ["a\u2423b", "c", "d", "e"]


def test_unknown_symbols_may_be_written_in_the_data(tmp_path, caplog):
    lines = "a b\tb a\n<UNK> b\tb <UNK>\n" * 3
    with pytest.raises(UserError, match="line 2: <UNK> is reserved for the model; with --min-count 2 it is an unknown"):
        read(tmp_path, lines)
    made = read(tmp_path, lines, lines, lines, min_count=2)
    assert made.names == ["<UNK>", "a", "b"]
    made = read(tmp_path, "a\tb\nb\ta\n", "a\tb\n", lines)
    assert [side.tolist() for side in made.sides(made.test_lines[1])] == [[UNKNOWN, 3], [3, UNKNOWN]]
    assert not caplog.messages


def test_a_word_is_said_if_every_symbol_is_unknown(tmp_path, caplog):
    read(tmp_path, "a b\tb a\nc d\td c\n", "a b\tb a\n", min_count=3)
    assert caplog.messages == ["--min-count: every symbol of the training pairs is rarer, so all of them are <UNK>"]


def test_a_space_that_is_not_ascii_is_no_white_space(tmp_path):
    made = read(tmp_path, "a \u00a0 b\tc\u3000d\nb\ta\n")
    assert made.names == ["a", "\u00a0", "b", "c\u3000d"]


def test_a_file_without_spaces_between_symbols_is_noticed(tmp_path, caplog):
    lines = "".join(f"{number}+{number}\t{2 * number}\n" for number in range(100, 120))
    hint = "almost every input and target is one symbol; --symbols characters would split them"
    read(tmp_path, lines)
    assert caplog.messages == [hint]
    caplog.clear()
    lexicon = "".join(f"w{number}\tW {' '.join(str(number))}\n" for number in range(100, 120))
    read(tmp_path, lexicon)
    both = "--symbols characters both sides"
    assert caplog.messages == [
        f"almost every input is one symbol; --symbols characters:words would split them, and {both}"
    ]
    caplog.clear()
    turned = "".join("\t".join(line.split("\t")[::-1]) + "\n" for line in lexicon.splitlines())
    read(tmp_path, turned)
    assert caplog.messages == [
        f"almost every target is one symbol; --symbols words:characters would split them, and {both}"
    ]
    caplog.clear()
    read(tmp_path, lexicon, symbols="characters:words")
    read(tmp_path, turned, symbols="words:characters")
    classes = "".join(f"the w{number}\t{'yes' if number % 2 else 'no'}\n" for number in range(100, 120))
    read(tmp_path, classes)
    read(tmp_path, lines, symbols="characters")
    read(tmp_path, "".join(f"{number}\t{number}\n" for number in range(10)) * 9)
    assert not caplog.messages


def test_very_many_wrong_lines_are_not_counted_to_the_end(tmp_path):
    with pytest.raises(UserError, match="line 1: empty, and at least 999 more wrong lines$"):
        read(tmp_path, "\n" * 5000)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A folder with a run that has learned to write digits for letters. `either` may be 1 or 2."""
    folder = tmp_path_factory.mktemp("judged")
    generator = np.random.default_rng(0)

    def line():
        letters = "".join(generator.choice(list("abcd"), size=generator.integers(1, 4)))
        return letters + "\t" + letters.translate(str.maketrans("abcd", "1234"))

    (folder / "pairs.tsv").write_text("".join(line() + "\n" for _ in range(500)))
    (folder / "validation.tsv").write_text("ab\t12\nab\t21\ndc\t43\n")
    (folder / "test.tsv").write_text("aab\t112\naab\t9\ncx\t3\ncy\t3\nbd\t77\n")
    files = ["--plain", "--data", "pairs.tsv", "--validation-data", "validation.tsv", "--test-data", "test.tsv"]
    settings = ["--symbols", "characters", "--max-batches", "120", "--samples", "2", "--xla", "off", "--layers", "1"]
    return folder, run([*files, *settings, "--learning-rate", "0.05", "--run-dir", "run"], folder)


def test_a_run_reports_on_each_part(learned):
    folder, (status, stdout, stderr) = learned
    known = "the inputs of 3 of {} lines are also trained on"
    warnings = (
        f"seq2seq_copy.py: --validation-data: {known.format(3)}\nseq2seq_copy.py: --test-data: {known.format(5)}\n"
    )
    assert (status, stderr) == (0, warnings)
    assert stdout.startswith("500 pairs to learn, 3 for validation, 5 for the test; ")
    assert "\n2 validation inputs\n  exact match              100.00%  (2 of 2)\n" in stdout
    assert "\n4 test inputs\n  exact match               25.00%  (1 of 4)\n" in stdout
    assert "  2 inputs with symbols that the model does not know, counted as wrong\n" in stdout
    trained = re.search(r"\n\d+ inputs trained on\n  exact match +([\d.]+)%", stdout)
    assert float(trained[1]) > 80
    assert (folder / "run/validation-answers.tsv").read_text() == "ab\t12\t12\tright\ndc\t43\t43\tright\n"
    answers = (folder / "run/test-answers.tsv").read_text()
    assert answers.startswith("aab\t112\t112\tright\ncx\t3\t\twrong\ncy\t3\t\twrong\nbd\t")
    metrics = json.loads((folder / "run/metrics.json").read_text())
    assert metrics["exact_match"] == metrics["test"]["exact_match"] != metrics["validation"]["exact_match"]
    rows = np.genfromtxt(folder / "run/history.csv", delimiter=",", names=True)
    assert rows["validation_exact_match"][100] in (0, 0.5, 1), "of inputs, as at the end, not of lines"
    assert metrics["test"]["inputs_with_unknown_symbols"] == 2


def test_samples_stand_beside_their_targets_without_padding_and_wrong_ones_are_marked(learned):
    _, (_, stdout, _) = learned
    samples = re.findall(r"input     > (.*)\n    target    > (.*)\n    predicted > (\[.*\])(.*)\n", stdout)
    assert len(samples) == 4
    assert "PAD" not in stdout
    for _, target, predicted, mark in samples:
        assert re.fullmatch("  wrong at [1-6]" if predicted != target else "", mark)


def test_a_file_of_pairs_is_asked_and_judged(learned):
    folder, _ = learned
    stdout = succeed(["--predict-file", "test.tsv", "--run-dir", "run", "--beam", "2"], folder)
    assert stdout.startswith("input     > [a a b]\ntarget    > [1 1 2]\npredicted > [1 1 2]\ninput     > [c x]\n")
    assert "target    > [3]\npredicted > -  wrong\n" in stdout
    assert "\n4 inputs of test.tsv\n  exact match               25.00%  (1 of 4)\n" in stdout
    assert stdout.endswith("\nanswers in test.tsv.answers.tsv\n")
    assert (folder / "test.tsv.answers.tsv").read_text() == (folder / "run/test-answers.tsv").read_text()
    figures = json.loads((folder / "test.tsv.answers.json").read_text())
    figures.pop("answers_sha256")
    assert figures == json.loads((folder / "run/metrics.json").read_text())["test"]


@posix
def test_answers_are_saved_even_if_nobody_reads_them_to_the_end(learned, tmp_path):
    folder, _ = learned
    inputs = map("".join, itertools.product("abcd", repeat=6))  # more output than fits into a pipe
    (tmp_path / "many").write_text("".join(f"{letters}\t1\n" for letters in inputs))
    process = start(["--predict-file", "many", "--run-dir", str(folder / "run")], tmp_path)
    process.stdout.close()
    assert process.wait() == 1
    assert len((tmp_path / "many.answers.tsv").read_text().splitlines()) == 4**6


@posix
def test_a_full_disk_leaves_no_answers_without_figures(learned, tmp_path):
    """The command could not know them as its own, and would not replace them. Then the disk has no room for a batch."""
    folder, _ = learned
    shutil.copy(folder / "test.tsv", tmp_path / "asked")
    asked = ["--predict-file", "asked", "--run-dir", str(folder / "run")]
    status, stdout, stderr = run(asked, tmp_path, largest_file=200)
    assert (status, stderr.count("\n"), "asked.answers.json" in stderr) == (1, 1, True), stderr
    assert "exact match               25.00%  (1 of 4)" in stdout
    assert [path.name for path in tmp_path.iterdir()] == ["asked"]
    (tmp_path / "long").write_text("ab\t12\n" * 3000)
    status, stdout, stderr = run(["--predict-file", "long", *asked[2:]], tmp_path, largest_file=4096)
    assert (status, stdout) == (2, "")
    assert stderr.startswith("seq2seq_copy.py: --predict-file: cannot write a temporary file for 'long': File too")
    assert run(asked, tmp_path)[::2] == (0, "")


def test_answers_replace_only_what_the_command_has_written(learned, tmp_path, monkeypatch, capsys):
    folder, _ = learned
    monkeypatch.chdir(tmp_path)
    for name, times in (("ang.dev", 2), ("ang.gold", 1)):  # the second time replaces the answers of the first
        shutil.copy(folder / "test.tsv", tmp_path / name)
        asked = ["--predict-file", name, "--run-dir", str(folder / "run")]
        for _ in range(times):
            assert run(asked, tmp_path)[::2] == (0, "")
    for name, ending in itertools.product(("ang.dev", "ang.gold"), (".tsv", ".json")):
        path = tmp_path / f"{name}.answers{ending}"
        written = path.read_bytes()
        path.write_bytes(b"my own\n")
        stderr = refusal(["--predict-file", name, "--run-dir", str(folder / "run")], capsys)
        assert re.fullmatch(
            f"seq2seq_copy.py: --predict-file: '{name}.answers.(tsv|json)' exists, and is not, or no longer, what "
            r"this command wrote; --answers names another file \(see --help\)\n",
            stderr,
        )
        assert path.read_bytes() == b"my own\n"
        path.write_bytes(written)
    assert run([*asked, "--answers", "new/mine.dev"], tmp_path)[1].endswith("\nanswers in new/mine.dev\n")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"mine.dev", "mine.dev.json"}
    assert "'ang.dev' exists, and is not" in refusal([*asked, "--answers", "ang.dev"], capsys)
    assert (tmp_path / "ang.dev").read_bytes() == (folder / "test.tsv").read_bytes()


def test_a_bad_line_has_a_record_in_its_place(learned):
    folder, _ = learned
    status, stdout, _ = run(["--predict", "-", "--json", "--run-dir", "run"], folder, "a\nz\n\nbc\n\n")
    records = [json.loads(line) for line in stdout.splitlines()]
    assert status == 1
    assert [record["input"] for record in records] == [["a"], ["z"], [], ["b", "c"], []]
    assert ["error" in record for record in records] == [False, True, True, False, True]
    assert records[1]["error"] == "'z' is not a symbol of the training data"


def test_a_run_is_resumed_with_all_its_files(learned):
    folder, _ = learned
    stopped_copy(folder / "run", folder / "stopped")
    text = (folder / "test.tsv").read_text()
    (folder / "test.tsv").write_text(text + "a\t1\n")
    status, _, stderr = run(["--resume", "stopped"], folder)
    (folder / "test.tsv").write_text(text)
    assert status == 2
    assert "is not, or no longer, the data of this run" in stderr


def test_a_new_run_starts_with_the_weights_of_another(learned):
    """The new file holds one more symbol, and lacks others. One batch at a tiny rate forgets nothing."""
    folder, _ = learned
    (folder / "more.tsv").write_text("ab\t12\nabz\t12!\nba\t21\n" * 9)
    settings = [*ONE_BATCH, "--data", "more.tsv", "--learning-rate", "1e-9"]
    command = [*settings, "--start-from", "run", "--run-dir", "more"]
    assert run(command, folder)[0] == 0
    asked = ["--predict", "dcb", "--predict", "aad"]
    assert run([*asked, "--run-dir", "more"], folder)[:2] == run([*asked, "--run-dir", "run"], folder)[:2]
    assert run(["--predict", "abz", "--run-dir", "more"], folder)[0] == 0
    names = json.loads((folder / "more/config.json").read_text())["names"]
    old = json.loads((folder / "run/config.json").read_text())["names"]
    assert names == [*old, "z", "!"]
    (folder / "more/metrics.json").unlink()
    (folder / "more/checkpoints/1").rename(folder / "more/checkpoints/gone")
    assert run(["--resume", "more"], folder)[0] == 0
    assert run([*asked, "--run-dir", "more"], folder)[:2] == run([*asked, "--run-dir", "run"], folder)[:2]


@pytest.mark.long
def test_a_run_that_is_killed_before_its_first_checkpoint_still_starts_with_the_weights_of_another(learned):
    folder, _ = learned
    (folder / "few.tsv").write_text("ab\t12\nba\t21\naa\t11\n" * 9)
    settings = [*ONE_BATCH, "--data", "few.tsv", "--learning-rate", "1e-9"]
    assert run([*settings, "--start-from", "run", "--run-dir", "killed"], folder)[0] == 0
    for path in (folder / "killed").iterdir():
        if path.name != "config.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "run").rename(folder / "moved")
    status, stdout, stderr = run(["--resume", "killed"], folder)
    (folder / "moved").rename(folder / "run")
    assert (status, stdout) == (2, "")
    assert re.fullmatch(r"(.* more than a tenth.*\n)*seq2seq_copy.py: '.*/run' holds no run: config.json: .*\n", stderr)
    assert run(["--resume", "killed"], folder)[0] == 0
    asked = ["--predict", "dcb", "--predict", "aad"]
    # The new run was trained on other lengths, and says so on stderr.
    assert run([*asked, "--run-dir", "killed"], folder)[:2] == run([*asked, "--run-dir", "run"], folder)[:2]


@pytest.mark.long
def test_rare_symbols_become_one_and_unknown_ones_are_read_as_it(tmp_path):
    """q and w occur twice in the training pairs; the test file holds v, which no other file does."""
    pairs_of = [f"{a} {b}\t{b} {a}\n" for a in "abcd" for b in "abcd"] * 4
    (tmp_path / "pairs.tsv").write_text("".join([*pairs_of, "q a\ta q\n", "w b\tb w\n"]))
    (tmp_path / "validation.tsv").write_text("a b\tb a\nq b\tb q\n")
    (tmp_path / "test.tsv").write_text("v a\ta v\n")
    data = ["--plain", "--data", "pairs.tsv", "--validation-data", "validation.tsv", "--test-data", "test.tsv"]
    settings = ["--max-batches", "2", "--batch-size", "8", "--samples", "0", "--xla", "off"]
    assert run([*data, *settings, "--min-count", "3", "--run-dir", "counted"], tmp_path)[::2] == (0, "")
    names = json.loads((tmp_path / "counted/config.json").read_text())["names"]
    assert sorted(names) == ["<UNK>", "a", "b", "c", "d"]
    stdout = succeed(["--predict", "a zzz", "--run-dir", "counted"], tmp_path)
    assert stdout.startswith("input     > [a <UNK>]\n")
    answers = (tmp_path / "counted/validation-answers.tsv").read_text().splitlines()
    assert [line.split("\t")[-1] for line in answers if "q" in line.split("\t")[0]] == ["wrong"]

    assert run([*data, *settings, "--run-dir", "all"], tmp_path)[0] == 0
    assert {"q", "w"} < set(json.loads((tmp_path / "all/config.json").read_text())["names"])
    assert run(["--predict", "a zzz", "--run-dir", "all"], tmp_path)[0] == 2


EATERS = "does name{} eat fish\t{}\n"


def test_inputs_that_differ_only_in_unknown_symbols_are_different_inputs(tmp_path):
    """To the model all of them are one input, so it answers yes to each. Half of them are answered no."""
    (tmp_path / "pairs.tsv").write_text("".join(EATERS.format(number, "yes") for number in range(100)))
    (tmp_path / "test.tsv").write_text("".join(EATERS.format(n, "yes" if n % 2 else "no") for n in range(100, 200)))
    data = ["--plain", "--data", "pairs.tsv", "--test-data", "test.tsv", "--min-count", "6", "--run-dir", "run"]
    status, stdout, _ = run([*data, "--max-batches", "60", "--samples", "0", "--xla", "off"], tmp_path)
    assert status == 0
    assert "\n10 validation inputs\n  exact match              100.00%  (10 of 10)\n" in stdout
    assert "\n90 inputs trained on\n" in stdout
    assert "\n100 test inputs\n  exact match               50.00%  (50 of 100)\n" in stdout
    status, stdout, _ = run(["--predict-file", "test.tsv", "--run-dir", "run"], tmp_path)
    assert "input     > [does name100 eat fish]\ntarget    > [no]\npredicted > [yes]  wrong\n" in stdout
    assert "\n100 inputs of test.tsv\n  exact match               50.00%  (50 of 100)\n" in stdout
    answers = (tmp_path / "run/test-answers.tsv").read_text().splitlines()
    assert answers[:2] == ["does name100 eat fish\tno\tyes\twrong", "does name101 eat fish\tyes\tyes\tright"]
    assert len({line.split("\t")[0] for line in answers}) == 100
