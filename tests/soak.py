"""Trains, stops and resumes runs at random, and checks the promises of the project after each step.

    python -m tests.soak --minutes 60 --seed 0

Each step starts or resumes a run of one of the models, and something happens to it: a signal, a full disk, a second
process that resumes or asks it. After each step:

- the exit status and the messages are as docs/using.md promises, without a traceback;
- no checkpoint is lost, and no file of any other run has changed;
- a finished run equals one that was never stopped, bit for bit, and nothing half-written is left in it.

The disk is a small one in memory if this machine allows that (it needs root). Otherwise a limit on the size of a file
stands in for a full disk. The seed decides what is done and when; the batch at that time depends on the machine.
"""

import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.run.run_folder import RunFolder
from support.run.whole_files import PARTIAL, STALE
from tests.running import batches_saved, everything, start_with_files
from tests.same_end import assert_same_end

BATCHES = 60
SMALL = ["--batch-size", "20", "--samples", "0", "--encoder-hidden-units", "10", "--held-out-sequences", "100"]
SMALL += ["--max-batches", str(BATCHES)]
SETTINGS = {"keep_every": 3}  # many checkpoints, so that many accidents hit one being written
MODELS = {
    "plain": "--xla off",
    "layers": "--xla off --layers 2 --cell gru --task reverse",
    "attention": "--xla off --attention luong --feedback scheduled",
    "pairs": "--xla off --data pairs.tsv",
    "compiled": "--xla on",
}
HOW_OFTEN = (6, 3, 3, 3, 1)  # compiling takes a while
ACCIDENTS = {  # and the exit statuses that they allow
    "nothing": {0},
    "SIGKILL": {0, -signal.SIGKILL},
    "SIGTERM": {0, -signal.SIGTERM, 128 + signal.SIGTERM},
    "SIGINT": {0, -signal.SIGINT, 128 + signal.SIGINT},
    "SIGINT SIGINT": {0, -signal.SIGINT, 128 + signal.SIGINT},
    "full disk": {0, 1, 2},
    "second process": {0, 2},
}
DISK = 64 * 2**20  # bytes
MOST_FINISHED = 6  # finished runs that are kept


def write_pairs(path):
    """Writes 2,000 pairs: three letters, to be reversed."""
    letters = "abcdefghijklmnopqrst"
    path.write_text("".join(f"{a} {b} {c}\t{c} {b} {a}\n" for a in letters for b in letters for c in letters[:5]))


class Soak:
    """The runs so far, and what happened to them.

    seconds: dict from a model to the duration of a run.
    current: dict from a model to its run that has not finished.
    finished: list of finished runs, the oldest first.
    counts: collections.Counter of (what happened, exit status).
    """

    def __init__(self, seed, has_small_disk):
        self.chance, self.has_small_disk = random.Random(seed), has_small_disk
        self.logs = tempfile.mkdtemp(prefix="soak-")  # not on the disk that fills up
        self.seconds, self.current, self.finished, self.number = {}, {}, [], 0
        self.counts = collections.Counter()

    def start(self, arguments, name="first", **options):
        return start_with_files(arguments, Path.cwd(), f"{self.logs}/{name}", settings=SETTINGS, **options)

    def wait(self, child, allowed, what, name="first"):
        """Waits for a process and checks how it ends; returns its exit status."""
        status, messages = child.wait(), Path(f"{self.logs}/{name}.err").read_text()
        assert status in allowed and "Traceback" not in messages, (what, status, messages)
        if status in (1, 2):
            lines = messages.splitlines()
            assert lines and all(line.startswith("seq2seq_copy.py: ") for line in lines), (what, messages)
        self.counts[what, status] += 1
        return status

    def train_whole(self):
        """Trains an undisturbed run of each model."""
        write_pairs(Path("pairs.tsv"))
        for model, flags in MODELS.items():
            begin = time.monotonic()
            self.wait(self.start([*SMALL, *flags.split(), "--run-dir", f"{model}-whole"]), {0}, "whole")
            self.seconds[model] = time.monotonic() - begin

    def step(self):
        """Starts or resumes a run, and lets something happen to it."""
        self.number += 1
        while len(self.finished) > MOST_FINISHED:
            shutil.rmtree(self.finished.pop(0))
        model = self.chance.choices(list(MODELS), HOW_OFTEN)[0]
        run = self.current.setdefault(model, Path(f"{model}-{self.number}"))
        others = [Path(f"{name}-whole") for name in MODELS] + self.finished
        others += [other for other in self.current.values() if other != run]
        before, kept = [everything(other) for other in others], batches_saved(run) or 0
        for path in Path().rglob(f"{PARTIAL}*"):  # left by kill -9; no process uses it any more
            os.utime(path, (time.time() - 2 * STALE,) * 2)

        is_resumed = (run / "config.json").exists()
        new = [*SMALL, *MODELS[model].split(), "--run-dir", f"{run}"]
        status = self.disturb(["--resume", f"{run}"] if is_resumed else new, self.seconds[model])
        batches = batches_saved(run) or 0
        assert [everything(other) for other in others] == before, "files of other runs have changed"
        assert batches >= kept, f"{run} lost the checkpoint after {kept} batches"
        if status > 128:
            rows = (run / "history.csv").read_bytes().count(b"\n") - 1
            assert rows == batches, f"{run} was stopped after {rows} batches, and kept {batches}"
        if status == 0:
            assert batches == BATCHES and not list(run.rglob("*.partial")), f"{run} did not finish"
            assert_same_end(Path(f"{model}-whole"), run)
            self.finished.append(self.current.pop(model))

    def disturb(self, arguments, seconds):
        """Starts a process, and lets something happen to it; returns its exit status."""
        accident, moment = self.chance.choice(list(ACCIDENTS)), self.chance.uniform(0, 1.2 * seconds)
        options, ballast = {}, Path("ballast")
        if accident == "full disk" and not self.has_small_disk:
            options["largest_file"] = self.chance.randrange(400_000)
        elif accident == "full disk":
            with open(ballast, "wb") as file:
                free = shutil.disk_usage(".").free - self.chance.randrange(700_000)
                os.posix_fallocate(file.fileno(), 0, max(1, free))
        child = self.start(arguments, **options)
        if accident.startswith("SIG"):
            for name in accident.split():
                time.sleep(moment)
                child.send_signal(signal.Signals[name])
                moment = self.chance.uniform(0, 0.2)
        elif accident == "second process":
            time.sleep(moment)
            self.start_second(Path(arguments[-1]))
        status = self.wait(child, ACCIDENTS[accident], accident)
        ballast.unlink(missing_ok=True)
        return status

    def start_second(self, run):
        """Resumes or asks a run that may still train. It is not resumed; it answers if it has a checkpoint."""
        question = ["--predict", "a b c" if run.name.startswith("pairs") else "2 3 4", "--run-dir", f"{run}"]
        what, arguments = self.chance.choice([("resume", ["--resume", f"{run}"]), ("ask", question)])
        allowed = {0} if what == "ask" and RunFolder(run).checkpoints() else {0, 2}
        self.wait(self.start(arguments, "second"), allowed, f"{what} while it trains", "second")


@contextlib.contextmanager
def small_disk():
    """Makes a small disk in memory the current folder; yields whether the machine allows it."""
    disk, here = tempfile.mkdtemp(prefix="soak-disk-"), Path.cwd()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", disk], capture_output=True)
    os.chdir(disk)
    try:
        yield mount.returncode == 0
    finally:
        os.chdir(here)
        if mount.returncode == 0:
            subprocess.run(["umount", "--lazy", disk], check=True)
        shutil.rmtree(disk)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, metavar="N", help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="what is done (default: 0)")
    arguments, failures = parser.parse_args(arguments), 0
    with small_disk() as has_small_disk:
        soak = Soak(arguments.seed, has_small_disk)
        soak.train_whole()
        end = time.monotonic() + 60 * arguments.minutes
        while time.monotonic() < end:
            try:
                soak.step()
            except AssertionError as failure:
                failures += 1
                kept = shutil.copytree(".", f"{soak.logs}/step-{soak.number}", symlinks=True)
                print(f"seed {arguments.seed}, step {soak.number}: {failure}\n  files in {kept}", flush=True)
                soak.current.clear()  # the next steps begin with new runs
    for (what, status), count in sorted(soak.counts.items()):
        print(f"{count:5} times: {what}, exit status {status}")
    print(f"{soak.number} steps, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
