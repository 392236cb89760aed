"""Where the time of a whole run goes.

    python -m benchmarks.whole_run script       the default run of seq2seq_copy.py, with a clock around its parts
    python -m benchmarks.whole_run script-99 0  the same with --max-batches 1001 and seed 0, until 99 % is reached
    python -m benchmarks.whole_run talk-99 0    the tutorials' recipe until then: one encoder cell, Adam with 0.001

99 % of 10,000 held-out sequences are then exact, and of the first 1,000 of them, which every 100 batches are decoded
before the others. Prints JSON. `import`, `all` and `seconds` count from the start of the process; the other parts are
durations.
"""

import contextlib
import functools
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
from support.terminal.settings import EVALUATION_BATCH, Config

import helpers
import seq2seq_copy
from benchmarks import work
from experiments import recipes
from support.data import ahead
from support.graph import compiled, sessions
from support.run import checkpoints
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import pictures, process, report
from support.terminal.command import read_command

GOAL = 0.99
SHORT_RUN = 1001  # batches over which the learning rate falls: fewer than by default, enough for 99 %
GIVE_UP = 100_000


def since_start():
    """Returns the seconds since this process was started."""
    started = float(Path("/proc/self/stat").read_text().rsplit(")")[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    return float(Path("/proc/uptime").read_text().split()[0]) - started


def timed(parts, name, function):
    """Returns the function, made to add the seconds of its calls to parts[name]."""

    @functools.wraps(function)
    def call(*arguments, **options):
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            parts[name] = parts.get(name, 0) + time.perf_counter() - start

    return call


def default_run():
    """Returns the seconds of each part of the default run, of all of it, and its peak memory in MB."""
    command = read_command([])
    process.import_tensorflow(command)
    parts = {"import": since_start()}
    clock = functools.partial(timed, parts)
    drawn_ahead = ahead.drawn_ahead

    def timed_ahead(*arguments):
        """Counts what the run waits for; most is drawn in a thread while XLA computes."""
        return iter(clock("data", functools.partial(next, drawn_ahead(*arguments), None)), None)

    with contextlib.ExitStack() as patches:
        for owner, name, part in [
            (seq2seq_copy, "build_graph", "graph"),
            (compiled, "compile_steps", "compile"),
            (helpers, "keys", "batches"),
            (seq2seq_copy, "next_feed", "batches"),
            (seq2seq_copy, "train", "training"),
            (seq2seq_copy, "evaluate", "evaluation"),
            (checkpoints.Run, "keep", "checkpoints"),
            (report, "batch_report", "report"),
            (report, "metrics", "report"),
            (report, "final_report", "report"),
            (pictures, "save_all", "pictures"),
        ]:
            patches.enter_context(mock.patch.object(owner, name, clock(part, getattr(owner, name))))
        patches.enter_context(mock.patch.object(ahead, "drawn_ahead", timed_ahead))
        patches.enter_context(contextlib.redirect_stdout(io.StringIO()))
        os.chdir(patches.enter_context(tempfile.TemporaryDirectory()))
        seq2seq_copy.run_training(command)
    return parts | {"all": since_start(), "memory": work.peak_memory()}


def until_99(form, seed):
    """Returns the batches and the seconds until 99 % of 10,000 held-out sequences are exact, and the exact share."""
    if form == "talk":
        os.environ |= {"TF_NUM_INTRAOP_THREADS": "0", "TF_NUM_INTEROP_THREADS": "0"}
    config = Config(seed=seed, max_batches=SHORT_RUN if form == "script" else GIVE_UP)
    if form == "script":
        sessions.prepare(config)
    recipe = recipes.RECIPES[-1 if form == "script" else 0]
    batches, held_out = helpers.examples(config, *np.random.default_rng(seed).spawn(2))
    graph = seq2seq_copy.build_graph(config, recipes.parts_of(recipe))
    train_op = None if form == "script" else recipes.train_op_of(recipe, graph, config)
    few_held_out = helpers.columns(held_out, 0, EVALUATION_BATCH)
    with sessions.open_session(config) if form == "script" else tf.Session() as session:
        session.run(tf.global_variables_initializer())
        recipes.load_initial_weights(recipe, session)
        steps = seq2seq_copy.prepare_steps(session, graph, config) if form == "script" else None

        def exact_share(batch):
            decode = functools.partial(seq2seq_copy.predicted, session, graph)
            return float(seq2seq_copy.evaluate(decode, batch, config.evaluation_batch)[0].mean())

        for done in range(100, config.max_batches + 1, 100):
            hundred = [next(batches) for _ in range(100)]
            if form == "script":
                steps(hundred[:50])
                steps(hundred[50:])
            else:
                for batch in hundred:
                    session.run([graph.loss, train_op], seq2seq_copy.next_feed(graph, batch))
            is_last = done + 100 > config.max_batches
            if is_last or exact_share(few_held_out) >= GOAL:
                exact = exact_share(held_out)
                if is_last or exact >= GOAL:
                    return {"batches": done, "seconds": since_start(), "exact": exact}


if __name__ == "__main__":
    form, _, goal = sys.argv[1].partition("-")
    print(json.dumps(until_99(form, int(sys.argv[2])) if goal else default_run()))
