"""The real command, in its own process where Python's start or a terminal matters."""

import contextlib
import itertools
import json
import os
import re
import signal
import sys

import numpy as np
import pytest
from same_end import assert_same_end

from helpers import random_sequences
from support.run.run_folder import RunFolder
from support.tensorflow import tensorflow_v1 as tf
from support.terminal.command import flag_parser
from support.terminal.process import explain
from tests.running import (
    ENDLESS,
    SHORT,
    files,
    long,
    only_run,
    open_terminal,
    posix,
    run,
    run_process,
    start,
    start_process,
    succeed,
)

REPORTED = [*SHORT, "--held-out-sequences", "10000"]


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("short")
    return folder, run_process(REPORTED, folder)


SAMPLE = r"""  sample {}:
    input     > \[[2-9]( [2-9])*\]
    predicted > \[(\d( \d)*)?\](  wrong at \d+)?
"""
BLOCK = "batch {}\n" + r"  minibatch loss: \d+\.\d{{4}}" + "\n" + SAMPLE.format(1) + SAMPLE.format(2) + "\n"
SHARE = r" +\d+\.\d\d%  \(\d+ of \d+\)"
REPORT = (
    r"""loss \d+\.\d{4} after 2400 examples \(batch_size=20\)

10000 held-out sequences
  exact match SHARE
  never seen in training SHARE
  token accuracy +\d+\.\d\d%  \(symbols and EOS\)
  exact match by length
    3 SHARE
    4 SHARE
    5 SHARE
    6 SHARE
    7 SHARE
    8 SHARE

loss curve in plots/loss.png, the run in runs/\d+-\d+
memory in plots/memory.png
look inside: plots/model.html
"""
).replace(" SHARE", SHARE)
PLOTS = ["plots/loss.png", "plots/memory.png", "plots/model.html"]


def test_a_run_prints_samples_and_figures_and_not_one_line_of_noise(short_run):
    folder, (status, stdout, stderr) = short_run
    assert (status, stderr) == (0, "")
    assert re.fullmatch("".join(BLOCK.format(batch) for batch in (0, 50, 100, 119)) + REPORT, stdout), stdout
    counts = [int(count) for count in re.findall(r"\d+  +[\d.]+%  \(\d+ of (\d+)\)", stdout)]
    assert len(counts) == 6
    assert sum(counts) == 10_000
    assert files(folder) == PLOTS
    assert (folder / "plots/loss.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_same_seed_prints_and_keeps_the_same(short_run):
    folder, first = short_run
    picture = (folder / "plots/loss.png").read_bytes()
    again = run_process(REPORTED, folder)
    assert again[1].split("the run in")[0] == first[1].split("the run in")[0]
    assert files(folder) == PLOTS
    assert (folder / "plots/loss.png").read_bytes() == picture
    assert_same_end(*(folder / "runs").iterdir())


def test_never_seen_in_training_is_what_it_says(short_run):
    """Counts again, from the two streams of seed 0."""
    _, (_, stdout, _) = short_run
    training, held_out, _ = np.random.default_rng(0).spawn(3)
    seen = set()
    for sequences in itertools.islice(random_sequences(3, 8, 2, 10, 20, training), 120):
        seen.update(tuple(sequence) for sequence in sequences)
    (sequences,) = itertools.islice(random_sequences(3, 8, 2, 10, 10_000, held_out), 1)
    never_seen = sum(tuple(sequence) not in seen for sequence in sequences)
    assert 0 < never_seen < 10_000
    assert re.search(r"never seen in training .* of (\d+)\)", stdout)[1] == str(never_seen)


@pytest.mark.parametrize(
    "arguments",
    [
        "--max-batches 2 --batch-size 1 --input-embedding-size 1 --encoder-hidden-units 1",
        long("--max-batches 1"),
        long("--max-batches 2 --vocab-size 3 --length-from 1 --length-to 1 --samples 0"),
        long("--max-batches 2 --length-from 40 --length-to 40 --batch-size 2"),
    ],
)
def test_the_smallest_values_work(arguments, tmp_path):
    stdout = succeed(arguments.split(), tmp_path)
    assert "10000 held-out sequences" in stdout


def test_the_defaults_learn_to_copy(tmp_path):
    stdout = succeed([], tmp_path, start=start_process, env=os.environ | {"XLA_FLAGS": ""})
    assert "after 300100 examples (batch_size=100)" in stdout
    assert [int(batch) for batch in re.findall(r"^batch (\d+)$", stdout, re.MULTILINE)] == [0, 1000, 2000, 3000]
    assert float(re.search(r"exact match +([\d.]+)%", stdout)[1]) >= 99.0
    state = RunFolder(only_run(tmp_path)).checkpoints()[-1].path / "state.json"
    memory = np.array(json.loads(state.read_text())["memory"]["1000"])  # each output depends on its own input only
    is_own = np.eye(*memory.shape, dtype=bool)
    assert memory.shape == (11, 8) and memory[is_own].min() > 0.5 and memory[~is_own].mean() < 0.05, memory


@posix
def test_a_second_interrupt_ends_the_process(tmp_path):
    process = start([*ENDLESS, "--encoder-hidden-units", "600", "--batch-size", "1"], tmp_path)
    for line in process.stdout:
        if line == "batch 0\n":
            process.send_signal(signal.SIGINT)
        if line == "training interrupted\n":  # now all held-out sequences are decoded, which takes a while
            process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (-signal.SIGINT, "")
    assert files(tmp_path) == []


def saved(run_folder):
    """Returns the number of batches in the figures of a run that has its picture too."""
    assert (run_folder / "loss.png").exists()
    return json.loads((run_folder / "metrics.json").read_text())["batches"]


@pytest.mark.long
def test_a_pipe_that_is_closed_ends_the_run_quietly_and_all_is_saved(tmp_path):
    process = start_process([*ENDLESS, "--batches-in-epoch", "1"], tmp_path)
    assert process.stdout.readline() == "batch 0\n"
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == ""
    assert saved(only_run(tmp_path)) > 0


def test_a_picture_that_cannot_be_saved_is_named_and_all_else_is_saved(tmp_path):
    arguments = [*SHORT, "--max-batches", "20", "--plot", "out/x.png", "--batches-in-epoch", "1"]
    process = start(arguments, tmp_path, before="tests.in_fork:report_slowly")
    assert process.stdout.readline() == "batch 0\n"
    (tmp_path / "out").touch()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    for name in ("x.png", "x-memory.png", "x-model.html"):
        assert f"seq2seq_copy.py: cannot write 'out/{name}': " in stderr
    assert saved(only_run(tmp_path)) == 20


@pytest.mark.long
@posix
def test_closed_standard_output_and_error_and_an_unknown_matplotlib_are_no_hindrance(tmp_path):
    def close():
        for descriptor in (0, 1, 2):
            os.close(descriptor)

    odd = {"preexec_fn": close, "env": os.environ | {"MPLBACKEND": "bogus"}}
    assert run_process([*SHORT, "--max-batches", "9", "--run-dir", "run"], tmp_path, **odd) == (0, "", "")
    assert saved(tmp_path / "run") == 9
    assert len((tmp_path / "run/history.csv").read_text().splitlines()) == 10


@pytest.mark.long
def test_what_xla_says_about_its_flags_is_shown(tmp_path):
    environment = os.environ | {"XLA_FLAGS": "--xla_nonsense=1"}
    status, _, stderr = run_process(["--max-batches", "3"], tmp_path, env=environment)
    assert status != 0
    assert "Unknown flag in XLA_FLAGS: --xla_nonsense=1" in stderr


def on_screen(written):
    """Returns the lines of a terminal after a text was written, without colours."""
    lines = [""]
    for part in re.findall(r"\r|\n|[^\r\n]+", written):
        if part == "\n":
            lines.append("")
            column = 0
        elif part == "\r":
            column = 0
        else:
            lines[-1] = lines[-1][:column] + part + lines[-1][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


@posix
def test_each_step_is_named_on_a_terminal_and_nowhere_else(tmp_path):
    terminal, stderr = open_terminal()
    process = start_process(["--max-batches", "3", "--xla", "off"], tmp_path, stderr=stderr)
    os.close(stderr)
    stdout, _ = process.communicate(timeout=60)
    shown = os.read(terminal, 100_000).decode()
    steps = ["importing TensorFlow", "building and compiling the graph", "3/3", "evaluating", "drawing"]
    places = [shown.index(step) for step in steps]
    assert places == sorted(places)
    assert not any(step in stdout for step in steps)
    assert stdout.startswith("batch 0\n")
    bar, *rest = on_screen(shown)
    assert "3/3" in bar
    assert rest == [""]


@pytest.mark.long
@posix
def test_a_terminal_that_is_gone_stops_the_run_and_an_ignored_signal_does_not(tmp_path):
    """SIGINT is ignored, as in the background of a shell; then the terminal is closed, which sends SIGHUP."""

    def own_the_terminal():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.setsid()
        os.close(os.open(os.ttyname(0), os.O_RDWR))

    (keyboard, terminal), is_closed = open_terminal(), False
    arguments = [*ENDLESS, "--batches-in-epoch", "1", "--samples", "0"]
    streams = {"stdin": terminal, "stderr": terminal}
    process = start_process(arguments, tmp_path, preexec_fn=own_the_terminal, **streams)
    os.close(terminal)
    os.set_blocking(keyboard, False)
    for line in process.stdout:
        if line.startswith("batch") and not is_closed:
            with contextlib.suppress(BlockingIOError):
                os.read(keyboard, 100_000)
        if line == "batch 5\n":
            process.send_signal(signal.SIGINT)
        if line == "batch 100\n":
            os.close(keyboard)
            is_closed = True
        assert line != "batch 5000\n"
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert saved(only_run(tmp_path)) > 100


def test_help_names_what_is_done_with_a_run():
    stdout = flag_parser().format_help()
    for name in ("--run-dir", "--resume", "--start-from", "--predict", "--predict-file", "--answers", "--export"):
        assert re.search(rf"^  {name} ", stdout, re.MULTILINE), name


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(tmp_path):
    status, stdout, stderr = run(["--learning-rate", "1e38", "--xla", "off"], tmp_path)
    assert status == 1
    assert re.fullmatch(r"seq2seq_copy.py: the loss is .*(nan|inf).* at batch \d+; a smaller .*\n", stderr)
    assert stdout.startswith("batch 0\n")
    assert files(tmp_path) == []


def test_an_error_is_explained_where_tensorflow_cannot_be_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert explain(MemoryError()) == (1, "too little memory for these sizes")
    with pytest.raises(ZeroDivisionError):
        explain(ZeroDivisionError())


def test_a_file_that_is_missing_is_named():
    """As a font is, if an installation of matplotlib has lost its own."""
    missing = FileNotFoundError(2, "No such file or directory", "fonts/a.ttf")
    assert explain(missing) == (1, "cannot use 'fonts/a.ttf': No such file or directory")


@pytest.mark.parametrize("before", ["", "Traceback (most recent call last):\n  File\nImportError: "])
def test_a_library_that_cannot_be_loaded_is_one_line(before):
    """As with too little memory: TensorFlow's own message may hold a whole trace."""
    status, line = explain(ImportError(f"{before}libtensorflow.so: failed to map segment from shared object"))
    assert status == 1
    assert line.endswith("libtensorflow.so: failed to map segment from shared object")
    assert "\n" not in line


def test_too_little_memory_is_explained():
    for error in (MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")):
        assert explain(error) == (1, "too little memory for these sizes")


@pytest.mark.long  # TensorFlow tries again for ten seconds
def test_a_tensor_that_does_not_fit_into_memory_is_explained():
    """In its own graph: TensorFlow's threads crash in a process whose address space is limited."""
    with tf.Graph().as_default(), tf.Session() as session:
        size = tf.placeholder(tf.int32, [])
        with pytest.raises(tf.errors.ResourceExhaustedError) as error:
            session.run(tf.reduce_sum(tf.fill([size, size], 1.0)), {size: 2**22})
    assert explain(error.value) == (1, "too little memory for these sizes")


@pytest.mark.long
@posix
def test_a_full_disk_behind_stdout_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        status, _, stderr = run_process([*SHORT, "--max-batches", "9"], tmp_path, stdout=full)
    assert status == 1
    assert re.fullmatch(r"seq2seq_copy.py: .*No space left on device\n", stderr)
