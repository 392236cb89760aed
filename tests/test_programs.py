"""Compiled programs kept for the next run: they save time, and change nothing."""

import os
import shutil

import pytest
from running import run
from support.terminal.settings import Config

from support.graph import programs, sessions

TINY = ["--encoder-hidden-units", "3", "--input-embedding-size", "2", "--batch-size", "4", "--length-to", "4"]


def train(folder, name, cache, *flags, **variables):
    """Trains a tiny run; returns its history.csv, and what stands on stderr."""
    environment = os.environ | {programs.SETTING: str(cache)} | variables
    arguments = [*TINY, "--max-batches", "60", *flags, "--run-dir", name]
    status, _, stderr = run(arguments, folder, env=environment)
    assert status == 0, stderr
    return (folder / name / "history.csv").read_bytes(), stderr


def entries(cache):
    return {path.name: path.read_bytes() for path in cache.glob("tensorflow-*/*")}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A cache that one run has filled, and the history of that run."""
    folder = tmp_path_factory.mktemp("first")
    history, stderr = train(folder, "run", folder / "cache", PYTHONHASHSEED="1")
    assert not stderr
    return folder / "cache", history


@pytest.fixture
def cache(first, tmp_path):
    shutil.copytree(first[0], tmp_path / "cache")
    return tmp_path / "cache"


def test_one_program_serves_another_seed_rate_and_number_of_batches_bit_for_bit(cache, tmp_path):
    kept = entries(cache)
    assert len(kept) == 1
    other = ["--seed", "7", "--max-batches", "70", "--learning-rate", "0.02"]
    history, stderr = train(tmp_path, "warm", cache, *other, PYTHONHASHSEED="2")
    assert entries(cache) == kept and not stderr
    assert history == train(tmp_path, "cold", "off", *other)[0]


def test_a_torn_entry_is_replaced(first, cache, tmp_path):
    ((name, program),) = entries(cache).items()
    (torn,) = cache.glob("tensorflow-*/*")
    torn.write_bytes(program[: len(program) // 2])
    assert train(tmp_path, "run", cache) == (first[1], "")
    assert len(entries(cache)) == 1


def test_an_entry_of_another_program_is_forgotten(first, cache, tmp_path):
    (ours,) = cache.glob("tensorflow-*/*")
    train(tmp_path, "other", cache, "--batch-size", "5")  # another shape, so another program
    (other,) = set(cache.glob("tensorflow-*/*")) - {ours}
    ours.unlink()
    name = ours.name.rpartition("-")[0]
    shutil.copyfile(other, ours.with_name(f"{name}-{programs.digest_of(other)}"))
    assert train(tmp_path, "run", cache) == (first[1], "")
    assert train(tmp_path, "again", cache) == (first[1], "")


def test_a_cache_that_cannot_be_costs_no_run(first, tmp_path):
    (tmp_path / "a file").write_text("")
    assert train(tmp_path, "run", tmp_path / "a file" / "cache") == (first[1], "")


def test_a_full_disk_costs_no_run(cache, monkeypatch):
    monkeypatch.setenv(programs.SETTING, str(cache))
    monkeypatch.setattr(programs.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, programs.SPARE - 1))
    programs.keep()
    assert programs.folder_of_process is None


def test_what_a_program_depends_on_is_in_the_name_of_its_folder(monkeypatch):
    before = programs.environment()
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    threads = programs.environment()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    flags = programs.environment()
    monkeypatch.setattr(programs.importlib.metadata, "version", lambda _: "2.99.0")
    assert len({before, threads, flags, programs.environment()}) == 4


def test_the_cache_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "LARGEST_CACHE", 250)
    folder = tmp_path / "tensorflow-2.21.0-0123456789abcdef"
    folder.mkdir()
    for age, name in enumerate(["newest", "newer", "older", "oldest"]):
        (folder / name).write_bytes(bytes(100))
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    for name, age in (("process-left", programs.STALE + 60), ("process-running", 60)):
        (folder / name).mkdir()
        os.utime(folder / name, (programs.time.time() - age,) * 2)
    programs.shrink(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["newer", "newest", "process-running"]


def test_the_cache_is_emptied(cache, monkeypatch, capsys):
    monkeypatch.setenv(programs.SETTING, str(cache))
    programs.main()
    assert capsys.readouterr().out.startswith("deleted 1 compiled program, ")
    assert not entries(cache)
    (cache / "mine").write_text("")
    programs.main()
    assert capsys.readouterr().out.startswith("deleted 0 compiled programs, ")
    assert (cache / "mine").exists()


@pytest.mark.parametrize("units, batch_size, cores, expected", [(20, 100, 2, 1), (256, 100, 2, 2), (256, 100, 64, 14)])
def test_threads_follow_from_the_sizes(monkeypatch, units, batch_size, cores, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert sessions.threads(Config(encoder_hidden_units=units, batch_size=batch_size)) == expected
