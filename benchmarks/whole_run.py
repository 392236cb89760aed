"""Where the time of the default run goes, and the time to 99 %. Each run is a process, started by make bench:

    python -m benchmarks.whole_run START script     the default run of seq2seq_copy.py, which is looked at all the time
    python -m benchmarks.whole_run START script-off the same with --xla off
    python -m benchmarks.whole_run START script-99  the default run with --max-batches 1101, until 99 % is reached
    python -m benchmarks.whole_run START talk-99    the tutorials' recipe until then: one cell, Adam with 0.001

START is the time.perf_counter() of the start. 99 % is reached when 99 % of 10,000 held-out sequences are exact. Every
100 batches, the first 1,000 of them are decoded first. Prints JSON.
"""

import collections
import contextlib
import inspect
import io
import itertools
import json
import os
import sys
import tempfile
import threading
import time

import helpers
import seq2seq_copy
from benchmarks import peers
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

LOOK = 0.005  # seconds between two looks at a run
START_UP = ("import", "graph", "trace", "compile")
AROUND = ("data", "batches", "checkpoints", "report", "pictures")  # around the training steps
PARTS = (*START_UP, *AROUND, "evaluation", "training steps", "all else")
PART_OF = {  # each function, and the part that the time inside it belongs to
    startup.import_tensorflow: "import",
    Model.__init__: "graph",
    compiled.run_compiled: "trace",
    variants.open_trainer: "compile",
    helpers.task_batches: "data",
    History.record: "batches",
    Model.feed: "batches",
    training.open_run: "checkpoints",
    Run.save: "checkpoints",
    report.batch_report: "report",
    report.figures: "report",
    report.final_report: "report",
    training.save_all: "pictures",
    seq2seq_copy.evaluate: "evaluation",
    training.train_until_stopped: "training steps",
}
PART_OF_CODE = {inspect.unwrap(function).__code__: part for function, part in PART_OF.items()}
GOAL = 0.99
SHORT_RUN = 1101  # batches over which the learning rate falls: fewer than the default, enough for 99 %
GIVE_UP = 100_000
BETWEEN_EVALUATIONS = 100  # batches


def part_of(frame):
    """Returns the part that a frame is in: that of the innermost function of PART_OF."""
    while frame is not None and frame.f_code not in PART_OF_CODE:
        frame = frame.f_back
    return PART_OF_CODE[frame.f_code] if frame is not None else "all else"


def run_command(start, arguments):
    """Returns the seconds of each part of a run of the command, and of all of it."""
    seconds, ended, main_thread = collections.Counter(), threading.Event(), threading.get_ident()
    before = time.perf_counter()
    seconds["import"] = before - start

    def look():
        nonlocal before
        while not ended.wait(LOOK):
            part, now = part_of(sys._current_frames()[main_thread]), time.perf_counter()
            seconds[part] += now - before
            before = now

    watcher = threading.Thread(target=look)
    watcher.start()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(folder)
        training.run_training(*read_command(arguments))
    ended.set()
    watcher.join()
    return {**seconds, "all": before - start}


def run_to_99(start, form):
    """Returns the batches and the seconds until 99 % of 10,000 held-out sequences are exact, and the exact share."""
    if form == "talk":
        os.environ |= {"TF_NUM_INTRAOP_THREADS": "0", "TF_NUM_INTEROP_THREADS": "0"}
        trainer = recipes.open_trainer(recipes.Recipe(max_batches=GIVE_UP))
    else:
        config = Settings(max_batches=SHORT_RUN)
        startup.prepare_training(config)
        trainer = variants.open_trainer(config)
    model = trainer.model
    batches, held_out = helpers.examples(model.config, helpers.generators(model.config.seed))
    few_held_out = helpers.take(held_out, 0, EVALUATION_BATCH)

    def exact(some):
        return evaluate(model, some)[0].mean()

    for number, _ in enumerate(train(trainer, itertools.islice(batches, model.config.max_batches)), start=1):
        if number % BETWEEN_EVALUATIONS == 0 and exact(few_held_out) >= GOAL and exact(held_out) >= GOAL:
            break
    return {"batches": number, "seconds": time.perf_counter() - start, "exact": exact(held_out)}


# In the benchmark's process.


def run_json(cache, form):
    command = [peers.PYTHON, "-m", "benchmarks.whole_run", str(time.perf_counter()), form]
    return json.loads(output_of(command, cwd=peers.ROOT, env=peers.environment(cache)).splitlines()[-1])


def default_run(folder, quiet):
    """Prints where the time of the default run goes, cold, warm, and without XLA."""
    quiet.wait()
    forms = {"cold [s]": "script", "warm [s]": "script", "--xla off [s]": "script-off"}
    runs = [run_json(folder / "default-run", form) for form in forms.values()]
    print("## The default run\n\nTrace: the graph of the step, for XLA; batches: recording them in the history, and")
    print(f"making their feed_dicts; evaluation: decoding held-out sequences. {quiet.note()}\n")
    rows = [[part, *(f"{run.get(part, 0):.2f}" for run in runs)] for part in PARTS]
    rows.append(["**all**", *(f"{run['all']:.2f}" for run in runs)])
    for parts in (START_UP, AROUND):
        sums = [sum(run.get(part, 0) for part in parts) for run in runs]
        cells = [f"{seconds:.2f}, {percent(seconds / run['all'], 1)} of all" for seconds, run in zip(sums, runs)]
        rows.append([", ".join(parts), *cells])
    print_table(["part", *forms], rows)


def time_to_99(folder, quiet):
    """Prints how long this script, cold and warm, and the talk's recipe take to 99 %."""
    quiet.wait()
    forms = {"this script, cold": "script-99", "this script, warm": "script-99", "the talk's recipe": "talk-99"}
    runs = {name: run_json(folder / "99", form) for name, form in forms.items()}
    print("## Time to 99 %\n\nFrom the start of the process until 99 % of 10,000 held-out sequences are exact.")
    print(f"{quiet.note()}\n")
    talk = runs["the talk's recipe"]["seconds"]
    rows = [
        [name, f"{run['seconds']:.1f}", run["batches"], percent(run["exact"]), f"{talk / run['seconds']:.1f}"]
        for name, run in runs.items()
    ]
    print_table(["", "seconds", "batches", "exact", "the talk's seconds / these"], rows)


if __name__ == "__main__":
    start, (form, _, rest) = float(sys.argv[1]), sys.argv[2].partition("-")
    print(json.dumps(run_to_99(start, form) if rest == "99" else run_command(start, ["--xla", "off"] if rest else [])))
