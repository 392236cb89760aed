"""Where the time of the default run goes, and the time to 99 %. Each run is a process:

    python -m benchmarks.whole_run script       the default run of seq2seq_copy.py, with a clock around its parts
    python -m benchmarks.whole_run script-99 0  the same with --max-batches 1001 and seed 0, until 99 % is reached
    python -m benchmarks.whole_run talk-99 0    the tutorials' recipe until then: one encoder cell, Adam with 0.001

99 % is reached when 99 % of 10,000 held-out sequences are exact, and 99 % of the first 1,000 of them, which are decoded
first every 100 batches. Prints JSON. All times count from the start of the process.
"""

import collections
import contextlib
import io
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import helpers
from benchmarks import peers, work
from experiments import recipes
from experiments.common import output_of, percent, print_table
from seq2seq_copy import Model, evaluate, train
from support.limits import EVALUATION_BATCH
from support.model import variants
from support.run.history import History
from support.run.run import Run
from support.settings import Settings
from support.tensorflow import compiled, startup
from support.terminal import report, training
from support.terminal.command import read_command

ROUNDS, SEEDS = 3, (0, 1)
START_UP = ("import", "graph", "trace", "compile")
AROUND = ("data", "batches", "checkpoints", "report", "pictures")  # around the training steps
PARTS = (*START_UP, *AROUND, "evaluation", "training steps", "all else")
TIMED = [  # each function, and the part that it belongs to
    (Model, "__init__", "graph"),
    (compiled, "run_compiled", "trace"),
    (variants, "open_trainer", "compile"),
    (History, "record", "batches"),
    (Model, "feed", "batches"),
    (training, "open_run", "checkpoints"),
    (Run, "save", "checkpoints"),
    (report, "batch_report", "report"),
    (report, "metrics", "report"),
    (report, "final_report", "report"),
    (training, "save_all", "pictures"),
    (training, "evaluate", "evaluation"),
    (training, "train_until_stopped", "training steps"),
]
GOAL = 0.99
SHORT_RUN = 1001  # batches over which the learning rate falls: fewer than the default, enough for 99 %
GIVE_UP = 100_000
BETWEEN_EVALUATIONS = 100  # batches


class Clock:
    """Counts the seconds of each part of this process, from its start. A part inside another one interrupts it."""

    def __init__(self, part):
        started = float(Path("/proc/self/stat").read_text().rsplit(")")[1].split()[19]) / os.sysconf("SC_CLK_TCK")
        self.start = time.perf_counter() - float(Path("/proc/uptime").read_text().split()[0]) + started
        self.part, self.seconds, self.all = part, collections.Counter(), 0

    def switch(self, part):
        """Ends the current part, and begins another one; returns the former."""
        now = time.perf_counter() - self.start
        self.seconds[self.part] += now - self.all
        ended, self.part, self.all = self.part, part, now
        return ended

    @contextlib.contextmanager
    def inside(self, part):
        outside = self.switch(part)
        yield
        self.switch(outside)

    def each(self, part, iterator):
        """Yields the values of an iterator, with the clock on a part."""
        while True:
            with self.inside(part):
                item = next(iterator)
            yield item


def run_default(clock):
    """Returns the seconds of each part of the default run, of all of it, and its peak memory in MB."""
    command = read_command([])
    startup.prepare_training(command.config)
    startup.import_tensorflow()
    clock.switch("all else")
    for owner, name, part in TIMED:
        setattr(owner, name, clock.inside(part)(getattr(owner, name)))
    examples = training.examples

    def timed_examples(*arguments):
        generator, batches, held_out = examples(*arguments)
        return generator, clock.each("data", batches), held_out

    training.examples = timed_examples
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(folder)
        training.run_training(*command)
    clock.switch("")
    return {**clock.seconds, "all": clock.all, "memory": work.peak_memory()}


def run_to_99(clock, form, seed):
    """Returns the batches and the seconds until 99 % of 10,000 held-out sequences are exact, and the exact share."""
    if form == "talk":
        os.environ |= {"TF_NUM_INTRAOP_THREADS": "0", "TF_NUM_INTEROP_THREADS": "0"}
        trainer = recipes.open_trainer(recipes.Recipe(seed=seed, max_batches=GIVE_UP))
    else:
        config = Settings(seed=seed, max_batches=SHORT_RUN)
        startup.prepare_training(config)
        trainer = variants.open_trainer(config)
    model = trainer.model
    batches, held_out = helpers.examples(model.config, helpers.generators(seed))
    few_held_out = helpers.take(held_out, 0, EVALUATION_BATCH)
    most = model.config.max_batches // BETWEEN_EVALUATIONS * BETWEEN_EVALUATIONS
    for number, _ in enumerate(train(trainer, itertools.islice(batches, most)), start=1):
        is_last = number == most
        if number % BETWEEN_EVALUATIONS == 0 and (is_last or evaluate(model, few_held_out)[0].mean() >= GOAL):
            exact = evaluate(model, held_out)[0].mean()
            if is_last or exact >= GOAL:
                clock.switch("")
                return {"batches": number, "seconds": clock.all, "exact": exact}


# In the benchmark's process.


def run_json(cache, *arguments):
    command = [peers.PYTHON, "-m", "benchmarks.whole_run", *arguments]
    return json.loads(output_of(command, cwd=peers.ROOT, env=peers.environment(cache)).splitlines()[-1])


def default_run(folder, quiet):
    """Prints where the time of the default run goes, cold and warm, and its memory."""
    program = "import resource, tensorflow.compat.v1; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    imported = int(output_of([peers.PYTHON, "-c", program]).split()[-1]) / 1024
    runs = {"cold": [], "warm": []}
    for round_number in range(ROUNDS):
        quiet.wait()
        for state in runs:
            runs[state].append(run_json(folder / f"default-run-{round_number}", "script"))
    middle = [sorted(some, key=lambda run: run["all"])[ROUNDS // 2] for some in runs.values()]
    start_up = [statistics.median(sum(run[part] for part in START_UP) for run in some) for some in runs.values()]
    around = [percent(sum(run[part] for part in AROUND) / run["all"], 1) for run in middle]
    print(f"## The default run\n\nThe median of {ROUNDS}. Trace: the graph of the step, for XLA; batches: noting them")
    print(f"and their feed_dicts; evaluation: decoding held-out sequences. {quiet.note()}\n")
    rows = [[part, *(f"{run[part]:.2f}" for run in middle)] for part in PARTS]
    rows.append(["**all**", *(f"{run['all']:.2f}" for run in middle)])
    rows.append([", ".join(START_UP), *(f"{seconds:.2f}" for seconds in start_up)])
    rows.append([", ".join(AROUND), *(f"{share} of all" for share in around)])
    print_table(["part", "cold [s]", "warm [s]"], rows)
    memory = max(run["memory"] for some in runs.values() for run in some)
    over = memory - imported
    print(f"Peak memory: {memory:.0f} MB, {over:.0f} MB above `import tensorflow.compat.v1`.\n", flush=True)


def time_to_99(folder, quiet):
    """Prints how long this script, cold and warm, and the talk's recipe take to 99 %."""
    rows = []
    for seed in SEEDS:
        quiet.wait()
        runs = [run_json(folder / f"99-{seed}", form, str(seed)) for form in ("script-99", "script-99", "talk-99")]
        cells = [f"{run['seconds']:.1f} s, {run['batches']} batches, {percent(run['exact'])}" for run in runs]
        cold, warm, talk = (run["seconds"] for run in runs)
        rows.append([seed, *cells, f"{talk / cold:.1f}", f"{talk / warm:.1f}"])
    print("## Time to 99 %\n\nFrom the start of the process until 99 % of 10,000 held-out sequences are exact.")
    print(f"{quiet.note()}\n")
    head = ["seed", "this script, cold", "this script, warm", "the talk's recipe", "talk / cold", "talk / warm"]
    print_table(head, rows)


if __name__ == "__main__":
    form, _, goal = sys.argv[1].partition("-")
    clock = Clock("import")
    print(json.dumps(run_to_99(clock, form, int(sys.argv[2])) if goal else run_default(clock)))
