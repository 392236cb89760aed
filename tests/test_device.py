"""Which device trains, with a faked list of devices: there was no GPU to try the flag on."""

import io
import os
import sys

import pytest

from support.settings import Settings
from support.tensorflow import compile_cache, device, startup
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import main
from tests.running import run

SMALL, LARGE = {}, {"encoder_hidden_units": 64, "batch_size": 320}
DETERMINISM = ("TF_DETERMINISTIC_OPS", "XLA_FLAGS")
TINY = ["--max-batches", "3", "--batch-size", "2", "--encoder-hidden-units", "2", "--samples", "0"]


@pytest.fixture
def shown(monkeypatch):
    """Two fake GPUs; the list of the GPUs that TensorFlow is shown. No flags of the user."""
    shown = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0", f"{kind}:1"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: shown.append((devices, kind)))
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "0")
    return shown


def choose(config, monkeypatch):
    """Chooses the device of a Settings; returns what it says on a terminal."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    with monkeypatch.context() as patch:  # here, because pytest changes the streams after a fixture
        patch.setattr(sys, "stderr", terminal)
        device.choose(config)
    return terminal.getvalue()


ON_CPU, ON_GPU = [([], "GPU")], [(["GPU:0"], "GPU")]


@pytest.mark.parametrize(
    "wish, sizes, expected, line",
    [
        ("auto", SMALL, ON_CPU, "on the CPU: at these sizes it is faster than the GPU (--device gpu to use it)"),
        ("auto", LARGE, ON_GPU, "on the GPU: at these sizes it is faster than the CPU (--device cpu to use that)"),
        ("cpu", LARGE, ON_CPU, "on the CPU (--device cpu)"),
        ("gpu", SMALL, ON_GPU, "on the GPU (--device gpu)"),
    ],
)
def test_the_sizes_decide_unless_the_flag_does(wish, sizes, expected, line, shown, monkeypatch, capsys):
    assert choose(Settings(device=wish, **sizes), monkeypatch) == f"{line}\n"
    assert shown == expected
    assert capsys.readouterr().out == ""
    assert [os.environ[name] for name in DETERMINISM] == ["0", ""], "TensorFlow's convention: fast by default"


def test_only_a_terminal_is_told(shown, capsys):
    device.choose(Settings())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "flags, expected",
    [
        ("--xla_dump_to=x", "--xla_dump_to=x --xla_gpu_deterministic_ops=true"),
        ("--xla_gpu_deterministic_ops=false", "--xla_gpu_deterministic_ops=false"),
    ],
)
def test_deterministic_operations_are_those_of_xla_too(flags, expected, shown, monkeypatch):
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    monkeypatch.setenv("XLA_FLAGS", flags)
    device.choose(Settings(device="gpu"))
    assert os.environ["XLA_FLAGS"] == expected


def test_from_64_units_and_320_sequences_on_the_gpu_is_faster():
    assert startup.multiplications(Settings()) == 960_000
    assert startup.multiplications(Settings(**LARGE)) == 24_248_320
    assert not device.uses_gpu(Settings(**LARGE | {"batch_size": 200}))


@pytest.mark.parametrize("wish", ["auto", "cpu"])
def test_without_a_gpu_nothing_changes(wish, monkeypatch, capsys):
    before, folder = dict(os.environ), compile_cache.environment()
    assert choose(Settings(device=wish, **LARGE), monkeypatch) == ""
    assert dict(os.environ) == before and compile_cache.environment() == folder
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("asked", [["--predict", "3 4"], ["--export", "saved"]])
def test_only_training_uses_a_gpu(asked, stopped, shown, monkeypatch, capsys):
    monkeypatch.chdir(stopped.parent)
    monkeypatch.setattr(sys, "argv", ["seq2seq_copy.py", *asked, "--run-dir", "run"])
    monkeypatch.setattr(main.variants, "open_model", None)
    monkeypatch.setattr(main.export, "write", None)
    with pytest.raises(TypeError):
        main.main()
    assert shown == ON_CPU


def test_a_gpu_that_is_not_there_is_one_line_and_nothing_is_written(tmp_path):
    status, stdout, stderr = run([*TINY, "--device", "gpu"], tmp_path)
    assert (status, stdout) == (2, "")
    assert (
        stderr == "seq2seq_copy.py: --device: TensorFlow sees no GPU; docs/using.md says how to install what it needs\n"
    )
    assert not list(tmp_path.iterdir())
