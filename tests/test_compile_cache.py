"""Compiled programs kept for the next run: they save time but change nothing."""

import importlib.metadata
import os
import shutil

import pytest

from support.settings import Settings
from support.tensorflow import compile_cache, startup
from tests.running import posix, run

TINY = ["--encoder-hidden-units", "3", "--input-embedding-size", "2", "--batch-size", "4", "--length-to", "4"]
ARM = ("CPU implementer : 0x41\nCPU part : 0xd0c", "CPU implementer : 0x41\nCPU part : 0xd40")


def train(folder, name, cache, *flags, **variables):
    """Trains a tiny run; returns its history.csv, and its stderr."""
    environment = os.environ | {compile_cache.SETTING: str(cache)} | variables
    arguments = [*TINY, "--max-batches", "60", *flags, "--run-dir", name]
    status, _, stderr = run(arguments, folder, env=environment)
    assert status == 0, stderr
    return (folder / name / "history.csv").read_bytes(), stderr


def entries(cache):
    """Returns the programs in a cache: a dict from their paths to their bytes."""
    return {path: path.read_bytes() for path in cache.glob("compiled-steps/tensorflow-*/*")}


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


@pytest.mark.long
def test_a_folder_with_a_space_and_a_quote_is_used_as_it_is(first, tmp_path):
    """TensorFlow splits its flags at white space, and takes what follows a quote together."""
    cache = tmp_path / 'first "last'
    assert train(tmp_path, "cold", cache) == (first[1], "")
    assert len(entries(cache)) == 1
    assert train(tmp_path, "warm", cache) == (first[1], "")
    assert not (tmp_path / "first").exists()


@pytest.mark.parametrize(("installed", "expected"), [("tensorflow-cpu", "2.99.0"), ("", "unknown")])
def test_tensorflow_may_be_installed_under_another_name(installed, expected, monkeypatch):
    def version(name):
        if name != installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return "2.99.0"

    found = {"tensorflow": [installed]} if installed else {}
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: found)
    assert compile_cache.environment().startswith(f"tensorflow-{expected}-")


def test_one_program_serves_another_seed_rate_and_number_of_batches_bit_for_bit(cache, tmp_path):
    kept = entries(cache)
    assert len(kept) == 1
    other = ["--seed", "7", "--max-batches", "70", "--learning-rate", "0.02"]
    history, stderr = train(tmp_path, "warm", cache, *other, PYTHONHASHSEED="2")
    assert entries(cache) == kept and not stderr
    assert history == train(tmp_path, "cold", "off", *other)[0]


@pytest.mark.long
def test_a_torn_entry_is_replaced(first, cache, tmp_path):
    ((path, program),) = entries(cache).items()
    path.write_bytes(program[: len(program) // 2])
    assert train(tmp_path, "run", cache) == (first[1], "")
    (replaced,) = entries(cache).values()
    assert len(replaced) > len(program) // 2


@pytest.mark.long
def test_an_entry_of_another_program_is_forgotten(first, cache, tmp_path):
    (ours,) = entries(cache)
    train(tmp_path, "other", cache, "--batch-size", "5")  # another shape, so another program
    (other,) = entries(cache).keys() - {ours}
    shutil.copyfile(other, ours)
    assert train(tmp_path, "run", cache) == (first[1], "")
    assert train(tmp_path, "again", cache) == (first[1], "")


def test_a_cache_that_cannot_be_is_not_used(used, tmp_path, caplog):
    (tmp_path / "compiled-steps").write_text("")
    assert not used() and not caplog.messages


def test_a_user_without_a_home_costs_no_run(used, monkeypatch):
    """As in a container whose user has no entry in /etc/passwd."""

    def no_home(*_, **__):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(compile_cache.SETTING)
    monkeypatch.setattr(compile_cache.platformdirs, "user_cache_path", no_home)
    assert not used() and not compile_cache.forget()


@pytest.fixture
def used(tmp_path, monkeypatch):
    """Returns a function that uses a cache in tmp_path, and returns the flags that TensorFlow then gets."""
    monkeypatch.setenv(compile_cache.SETTING, str(tmp_path))

    def use():
        monkeypatch.delenv(compile_cache.FLAGS, raising=False)
        compile_cache.use()
        return os.environ.get(compile_cache.FLAGS, "")

    return use


def test_a_full_disk_costs_no_run(used, monkeypatch):
    assert "persistent_cache" in used()
    few = shutil._ntuple_diskusage(1, 1, compile_cache.SPARE - 1)
    monkeypatch.setattr(compile_cache.shutil, "disk_usage", lambda _: few)
    assert not used()


def test_a_cache_is_used_where_new_folders_are_open_to_the_group(used):
    earlier = os.umask(0o002)
    try:
        assert "persistent_cache" in used()
    finally:
        os.umask(earlier)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has other rules")
def test_machine_code_is_not_read_from_where_others_may_write(used, tmp_path, monkeypatch, caplog):
    """Neither from a folder that is open to all, nor from another user's folder, nor through a link."""
    used()
    root = tmp_path / "compiled-steps"
    (folder,) = root.iterdir()
    folder.chmod(0o777)
    assert not used()
    folder.chmod(0o700)
    assert "persistent_cache" in used()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: os.stat(folder).st_uid + 1)
        assert not used()
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert not used()
    assert [message.split(" are not kept in ")[0] for message in caplog.messages] == ["compiled programs"] * 3


def test_all_workers_of_all_clusters_share_programs(monkeypatch):
    names = set()
    for addresses in ("", "a:1", "b:2"):
        monkeypatch.setenv("TF_CONFIG", addresses)
        names.add(compile_cache.environment())
    assert len(names) == 1


def test_what_a_program_depends_on_is_in_the_name_of_its_folder(monkeypatch):
    changes = [
        lambda: monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7"),
        lambda: monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true"),
        lambda: monkeypatch.setattr(compile_cache.importlib.metadata, "version", lambda _: "2.99.0"),
        lambda: monkeypatch.setattr(compile_cache.platform, "machine", lambda: "riscv64"),
        lambda: monkeypatch.setattr(compile_cache.Path, "read_text", lambda *_: "model name : another\nflags : none"),
        *(lambda part=part: monkeypatch.setattr(compile_cache.Path, "read_text", lambda *_: part) for part in ARM),
    ]
    names = {compile_cache.environment()}
    for change in changes:
        change()
        names.add(compile_cache.environment())
    assert len(names) == 1 + len(changes)


@pytest.fixture
def others(tmp_path):
    """The user's own files, beside the programs and among them, and older than all of them."""
    paths = ["tensorflow-notes/thesis", "thesis", "compiled-steps/thesis", "compiled-steps/tensorflow-notes/thesis.pb"]
    paths += ["compiled-steps/tensorflow-2.21.0-0123456789abcdef/thesis"]
    paths = [tmp_path / path for path in paths]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000))
        os.utime(path, (1e9, 1e9))
        os.utime(path.parent, (1e9, 1e9))
    return paths


def test_the_cache_is_bounded_and_deletes_nothing_else(used, others, tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "LARGEST_CACHE", 250)
    folder = tmp_path / "compiled-steps/tensorflow-2.21.0-0123456789abcdef"
    names = [f"xla_compile_cache__{number}__1__XLA_CPU_JIT.pb" for number in range(4)]
    for age, name in enumerate(names):
        (folder / name).write_bytes(bytes(100))
        os.utime(folder / name, (2e9 - age, 2e9 - age))
    used()
    assert sorted(path.name for path in folder.iterdir()) == ["thesis", *names[:2]]
    assert all(path.exists() for path in others)


@posix
def test_an_entry_that_is_no_file_is_forgotten(used, tmp_path):
    """TensorFlow would wait for a pipe, read a device without end, and not compile in place of a folder."""
    used()
    (folder,) = (tmp_path / "compiled-steps").iterdir()
    pipe, device, directory, program = (folder / f"xla_compile_cache__{n}__1__XLA_CPU_JIT.pb" for n in range(4))
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    (directory / "with").mkdir(parents=True)
    program.write_bytes(b"program")
    assert "persistent_cache" in used()
    assert list(folder.iterdir()) == [program]
    directory.mkdir()  # and if compiling fails, whatever is there
    assert compile_cache.forget()
    assert not list(folder.iterdir())


def test_the_cache_is_emptied_and_nothing_else(cache, others, monkeypatch, capsys):
    monkeypatch.setenv(compile_cache.SETTING, str(cache))
    compile_cache.main()
    assert capsys.readouterr().out.startswith("deleted 1 compiled program, ")
    assert not entries(cache)
    monkeypatch.setenv(compile_cache.SETTING, str(others[0].parents[1]))
    compile_cache.main()
    assert capsys.readouterr().out.startswith("deleted 0 compiled programs, ")
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("units, batch_size, cores, expected", [(20, 100, 2, 1), (256, 100, 2, 2), (256, 100, 64, 14)])
def test_threads_follow_from_the_sizes(monkeypatch, units, batch_size, cores, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)  # of the machine; a container may have fewer
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(cores), raising=False)
    assert startup.threads(Settings(encoder_hidden_units=units, batch_size=batch_size)) == expected
