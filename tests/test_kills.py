"""Runs stopped at random moments, by each of three signals, against one that was never stopped."""

import itertools
import random
import signal
import time

import pytest
from same_end import assert_same_end

from support.run.run_folder import RunFolder
from tests import soak
from tests.running import batches_saved, long, posix, start

MODELS = {"plain": ["--xla", "off"], "compiled": ["--xla", "on"], "pairs": ["--xla", "off", "--data", "pairs.tsv"]}


def finish(arguments, folder):
    process = start(arguments, folder, settings=soak.SETTINGS)
    assert process.communicate()[1] == ""
    assert process.returncode == 0


LONG = [long(model) for model in MODELS if model != "plain"]


@pytest.fixture(scope="module", params=["plain", *LONG])
def whole(request, tmp_path_factory):
    """A run that nothing stopped, and its flags. With pairs, it has all settings that suit them."""
    folder = tmp_path_factory.mktemp("whole")
    soak.write_pairs(folder / "pairs.tsv")
    finish([*soak.SMALL, *MODELS[request.param], "--run-dir", "whole"], folder)
    return folder / "whole", [*soak.SMALL, *MODELS[request.param]]


def wait_for_a_moment(process, run, chance):
    """Waits until a run has a checkpoint, chosen at random, or none yet, and then for a moment."""
    batches = chance.randrange(0, soak.BATCHES + 1, soak.SETTINGS["keep_every"])
    while (batches_saved(run) or 0) < batches and process.poll() is None:
        time.sleep(0.002)
    time.sleep(chance.choice([0, chance.uniform(0, 0.02), chance.uniform(0, 1)]))


@posix
@pytest.mark.parametrize(
    ("name", "times"), [("SIGKILL", 2), *(long(name, 12) for name in ("SIGKILL", "SIGINT", "SIGTERM"))]
)
def test_a_run_stopped_at_random_comes_to_the_same_end(name, times, whole, tmp_path):
    (expected, new), number, chance, stops = whole, signal.Signals[name], random.Random(times), 0
    folder = expected.parent  # with the pairs
    for run in (tmp_path / f"stopped-{count}" for count in itertools.count()):
        while not run.exists() or batches_saved(run) != soak.BATCHES or not RunFolder(run).has_ended:
            is_resumable = (run / "config.json").exists()
            arguments = ["--resume", str(run)] if is_resumable else [*new, "--run-dir", str(run)]
            if stops == times:
                finish(arguments, folder)
                break
            process = start(arguments, folder, settings=soak.SETTINGS)
            wait_for_a_moment(process, run, chance)
            process.send_signal(number)
            _, stderr = process.communicate()
            assert process.returncode in (0, -number, 128 + number), stderr
            stops += process.returncode != 0
        assert_same_end(expected, run)
        if stops == times:
            break


@posix
@pytest.mark.long
def test_a_minute_of_accidents(capsys):
    assert soak.main(["--minutes", "1"]) == 0, capsys.readouterr().out
