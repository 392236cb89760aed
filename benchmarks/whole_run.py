"""Where the time of a whole run goes.

    python whole_run.py script     the default run of seq2seq_copy.py, with a clock around its parts
    python whole_run.py script-99  the same model until 99 % of the held-out sequences are exact
    python whole_run.py talk-99    the tutorials' recipe until then: one cell for both directions, Adam with 0.001

Prints JSON. All seconds count from the start of the process.
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

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "experiments"))
sys.path.insert(0, str(ROOT))
if sys.argv[1].startswith("talk"):
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "0", "TF_NUM_INTEROP_THREADS": "0"}

import numpy as np  # noqa: E402
import work  # noqa: E402

import ahead  # noqa: E402
import compiled  # noqa: E402
import helpers  # noqa: E402
import seq2seq_copy  # noqa: E402
from config import Config, read_command  # noqa: E402
from tensorflow_v1 import tf  # noqa: E402

GOAL = 0.99
SHORT_RUN = 2001  # batches over which the learning rate falls: fewer than by default, enough for 99 %
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
            (seq2seq_copy.checkpoints, "keep", "checkpoints"),
            (seq2seq_copy.report, "batch_report", "report"),
            (seq2seq_copy.report, "metrics", "report"),
            (seq2seq_copy.report, "final_report", "report"),
            (seq2seq_copy.pictures, "loss_curve", "pictures"),
            (seq2seq_copy.pictures, "save", "pictures"),
        ]:
            patches.enter_context(mock.patch.object(owner, name, clock(part, getattr(owner, name))))
        patches.enter_context(mock.patch.object(ahead, "drawn_ahead", timed_ahead))
        patches.enter_context(contextlib.redirect_stdout(io.StringIO()))
        os.chdir(patches.enter_context(tempfile.TemporaryDirectory()))
        seq2seq_copy.main(read_command([]))
    return parts | {"all": since_start(), "memory": work.peak_memory()}


def until_99(form):
    """Returns the batches and the seconds until 99 % of 10,000 held-out sequences are exact, looked at every 100."""
    seed = int(sys.argv[2])
    config = Config(seed=seed, max_batches=SHORT_RUN if form == "script" else GIVE_UP)
    generators = np.random.default_rng(seed).spawn(2)
    batches, held_out = helpers.examples(config, seq2seq_copy.HELD_OUT_SEQUENCES, *generators)
    if form == "script":
        graph = seq2seq_copy.build_graph(config)
        train_op = None
    else:
        from recipes import RECIPES, encode_with_one_cell, train_op_of

        with mock.patch.object(seq2seq_copy, "encode", encode_with_one_cell):
            graph = seq2seq_copy.build_graph(config)
        train_op = train_op_of(RECIPES[0], graph, config)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        if form == "script":
            steps = compiled.compile_steps(session, graph, seq2seq_copy.connect, config)
            if steps is None:
                raise SystemExit("the benchmark needs XLA")
        decode = functools.partial(seq2seq_copy.predicted, session, graph)
        for done in range(100, config.max_batches + 1, 100):
            many = [next(batches) for _ in range(100)]
            if form == "script":
                steps(many[:50])
                steps(many[50:])
            else:
                for some in many:
                    session.run([graph.loss, train_op], seq2seq_copy.next_feed(graph, some))
            exact = float(seq2seq_copy.evaluate(decode, held_out)[0].mean())
            if exact >= GOAL or done + 100 > config.max_batches:
                return {"batches": done, "seconds": since_start(), "exact": exact}


if __name__ == "__main__":
    form, _, goal = sys.argv[1].partition("-")
    print(json.dumps(until_99(form) if goal else default_run()))
