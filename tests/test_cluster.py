"""Several workers on this machine train one model: the same run, the same end, and one clear line for each fault."""

import json
import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from same_end import assert_same_end
from workers import start_workers

import helpers
from seq2seq_copy import PLAIN, Model
from support.cluster import train
from support.cluster.local import free_addresses, tf_config
from support.cluster.steps import compute_compiled, share_of_batch
from support.cluster.tf_config import read
from support.errors import UserError
from support.run.run_folder import RunFolder
from support.settings import Settings
from support.tensorflow import compile_cache, startup
from support.terminal import main
from tests.running import ROOT, batches_saved, files, long, run_process, start_process, start_with_files, wait_for

SETTINGS = ["--max-batches", "50", "--samples", "0", "--encoder-hidden-units", "8"]
LONGER = [*SETTINGS, "--max-batches", "400", "--batch-size", "21", "--learning-rate", "0.01", "--xla", "off"]
SMALL = ["--vocab-size", "3", "--length-from", "1", "--length-to", "2"]


def outputs(folder, index):
    return [(folder / f"worker-{index}.{ending}").read_text() for ending in ("out", "err")]


def run_workers(arguments, folder, count, expected=0, **options):
    """Runs workers until they end; returns the standard output and error of each."""
    children = start_workers(arguments, [folder] * count, **options)
    statuses = [child.wait() for child in children]
    printed = [outputs(folder, index) for index in range(count)]
    assert statuses == [expected] * count, printed
    return printed


def history(run):
    return np.genfromtxt(run / "history.csv", delimiter=",", names=True)


def assert_same_run(run, expected):
    rows, expected_rows = history(run), history(expected)
    assert len(rows) == len(expected_rows)
    np.testing.assert_allclose(rows["loss"], expected_rows["loss"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(rows["gradient_norm"], expected_rows["gradient_norm"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(rows["learning_rate"], expected_rows["learning_rate"], rtol=1e-5)
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in (run, expected)]
    counted = "exact_match" if "test" in figures[0] else "exact_match_never_seen"
    assert figures[0][counted]["sequences"] == figures[1][counted]["sequences"]


def without_numbers(report):
    return re.sub(r" *[\d.]+", "#", report).replace("together", "alone")


VARIANT = "--cell gru --attention luong --feedback scheduled"
OTHER_VARIANT = "--feedback scheduled --attention bahdanau --task reverse"


@pytest.mark.parametrize(
    "count, more",
    [
        (2, "--batch-size 25 --xla off"),
        long(3, f"--batch-size 20 --xla off {VARIANT}"),
        long(2, f"--batch-size 25 --xla on {OTHER_VARIANT}"),
        long(2, "--batch-size 11 --xla off --feedback teacher --data pairs.tsv"),
    ],
)
def test_workers_make_the_run_of_one_machine(count, more, tmp_path):
    """The batch size is not a multiple of their number. The workers check that their weights are the same."""
    arguments = [*SETTINGS, *more.split()]
    (tmp_path / "pairs.tsv").write_text("".join(f"{a} {b} {a}\t{b} {a}\n" for a in "abcdefgh" for b in "stuvwxyz"))
    alone = start_with_files([*arguments, "--run-dir", "alone"], tmp_path)
    assert alone.wait() == 0, (tmp_path / "alone.err").read_text()
    (first, *others) = run_workers([*arguments, "--run-dir", "together"], tmp_path, count)
    assert_same_run(tmp_path / "together", tmp_path / "alone")
    assert (tmp_path / "together/config.json").read_bytes() == (tmp_path / "alone/config.json").read_bytes()
    assert without_numbers(first[0]) == without_numbers((tmp_path / "alone.out").read_text())
    assert first[1] == ""
    for index, (stdout, stderr) in enumerate(others, start=1):
        first_line, last_line = stdout.splitlines()
        assert first_line.startswith(f"worker {index} of {count} trains; worker 0 (127.0.0.1:")
        assert last_line == f"worker {index} of {count} has ended after 50 batches"
        assert stderr == ""


def test_the_compiled_step_of_a_worker_has_the_loss_of_the_model():
    config = Settings(encoder_hidden_units=2, input_embedding_size=2, batch_size=3)
    model = Model(config)
    batch = next(helpers.task_batches(config, config.batch_size, seed=0))
    with model.session as session, session.graph.as_default():
        loss, _ = compute_compiled(model.placeholders, config, PLAIN, model.variables, slice(0, 3))
        np.testing.assert_allclose(*session.run([loss, model.loss], model.feed(batch)), rtol=1e-5)


@pytest.mark.long
def test_if_xla_cannot_compile_the_run_is_the_one_without_it(tmp_path):
    arguments = [*SETTINGS, "--max-batches", "20"]
    run_workers([*arguments, "--xla", "off", "--run-dir", "without"], tmp_path, 2)
    printed = run_workers([*arguments, "--run-dir", "with"], tmp_path, 2, before="let_xla_fail")
    for _, stderr in printed:
        assert re.fullmatch(r"seq2seq_copy.py: XLA cannot compile the step; .*--xla off.*\n", stderr)
    assert (tmp_path / "with/history.csv").read_text() == (tmp_path / "without/history.csv").read_text()


@pytest.mark.long
def test_the_same_number_of_workers_gives_the_same_bits(tmp_path):
    for name in ("first", "second"):
        run_workers(
            [*SETTINGS, "--batch-size", "7", "--max-batches", "20", "--xla", "off", "--run-dir", name], tmp_path, 3
        )
    assert_same_end(tmp_path / "first", tmp_path / "second")


@pytest.mark.long
def test_until_ends_all_workers_after_the_same_batch(tmp_path):
    arguments = [*SETTINGS, *SMALL, "--max-batches", "500", "--xla", "off", "--until", "0.5"]
    run_workers([*arguments, "--cluster-timeout", "9", "--run-dir", "alone"], tmp_path, 1)
    first, second = run_workers([*arguments, "--run-dir", "together"], tmp_path, 2)
    assert_same_run(tmp_path / "together", tmp_path / "alone")
    batches = len(history(tmp_path / "alone"))
    assert batches < 500
    assert "two evaluations in a row reached --until 0.5" in first[0]
    assert second[0].endswith(f"has ended after {batches} batches\n")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two workers that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    run_workers([*LONGER, "--run-dir", "whole"], folder, 2)
    return folder / "whole"


@pytest.mark.long
def test_a_signal_to_any_worker_stops_all_of_them_and_they_resume(whole, tmp_path):
    """Worker 1 never sees the folder of the run. Resumed with three workers, the run is equal up to rounding."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    children = start_workers([*LONGER, "--run-dir", "run"], [here, there])
    wait_for(lambda: (here / "run/checkpoints/31").exists())
    children[1].send_signal(signal.SIGTERM)
    assert [child.wait() for child in children] == [128 + signal.SIGTERM] * 2
    kept = batches_saved(here / "run")
    assert 31 <= kept < 400
    stdout, stderr = outputs(here, 0)
    assert "training interrupted\n" in stdout and f" after {kept * 21} examples" in stdout
    assert stderr == ""
    stdout, stderr = outputs(there, 1)
    assert stdout.endswith(f"worker 1 of 2 has ended after {kept} batches\n")
    shutil.copytree(here / "run", here / "of-three")

    more_of = {0: ["--resume", "run"], 1: ["--batch-size", "21"]}  # only worker 0 knows whether there is a run
    children = start_workers([], [here, there], more_of)
    assert [child.wait() for child in children] == [0, 0], [outputs(here, 0), outputs(there, 1)]
    assert outputs(here, 0)[0].startswith(f"resuming run after {kept} batches\n")
    assert_same_end(whole, here / "run")
    assert files(there) == ["worker-1.err", "worker-1.out"]

    printed = run_workers(["--resume", "of-three"], here, 3, expected=2, more_of={2: ["--seed", "9"]})
    assert {stderr for _, stderr in printed} == {
        "seq2seq_copy.py: TF_CONFIG: worker 2 has --seed 9, but worker 0 has --seed 0\n"
    }
    run_workers(["--resume", "of-three"], here, 3)
    losses, expected = (history(run)["loss"] for run in (here / "of-three", whole))
    np.testing.assert_allclose(losses[:150], expected[:150], rtol=0, atol=1e-4)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=0.1)  # rounding has changed a prediction by then


@pytest.mark.long
def test_killed_workers_and_resumed_runs(tmp_path):
    status, stdout, stderr = run_process([str(tmp_path), "2", "2", "off"], ROOT, module="tests.kill_workers")
    assert status == 0, stderr
    assert stdout.startswith("killed 2 times, ")


@pytest.mark.long
def test_weights_that_differ_are_not_saved(tmp_path):
    printed = run_workers(
        [*SETTINGS, "--xla", "off", "--run-dir", "run"], tmp_path, 2, expected=1, before="let_weights_drift"
    )
    for _, stderr in printed:
        assert re.fullmatch(r"seq2seq_copy.py: worker 1 has other weights than worker 0, .*\n", stderr)
    assert batches_saved(tmp_path / "run") == 0


PAIRS = {"a.tsv": "x y\ty x\ny x\tx y\nx x\tx x\n", "b.tsv": "x y\ty x\ny x\tx y\ny y\ty y\n"}


@pytest.mark.parametrize(
    "more_of, message",
    [
        ({1: ["--seed", "1"]}, "worker 1 has --seed 1, but worker 0 has --seed 0"),
        (
            {0: ["--data", "a.tsv"], 1: ["--data", "a.tsv"], 2: ["--data", "b.tsv"]},
            "worker 2 has another file as --data",
        ),
    ],
)
def test_workers_with_other_flags_or_data_are_refused(more_of, message, tmp_path):
    for name, text in PAIRS.items():
        (tmp_path / name).write_text(text)
    printed = run_workers(["--batch-size", "20"], tmp_path, 3, expected=2, more_of=more_of)
    for stdout, stderr in printed:
        assert stdout == ""
        assert stderr.startswith(f"seq2seq_copy.py: TF_CONFIG: {message}")
        assert stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_worker_with_another_xla_or_a_run_to_resume_is_refused():
    own, of_first = {"--xla": "off"}, {"own": {"--xla": "on"}, "resume": False}
    with pytest.raises(UserError, match="has --xla off, but worker 0 has --xla on"):
        train.adopt({"xla": "off"}, own, of_first)
    with pytest.raises(UserError, match="has --resume, but worker 0 does not"):
        train.adopt({"resume": Path("nowhere")}, {}, of_first)
    assert {"xla", "seed"} <= Settings().fixed.keys()  # which are compared


def test_a_run_that_worker_0_cannot_open_is_refused_by_all(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "run")
    (RunFolder(tmp_path / "run").checkpoints()[-1].path / "state.json").write_text("torn")
    printed = run_workers(["--resume", "run"], tmp_path, 2, expected=2)
    assert "is damaged" in printed[0][1]
    assert printed[1][1] == printed[0][1].replace("seq2seq_copy.py: ", "seq2seq_copy.py: worker 0: ")


@pytest.mark.long
def test_a_worker_with_another_tf_config_that_joins_is_named(tmp_path):
    """It lists the two workers that train, and itself. One of these two sees it join; the other may only see it end."""
    addresses = free_addresses(3)
    children = []
    for index, count in ((0, 2), (1, 2), (2, 3)):
        if index == 2:
            wait_for(lambda: list(tmp_path.glob("runs/*/checkpoints/1")))
        environment = {"TF_CONFIG": tf_config(addresses[:count], index)}
        children.append(start_with_files(LONGER, tmp_path, f"worker-{index}", env=environment))
    assert [child.wait() for child in children] == [1, 1, 1]
    problems = [outputs(tmp_path, index)[1] for index in range(3)]
    assert all(problem.count("\n") == 1 for problem in problems)
    named = "seq2seq_copy.py: a worker with another TF_CONFIG may have joined; start all workers again with --resume\n"
    assert named in problems[:2] and problems[2] == named


@pytest.mark.long
def test_a_worker_that_typed_less_follows_worker_0(tmp_path):
    more_of = {0: ["--seed", "3", "--cell", "gru", "--run-dir", "run"], 1: ["--seed", "3"]}
    arguments = [*SETTINGS, "--max-batches", "20", "--xla", "off"]
    children = start_workers(arguments, [tmp_path] * 2, more_of)
    assert [child.wait() for child in children] == [0, 0], [outputs(tmp_path, index) for index in range(2)]
    assert json.loads((tmp_path / "run/config.json").read_text())["cell"] == "gru"


@pytest.mark.long
def test_a_worker_that_never_starts_and_a_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        addresses = [f"127.0.0.1:{taken.getsockname()[1]}", *free_addresses(1)]
        for index, status, message in (
            (0, 2, f"cannot listen on the port of {addresses[0]}: is it in use? (TF_CONFIG, worker 0)"),
            (1, 1, "a worker did not answer within 0.5 s, or has another TF_CONFIG"),
        ):
            child = start_with_files(
                ["--cluster-timeout", "0.5"], tmp_path, env={"TF_CONFIG": tf_config(addresses, index)}
            )
            assert child.wait() == status
            assert (tmp_path / "alone.err").read_text() == f"seq2seq_copy.py: {message}\n"
    child = start_with_files(["--cluster-timeout", "0.5"], tmp_path, env={"TF_CONFIG": tf_config(addresses, 1)})
    assert child.wait() == 1
    message = f"seq2seq_copy.py: worker 0 ({addresses[0]}) did not start within 0.5 s\n"
    assert (tmp_path / "alone.err").read_text() == message
    assert files(tmp_path) == ["alone.err", "alone.out"]


WORKERS = {"worker": ["a:1", "b:2"]}
TASK = {"type": "worker", "index": 1}


def test_tf_config_names_the_workers_and_a_chief_is_the_first():
    assert read(json.dumps({"cluster": WORKERS, "task": TASK})) == (["a:1", "b:2"], 1)
    with_chief = {"cluster": {"chief": ["c:3"], **WORKERS}, "task": TASK, "environment": "cloud"}
    assert read(json.dumps(with_chief)) == (["c:3", "a:1", "b:2"], 2)
    assert read(json.dumps({**with_chief, "task": {"type": "chief", "index": 0}})) == (["c:3", "a:1", "b:2"], 0)
    for one_machine in ("", " ", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'):
        assert read(one_machine) is None


@pytest.mark.parametrize(
    "config, message",
    [
        ("{", "not JSON"),
        ([], "must be an object"),
        ({"cluster": "worker"}, '"cluster" must be an object'),
        ({"cluster": {"worker": "a:1"}}, '"worker" must be a list'),
        ({"cluster": {"worker": ["a"]}}, "'a', which is not"),
        ({"cluster": {"worker": ["a:70000"]}}, "'a:70000', which is not"),
        ({"cluster": {"worker": [1]}}, "1, which is not"),
        ({"cluster": {"worker": ["unix:2222", "b:2"]}}, """'unix:2222', and "unix:" is not supported"""),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": TASK}, "'a:1' appears twice"),
        ({"cluster": {**WORKERS, "ps": ["c:3"]}, "task": TASK}, '"ps" is not supported'),
        ({"cluster": {**WORKERS, "chief": ["c:3", "d:4"]}, "task": TASK}, "2 chiefs"),
        ({"cluster": WORKERS}, '"task" must be an object'),
        ({"cluster": WORKERS, "task": {"type": "evaluator", "index": 0}}, "'evaluator'"),
        ({"cluster": WORKERS, "task": {"type": "worker", "index": 2}}, "is 2, and"),
        ({"cluster": WORKERS, "task": {"type": "worker", "index": True}}, "is True, and"),
        ({"cluster": WORKERS, "task": {"type": "worker"}}, "is None, and"),
    ],
)
def test_a_malformed_tf_config_is_refused(config, message):
    with pytest.raises(UserError, match=re.escape(message)):
        read(config if isinstance(config, str) else json.dumps(config))


@pytest.mark.parametrize(
    "config, arguments, message",
    [
        ('{"cluster": 1}', [], 'TF_CONFIG: "cluster" must be an object like {"worker": ["host:port"]}'),
        (
            json.dumps({"cluster": WORKERS, "task": TASK}),
            ["--batch-size", "1"],
            "--batch-size: 1 is fewer than the 2 workers of TF_CONFIG",
        ),
        (
            json.dumps({"cluster": WORKERS, "task": TASK}),
            ["--device", "gpu"],
            "--device: workers of TF_CONFIG train on their CPUs",
        ),
        ("", ["--cluster-timeout", "3"], "--cluster-timeout needs TF_CONFIG"),
        ("{", ["--predict", "4"], "there is no run in 'runs': train one first, or name the folder of another"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(config, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CONFIG", config)
    monkeypatch.setattr(sys, "argv", ["seq2seq_copy.py", *arguments])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert (end.value.code, *capsys.readouterr()) == (2, "", f"seq2seq_copy.py: {message} (see --help)\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_has_the_threads_and_the_cache_of_a_single_process(index, tmp_path, monkeypatch):
    """For its share of a batch: 100 sequences and 256 units. TensorFlow reads both when the server starts."""
    arguments = ["--batch-size", "200", "--encoder-hidden-units", "256", "--cluster-timeout", "1"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seq2seq_copy.py", *arguments])
    monkeypatch.setenv("TF_CONFIG", tf_config(["a:1", "b:2"], index))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64), raising=False)
    monkeypatch.delenv(startup.THREADS, raising=False)
    at_start = {}

    def server(*_):
        at_start.update(os.environ)
        raise UserError("enough")

    def end(status):
        raise SystemExit(status)

    monkeypatch.setattr(train.collective, "Cluster", server)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit):
        train.run()
    assert at_start[startup.THREADS] == "14"
    assert "persistent_cache_directory" in at_start[compile_cache.FLAGS]


def test_a_worker_knows_the_sizes_of_own_data_before_it_knows_the_data():
    """TensorFlow reads the number of threads when the server starts, which is before worker 0 says what it read."""
    for typed, units, batch in (({}, 128, 32), ({"plain": True}, 20, 50), ({"encoder_hidden_units": 9}, 9, 32)):
        share = train.own_share(None, {"data": Path("a.tsv")} | typed, workers=2)
        assert (share.encoder_hidden_units, share.batch_size) == (units, batch)


def test_shares_cover_the_batch():
    for batch_size, workers in ((7, 2), (20, 3), (5, 5), (100, 7)):
        taken = [list(range(batch_size))[share_of_batch(batch_size, workers, index)] for index in range(workers)]
        assert sum(taken, []) == list(range(batch_size))
        sizes = [len(columns) for columns in taken]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_the_launcher_runs_the_real_command_and_passes_signals_on(number, tmp_path):
    arguments = ["2", "--max-batches", "100000", "--xla", "off"]
    process = start_process(arguments, tmp_path, module="support.cluster.local")
    wait_for(lambda: list(tmp_path.glob("runs/*/checkpoints/101")))
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (128 + number, "")
    assert stdout.startswith("batch 0\n")
    assert "training interrupted\n" in stdout and "held-out sequences\n" in stdout
    assert "worker 1" not in stdout
