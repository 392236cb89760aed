"""Untrusted input: files that never end, text that a terminal or a picture would obey."""

import os
import threading
from pathlib import Path

import pytest

from support import outside, settings
from support.data import pairs
from support.errors import UserError
from support.settings import Settings
from tests.running import posix, run


def test_control_characters_are_written_out():
    assert outside.printable("a\x1b[31m\n\t\x9b\u202e\u2423 é") == "a\\u001b[31m\\u000a\\u0009\\u009b\\u202e\u2423 é"
    for hidden in "\u00a0\u202f\u3000\ufeff\u200b\u200d\ufe0f":
        assert outside.printable(f"a {hidden} b") == f"a \\u{ord(hidden):04x} b"
        assert outside.named(f"{hidden}") == f"U+{ord(hidden):04X}"
    assert (
        outside.printable("\u0645\u06cc\u200c\u062e \u2764\ufe0f") == "\u0645\u06cc\u200c\u062e \u2764\ufe0f"
    )  # they join
    assert outside.message("x\n" * 1000) == "x\\u000a" * 28 + "x\\u0 ... " + ("x\\u000a" * 29)[-200:]
    assert outside.message("x" * 400) == "x" * 400
    assert outside.label("$x$ \x07") == r"\$x\$ \u0007"


@posix
def test_a_very_large_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "large").write_bytes(b" " * 100 + b"1")
    assert outside.read_json(tmp_path / "large") == 1
    monkeypatch.setattr(outside, "LARGEST_FILE", 100)
    with pytest.raises(OSError, match="File too large"):
        outside.read_json(tmp_path / "large")


@posix
def test_pairs_may_come_from_a_pipe_but_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="holds no pair"):
        pairs.read(Settings(data=tmp_path / "pipe"))
    reader, writer = os.pipe()
    threading.Timer(0.2, lambda: (os.write(writer, b"a\tb\nb\ta\na a\tb\n"), os.close(writer))).start()
    assert pairs.read(Settings(data=Path(f"/dev/fd/{reader}"))).names == ["a", "b"]
    os.close(reader)


def test_a_file_of_settings_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"batch_size": 7}')
    assert settings.read_file(tmp_path / "x.json") == {"batch_size": 7}


@posix
def test_a_name_like_a_formula_and_symbols_that_a_terminal_obeys_are_trained_on_and_drawn(tmp_path):
    name = "pri$ce_$x^\x1b]0;.tsv"
    (tmp_path / name).write_text("a\x1b[31m $x$\tb\x9b $y_^$\n$x$ \x07\t$^{\n$x$\t$^{\n" * 9)
    arguments = [
        "--data",
        name,
        "--plain",
        "--max-batches",
        "3",
        "--batch-size",
        "3",
        "--xla",
        "off",
        "--run-dir",
        "a\x1bb",
    ]
    status, stdout, stderr = run([*arguments, "--batches-in-epoch", "1"], tmp_path)
    assert status == 0, stderr
    asked = ["--run-dir", "a\x1bb", "--predict", "a\x1b[31m $x$", "--scores"]
    told = [stdout, stderr, *run(asked, tmp_path)[1:], *run([*asked[:-1], "--json"], tmp_path)[1:]]
    told += run(["--run-dir", "a\x1bb", "--predict-file", name], tmp_path)[1:]
    told += run(["--run-dir", "a\x1bb", "--export", "model\x1b"], tmp_path)[1:]
    assert (tmp_path / "plots/loss.png").exists()
    assert "input     > [a\\u001b[31m $x$]" in stdout
    for text in told:
        assert all(line.isprintable() for line in text.split("\n")), text
    assert "\\u001b" in told[4] and told[4].startswith('{"input": ["a\\u001b[31m", "$x$"], ')
