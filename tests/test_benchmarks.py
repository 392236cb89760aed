"""The TensorFlow peers of the benchmark still start, and it compares equal work."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import helpers
from benchmarks import machine, own_data, peer_tensorflow, peers, tables, whole_run, work
from benchmarks.peers import Job
from support.model import variants
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf
from tests.running import ROOT, start_process, succeed


@pytest.mark.long
def test_the_peers_have_equal_losses(tmp_path):
    work.make(tmp_path / "work.npz", Settings(batch_size=60, encoder_hidden_units=4))
    options, losses = {"env": peers.environment(tmp_path / "cache"), "module": "benchmarks.peer_tensorflow"}, []
    for form in ("talk", "raw_rnn", "compiled"):
        arguments = [str(tmp_path / "work.npz"), form, str(work.CHECKED_LOSSES)]
        losses.append(json.loads(succeed(arguments, ROOT, "", start_process, **options))["losses"])
    talk, raw_rnn, compiled = losses
    assert len(talk) == work.CHECKED_LOSSES
    np.testing.assert_allclose(raw_rnn, talk, rtol=1e-5)
    np.testing.assert_allclose(compiled, talk, rtol=1e-5)


def test_a_whole_job_is_the_data_of_the_script(capsys):
    config, trained = Settings(max_batches=120, held_out_sequences=1001), []

    def take_steps(batches):
        trained.extend(batches)
        return np.arange(len(batches))

    def decode(batch):
        """Answers all sequences except the first, and makes something up past the end of a sequence."""
        past_end = np.arange(len(batch.targets))[:, np.newaxis] >= batch.lengths + helpers.EXTRA_DECODER_STEPS
        return batch.targets + past_end + np.all(batch.inputs == held_out.inputs[: len(batch.inputs), :1], axis=0)

    batches, held_out = helpers.examples(config, helpers.generators(config.seed))
    same_as_first = (held_out.inputs == held_out.inputs[:, :1]).all(axis=0).sum()
    work.whole_job(config, take_steps, decode)
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {"losses": list(range(work.CHECKED_LOSSES))}
    assert last == {"exact": 1 - same_as_first / 1001, "decoded": 1001}
    np.testing.assert_equal(trained, list(itertools.islice(batches, 120)))


def test_the_work_holds_every_weight_of_a_model_for_own_data(tmp_path):
    config = replace(own_data.MODEL, vocab_size=6, input_embedding_size=3, encoder_hidden_units=2)
    work.make(tmp_path / "work.npz", config)
    loaded = work.load(tmp_path / "work.npz")
    assert loaded.config == config
    with variants.open_model(config).session as session:
        peer_tensorflow.load(loaded.weights, session)
        of_model = session.run(tf.trainable_variables())
    assert {values.tobytes() for values in of_model} == {values.tobytes() for values in loaded.weights.values()}
    assert {values.shape for values in of_model} == {values.shape for values in loaded.weights.values()}


def test_time_belongs_to_the_innermost_part():
    config = Settings()
    batches = helpers.task_batches(config, 2, seed=0)
    next(batches)
    inside = batches.gi_frame
    assert whole_run.part_of(inside) == "data"
    assert whole_run.part_of(sys._getframe()) == "all else"
    assert {*whole_run.PART_OF.values(), "all else"} == {*whole_run.PARTS}


GOOD = Job(seconds=9.0, to_step_50=3.0, losses=[2.3, 2.2], exact=0.99, decoded=Settings.held_out_sequences)


def test_jobs_that_are_not_equal_end_the_benchmark():
    assert tables.check([GOOD, GOOD._replace(losses=[2.3, 2.2002])]) < 1e-3
    unequal = ([2.3, 2.3], [2.3, float("nan")])
    bad_jobs = [GOOD._replace(losses=losses) for losses in unequal]
    for bad in (*bad_jobs, GOOD._replace(exact=0.9), GOOD._replace(decoded=9_999)):
        with pytest.raises(SystemExit, match="peer"):
            tables.check([GOOD, bad])


def test_the_benchmark_started_as_a_file_says_how_it_is_started():
    command = [sys.executable, ROOT / "benchmarks/bench.py", "--help"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    line = "start it as a module, from the folder above: python -m benchmarks.bench\n"
    assert (process.returncode, process.stdout, process.stderr) == (1, "", line)


def test_the_benchmark_waits_for_a_quiet_machine_but_not_for_ever(monkeypatch):
    shares = iter([0.9, 0.05, 0.1, 0.5, 0.6])
    monkeypatch.setattr(machine, "share_in_use", lambda: next(shares))
    monkeypatch.setattr(machine.time, "sleep", lambda seconds: None)
    quiet = machine.Quiet()
    quiet.wait()
    quiet.wait()
    assert quiet.note() == "The machine was quiet before each round."
    quiet.patience = 0
    quiet.wait()
    quiet.wait()
    assert quiet.note() == "**Not a quiet machine**: before 2 of 2 rounds, other processes used up to 60% of it."
