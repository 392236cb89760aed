"""The user's own sequences, through the real command and function by function."""

import contextlib
import os
import re
import select
import signal
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import limits
from support.settings import Settings
from support.terminal import predict
from tests.running import QUICK, open_terminal, posix, run, run_process, start, start_process, termios

EASY = ["--max-batches", "400", "--vocab-size", "5", "--length-to", "5", "--samples", "0", "--xla", "off"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run that has learned to repeat 3 to 5 symbols from 2 to 4."""
    folder = tmp_path_factory.mktemp("trained")
    status, stdout, _ = run([*EASY, "--run-dir", "runs/easy"], folder, settings=QUICK)
    assert status == 0
    assert float(re.search(r"exact match +([\d.]+)%", stdout)[1]) > 99
    return folder


@pytest.mark.short
def test_sequences_on_the_command_line(folder):
    expected = "input     > [4 3 2]\npredicted > [4 3 2]\ninput     > [2 2 3 4 3]\npredicted > [2 2 3 4 3]\n"
    assert run_process(["--predict", "4 3 2", "--predict", " 2 2  3 4 3 "], folder) == (0, expected, "")


def test_thousands_of_lines_with_some_that_are_wrong(folder):
    generator = np.random.default_rng(0)
    lines = [" ".join(map(str, generator.integers(2, 5, size=generator.integers(3, 6)))) for _ in range(5000)]
    wrong = {
        7: ("3 x 4", "'x' is not a symbol from 2 to 4"),
        9: ("", "no symbols"),
        11: ("2 1 3", "'1' is not a symbol from 2 to 4"),
        13: ("0", "'0' is not a symbol from 2 to 4"),
        15: ("\udcff\udcfe", "'\ufffd\ufffd' is not a symbol from 2 to 4"),  # bytes that are no text
        4000: ("5 2 2", "'5' is not a symbol from 2 to 4"),
        4001: ("-2 2 2", "'-2' is not a symbol from 2 to 4"),
        4002: ("2 2.0 2", "'2.0' is not a symbol from 2 to 4"),
        4003: ("2 \u00b2 2", "'\u00b2' is not a symbol from 2 to 4"),
        4004: ("2 3\t4", "holds a TAB; give the input without its target"),
        5000: ("2 " * 10_001, "10001 symbols; at most 10000 are allowed"),
    }
    for number, (line, _) in wrong.items():
        lines[number - 1] = line
    lines[20] = "2 3 4 2 3 4 2"
    (folder / "lines").write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
    with open(folder / "lines") as text:
        status, stdout, stderr = run(["--predict", "-"], folder, stdin=text)
    assert status == 1
    messages = {number: message for number, (_, message) in wrong.items()}
    messages[21] = "7 symbols; the model was trained on lengths 3 to 5"
    expected = [f"seq2seq_copy.py: line {number}: {messages[number]}" for number in sorted(messages)]
    assert stderr.splitlines() == expected
    inputs = re.findall(r"input     > \[(.*)\]\npredicted > \[(.*)\]\n", stdout)
    assert [pair[0] for pair in inputs] == [line for number, line in enumerate(lines, 1) if number not in wrong]
    assert np.mean([given == predicted for given, predicted in inputs]) > 0.99


@posix
def test_each_line_typed_into_a_terminal_is_answered_at_once(folder):
    keyboard, terminal = open_terminal()
    process = start(["--predict", "-"], folder, stdin=terminal)
    for line in ("4 3 2", "2 2 3 4"):
        os.write(keyboard, f"{line}\n".encode())
        assert process.stdout.readline() == f"input     > [{line}]\n"
        assert process.stdout.readline() == f"predicted > [{line}]\n"
    process.kill()
    process.communicate()


@posix
def test_a_picture_that_cannot_be_written_leaves_the_earlier_one(folder, tmp_path):
    (tmp_path / "seen.png").write_text("earlier")
    asked = ["--predict", "4 3 2", "--run-dir", str(folder / "runs/easy"), "--plot", "seen.png"]
    status, stdout, stderr = run(asked, tmp_path, largest_file=1000)
    assert (status, stdout) == (1, "input     > [4 3 2]\npredicted > [4 3 2]\n")
    assert stderr == "seq2seq_copy.py: cannot write 'seen.png': File too large\n"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def start_conversation(start, folder):
    """Returns the process, and the keyboard and screen of its terminal."""
    keyboard, terminal = open_terminal()
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}  # as in most locales
    process = start(["--predict", "-"], folder, env=environment, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    return process, keyboard


def read_until(keyboard, text):
    """Returns what the terminal shows up to and with a text."""
    shown = ""
    while text not in shown:
        assert select.select([keyboard], [], [], 60)[0], shown
        shown += os.read(keyboard, 1000).decode(errors="replace")
    return shown


def interrupted(process):
    """Interrupts a conversation as a user does; returns its exit status.

    input() misses a signal between writing the prompt and waiting for a key. A user would press Ctrl-C again.
    """
    for _ in range(6):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=10)
    raise AssertionError("the conversation does not end")


@posix
def test_a_terminal_is_a_conversation_with_line_editing(folder):
    process, keyboard = start_conversation(start_process, folder)
    read_until(keyboard, "> ")
    os.write(keyboard, b"4 3 x\x7f2\n")  # the x is deleted
    shown = read_until(keyboard, "predicted > [4 3 2]\r\n> ")
    assert "input     > [4 3 2]" in shown
    os.write(keyboard, b"nonsense\n")
    read_until(keyboard, "line 2: 'nonsense' is not a symbol from 2 to 4\r\n> ")
    os.write(keyboard, b"4 \xff 2\n")
    read_until(keyboard, "line 3: '\ufffd' is not a symbol from 2 to 4\r\n> ")
    os.write(keyboard, b"\x04")
    assert process.wait(timeout=60) == 1


@pytest.mark.long
@posix
def test_ctrl_c_ends_a_conversation_and_leaves_the_terminal_as_it_was(folder):
    process, keyboard = start_conversation(start, folder)
    before = termios.tcgetattr(keyboard)
    read_until(keyboard, "> ")
    assert interrupted(process) == 130
    assert termios.tcgetattr(keyboard) == before
    rest = b""
    with contextlib.suppress(OSError):  # at its end
        while chunk := os.read(keyboard, 1000):
            rest += chunk
    assert rest == b"\r\n"


@given(st.lists(st.integers(1, 60), max_size=50), st.integers(0, 40))
def test_groups_hold_all_sequences_in_order_and_are_bounded(lengths, extra):
    sequences = [np.full(length, 2) for length in lengths]

    def answer_steps(length):
        return length + extra

    def at_once(length, steps):
        return 1000 // (length * steps)

    groups = list(predict.groups(sequences, answer_steps, at_once))
    assert [sequence for group in groups for sequence in group] == sequences
    for group in groups:
        longest = max(sequence.size for sequence in group)
        assert len(group) == 1 or len(group) * longest * (longest + extra) <= 1000
    assert [len(group) for group in predict.groups(sequences, answer_steps, lambda *_: 1)] == [1] * len(sequences)
    assert len(list(predict.groups(sequences, answer_steps, lambda *_: 10**6))) == bool(sequences)


@pytest.mark.parametrize("attention", ["none", "bahdanau"])
@pytest.mark.parametrize("lengths", [(10_000, 10_003), (10_000, 5), (5, 10_000), (8, 11)])
def test_inputs_and_answers_of_any_length_fit_into_memory(attention, lengths):
    """Whatever the model was trained on: the largest arrays of an encoder, a decoder and attention's weights."""
    config, (length, steps) = Settings(attention=attention), lengths
    at_once = limits.sequences_at_once(config, length, steps, beam=2)
    gates = 4 * config.encoder_hidden_units
    arrays = [length * gates, 2 * steps * 2 * gates, 2 * steps * config.vocab_size]
    arrays += [2 * steps * length] if attention != "none" else []
    assert at_once == 1 or at_once * max(arrays) <= 10_000_000
    assert (at_once + 1) * max(arrays) > 5_000_000
