"""Trains, stops, resumes and asks runs at random, for as long as you like, and checks after each step what must hold.

    python -m tests.soak --minutes 60 --seed 0

A run of each model is trained without a stop first. Then each step starts or resumes a run of one of the models, and
something happens to it: a signal, a full disk, a second process. Or it asks or exports a run. After each step:

- the exit status and the messages are those that docs/using.md promises, without a traceback;
- no checkpoint is lost, and no file of any other run has changed;
- a run that came to its end equals the one without a stop, bit for bit, and gives the same answers;
- nothing half-written is left once a process has come to its end.

The disk is a small one in memory if this machine allows that (it takes root); else a limit on the size of a file takes
the place of a full disk. What fails is printed with its seed and step, and the files are kept. The seed decides what is
done, and when a signal is sent; which batch it meets depends on the machine.
"""

import argparse
import collections
import contextlib
import hashlib
import importlib
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

from support.run import folder as folders
from support.tensorflow import tensorflow_v1 as tf
from tests.disturbed import LOGS, STATUSES, Failure, carry_out, check, check_end, filled_disk, small_disk, start
from tests.killed_runs import ARGUMENTS, is_finished, wait_for
from tests.same_end import assert_same_end

MODELS = {
    "plain": ["--xla", "off"],
    "layers": ["--xla", "off", "--layers", "2", "--cell", "gru", "--task", "reverse"],
    "attention": ["--xla", "off", "--attention", "luong", "--feedback", "scheduled"],
    "pairs": ["--xla", "off", "--data", "pairs.tsv"],
    "compiled": ["--xla", "on"],
}
CHANCES = [6, 3, 3, 3, 1]  # compiling takes a while, so it is done less often
MOST_FINISHED = 6  # finished runs that are kept
OLD = 7200  # seconds; a file half-written that long ago is nobody's any more


def contents(runs):
    """Returns a digest of each file of some runs."""
    paths = [path for run in runs for path in run.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def left_over():
    """Returns what a process has left half-written."""
    return [path for path in Path().rglob("*") if path.name.endswith(".partial") or path.name.startswith(".latest-")]


class Soak:
    """The runs so far, and what was done to them.

    chance: the random.Random that decides.
    current: dict from a model to its run that has not come to its end.
    finished: list of (model, run), the oldest first.
    seconds: dict from a model to how long its run takes without a stop.
    counts: collections.Counter of (what happened, how it ended).
    """

    def __init__(self, seed, is_small_disk):
        self.chance = random.Random(seed)
        self.is_small_disk = is_small_disk
        self.current, self.finished, self.seconds, self.number = {}, [], {}, 0
        self.counts = collections.Counter()

    def train_whole(self):
        """Trains the run of each model that nothing stops."""
        letters = "abcdefghijklmnopqrst"
        lines = (f"{a} {b} {c}\t{c} {b} {a}\n" for a in letters for b in letters for c in letters[:5])
        Path("pairs.tsv").write_text("".join(lines))
        for model, arguments in MODELS.items():
            begin = time.perf_counter()
            carry_out([*ARGUMENTS, *arguments, "--run-dir", f"{model}-whole"])
            self.seconds[model] = time.perf_counter() - begin

    def step(self):
        """Does one thing at random."""
        self.number += 1
        for _, old in self.finished[:-MOST_FINISHED]:
            shutil.rmtree(old)
        del self.finished[:-MOST_FINISHED]
        model = self.chance.choices(list(MODELS), CHANCES)[0]
        action = self.chance.choices([self.train, self.ask, self.export], [8, 1, 1])[0]
        others = [Path(f"{name}-whole") for name in MODELS] + [run for _, run in self.finished]
        others += [run for name, run in self.current.items() if name != model]
        before = contents(others)
        try:
            action(model)
            changed = {path for path, _ in before.items() ^ contents(others).items()}
            check(not changed, f"files of other runs have changed: {changed}")
        except Failure:
            self.current.pop(model, None)  # the next step begins with a new run
            raise

    def train(self, model):
        """Starts or resumes a run, and does something to it."""
        run = self.current.setdefault(model, Path(f"{model}-{self.number}"))
        kept = folders.batches_kept(run) or 0
        for path in left_over():
            os.utime(path, (time.time() - OLD,) * 2)
        is_resumed = (run / "config.json").exists()
        happened = self.chance.choice(list(STATUSES))
        arguments = ["--resume", f"{run}"] if is_resumed else [*ARGUMENTS, *MODELS[model], "--run-dir", f"{run}"]
        status = self.disturb(happened, arguments, self.seconds[model])
        check((folders.batches_kept(run) or 0) >= kept, f"{run} lost a checkpoint: it had one after {kept} batches")
        if status in (128 + signal.SIGINT, 128 + signal.SIGTERM):
            rows = (run / "history.csv").read_bytes().count(b"\n") - 1
            check(rows == folders.batches_kept(run), f"{run} was stopped after {rows} batches without a checkpoint")
        if status == 0:
            check(is_finished(run), f"{run} did not come to its end")
            others = [other for other in self.current.values() if other != run]  # killed, and not yet resumed
            own = [path for path in left_over() if not any(path.is_relative_to(other) for other in others)]
            check(not own, f"half-written: {own}")
        if is_finished(run):
            self.compare(model, run)
            del self.current[model]
            self.finished.append((model, run))

    def disturb(self, happened, arguments, seconds):
        """Starts a process, does something to it, and checks how it ends; returns its exit status."""
        if happened == "full disk" and not self.is_small_disk:
            happened = "limit on file size"
        limit = self.chance.randrange(400_000) if happened == "limit on file size" else resource.RLIM_INFINITY
        room, moment = self.chance.randrange(700_000), self.chance.uniform(0.01, 1.2 * seconds)
        with filled_disk(room) if happened == "full disk" else contextlib.nullcontext():
            child = start(arguments, largest_file=limit)
            if happened.startswith("SIG"):
                self.send(child, moment, *happened.split())
            elif happened == "second process":
                time.sleep(moment)
                self.start_second(Path(arguments[-1]))
            status = wait_for(child)
        check_end(status, STATUSES[happened])
        self.count(happened, status)
        return status

    def send(self, child, moment, name, twice=None):
        """Sends a signal to a process after some seconds."""
        time.sleep(moment)
        os.kill(child, signal.Signals[name])
        if twice:
            time.sleep(self.chance.uniform(0, 0.2))
            os.kill(child, signal.Signals[name])

    def start_second(self, run):
        """Resumes or asks a run that another process trains. It is not resumed; it answers if it has a checkpoint."""
        if self.chance.random() < 0.5:
            what, question, allowed = (
                "resumed while it trains",
                ["--resume", f"{run}"],
                {0, 2},
            )  # 0: it has just stopped
        else:
            question = ["--predict", self.line(run), "--run-dir", f"{run}"]
            what, allowed = "asked while it trains", {0} if folders.checkpoints(run) else {0, 2}
        status = wait_for(start(question, "second"))
        check_end(status, allowed, "second")
        self.count(what, status)

    def line(self, run):
        """Returns a sequence that a run knows the symbols of."""
        return " ".join(self.chance.choices("abcde" if run.name.startswith("pairs") else "23456789", k=3))

    def count(self, happened, status):
        self.counts[happened, {0: "ended", 1: "one line", 2: "one line"}.get(status, "stopped")] += 1

    def compare(self, model, run):
        """Checks in a process of its own that a run came to the same end as the one that nothing stopped."""
        child = os.fork()
        if child == 0:
            try:
                assert_same_end(Path(f"{model}-whole"), run)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        check(wait_for(child) == 0, f"{run} is not equal to {model}-whole")
        self.counts["compared at its end", "equal"] += 1

    def ask(self, model):
        """Asks a run, which may not have come to its end; a finished one must answer like the one without a stop."""
        runs = [run for name, run in [*self.finished, *self.current.items()] if name == model]
        runs = [run for run in runs if folders.checkpoints(run)] or [Path(f"{model}-whole")]
        run = self.chance.choice(runs)
        how = self.chance.choice([[], ["--beam", "3", "--n-best", "2"], ["--json"], ["--scores"]])
        question = [*how, "--predict", self.line(run), "--predict", self.line(run), "--run-dir"]
        answer = carry_out([*question, f"{run}"])
        if is_finished(run):
            check(answer == carry_out([*question, f"{model}-whole"]), f"{run} answers differently")
        self.counts["asked", "equal" if is_finished(run) else "ended"] += 1

    def export(self, model):
        """Exports a run, and does something to that; the export is whole, or there is none."""
        happened = self.chance.choice(list(STATUSES)[:-1])
        status = self.disturb(happened, ["--export", "exported", "--run-dir", f"{model}-whole"], 1)
        names = ["assets/vocabulary.txt", "saved_model.pb", "variables/variables.index"]
        check(status != 0 or Path("exported").exists(), "no export")
        if Path("exported").exists():
            check(all(Path("exported", name).exists() for name in names), "half an export")
            shutil.rmtree("exported")
        self.count("exports among these", status)
        for path in Path().glob("*.partial"):
            shutil.rmtree(path)  # what kill -9 leaves of an export, as docs/using.md says


def table(counts):
    """Returns what happened how often, as a table."""
    ends = ["ended", "stopped", "one line", "equal"]
    lines = ["| | times | came to the end | stopped | one line | as without a stop |", "|---|---|---|---|---|---|"]
    for what in dict.fromkeys(what for what, _ in sorted(counts)):
        numbers = [counts[what, end] for end in ends]
        lines.append(f"| {what} | {sum(numbers)} | {' | '.join(str(number or '') for number in numbers)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, metavar="N", help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="what is done (default: 0)")
    arguments = parser.parse_args()
    assert tf.__version__  # imports TensorFlow, for all forks
    importlib.import_module("matplotlib.figure")

    failures, begin = 0, time.perf_counter()
    with small_disk() as (disk, is_small):
        soak = Soak(arguments.seed, is_small)
        soak.train_whole()
        while time.perf_counter() - begin < 60 * arguments.minutes:
            try:
                soak.step()
            except Failure as failure:
                failures += 1
                kept = LOGS / f"step-{soak.number}"
                shutil.copytree(disk, kept, symlinks=True)
                print(f"seed {arguments.seed}, step {soak.number}: {failure}\n  files in {kept}", flush=True)
            if soak.number % 50 == 0:
                print(table(soak.counts), f"\n{soak.number} steps, {failures} failures\n", flush=True)
    print(table(soak.counts), f"\n{soak.number} steps in {arguments.minutes:g} minutes, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
