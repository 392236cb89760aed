"""What a second worker brings, and what 2 to 64 machines would bring, in one run.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --rounds 1 --seconds 0.5    a quick look

Steps per second of the compiled training step: one worker with one thread and with two, and two workers on this machine
with one thread each, which take turns. Then the time of the all-reduce against the number of weights. From both follows
a model on paper of more machines.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from support.terminal.local_cluster import free_addresses
from support.terminal.settings import Config

import helpers
import seq2seq_copy
from benchmarks import work
from support.graph import cluster, compiled, variants
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import together

ROOT = Path(__file__).parents[1]
UNITS, BATCH_SIZES = (20, 128, 256), (100, 1000)
FORMS = {"1 worker, 1 thread": (1, 1), "1 worker, 2 threads": (1, 2), "2 workers, 1 thread each": (2, 1)}
WEIGHTS = (10_000, 100_000, 1_000_000, 10_000_000)
MACHINES = (2, 4, 8, 16, 32, 64)
GIGABITS = (1, 10, 100)  # per second
TIMEOUT = 300  # seconds


# A worker, in a process of its own. It answers the parent as a peer of bench.py does.


def train(addresses, index, units, batch_size):
    """Returns a function that makes a number of training steps."""
    config = Config(encoder_hidden_units=units, batch_size=batch_size, max_batches=1_000_000)
    batches = list(itertools.islice(helpers.task_batches(config, batch_size, 0), work.BATCHES))
    workers = cluster.Cluster(addresses, index, TIMEOUT) if len(addresses) > 1 else None
    graph = seq2seq_copy.build_graph(config, variants.replace_parts(seq2seq_copy.Parts(tf.nn), config))
    session = workers.new_session() if workers else tf.Session()
    session.run(tf.global_variables_initializer())
    if workers:
        steps, most = together.prepare_steps(workers, session, graph, config, seq2seq_copy, together.Stops()), 1
    else:
        steps, most = seq2seq_copy.prepare_steps(session, graph, config), compiled.most_steps(config)

    def take_steps(count):
        for start in range(0, count, most):
            steps([batches[step % work.BATCHES] for step in range(start, min(start + most, count))])

    return take_steps, sum(variable.shape.num_elements() for variable in tf.trainable_variables())


def all_reduce(addresses, index, weights):
    """Returns a function that adds up as many numbers a number of times."""
    workers = cluster.Cluster(addresses, index, TIMEOUT)
    values = tf.get_variable("values", [weights], trainable=False)
    added_up = workers.all_reduce(values, cluster.STEP).op
    session = workers.new_session()
    session.run(tf.global_variables_initializer())

    def repeat(count):
        for _ in range(count):
            session.run(added_up)

    return repeat, weights


def serve(name, *arguments):
    """Says how many weights there are, then takes steps whenever it is asked to."""
    repeat, weights = {"train": train, "all_reduce": all_reduce}[name](*arguments)
    repeat(1)
    work.say(weights)
    for line in sys.stdin:
        start = time.perf_counter()
        repeat(int(line))
        work.say(time.perf_counter() - start)


# The parent.


class Workers:
    """The processes of one form."""

    def __init__(self, stack, count, threads, name, *arguments):
        addresses = free_addresses(count)
        environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": f"{threads}", "TF_NUM_INTEROP_THREADS": "2"}
        self.processes = []
        for index in range(count):
            request = json.dumps([name, addresses, index, *arguments])
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.scaling", "--serve", request],
                cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            self.processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        self.weights = self.answers()[0]

    def answers(self):
        return [json.loads(process.stdout.readline()) for process in self.processes]

    def seconds(self, count):
        """Returns how long the slowest process takes for a number of steps."""
        for process in self.processes:
            print(count, file=process.stdin, flush=True)
        return max(self.answers())


def in_turn(forms, rounds, seconds):
    """Returns the median seconds of a step of each form. All make steps in turn, each time for so many seconds."""
    counts = [max(1, round(seconds / min(form.seconds(3), form.seconds(3)) * 3)) for form in forms]
    measured = [[form.seconds(count) / count for form, count in zip(forms, counts)] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*measured)]


def measure_steps(options):
    """Prints the table of steps; returns the seconds of a step of one worker with one thread, and the weights."""
    print("| units | batch size | weights | " + " | ".join(FORMS) + " | 2 workers / 1 thread | / 2 threads |")
    print("|---" * (len(FORMS) + 5) + "|")
    one_worker, weights = {}, {}
    for units, batch_size in itertools.product(UNITS, BATCH_SIZES):
        with contextlib.ExitStack() as stack:
            forms = [Workers(stack, count, threads, "train", units, batch_size) for count, threads in FORMS.values()]
            one, two_threads, two_workers = in_turn(forms, options.rounds, options.seconds)
            one_worker[units, batch_size], weights[units] = one, forms[0].weights
        rates = " | ".join(f"{1 / step:.1f}" for step in (one, two_threads, two_workers))
        ratios = f"{one / two_workers:.2f} | {two_threads / two_workers:.2f}"
        print(f"| {units} | {batch_size} | {weights[units]:,} | {rates} | {ratios} |", flush=True)
    return one_worker, weights


def measure_all_reduce(options):
    """Prints the table of all-reduces between two workers; returns seconds by number of weights."""
    print("\n| numbers | ms to add up those of 2 workers | ns a number |\n|---|---|---|")
    seconds = {}
    for weights in WEIGHTS:
        with contextlib.ExitStack() as stack:
            form = Workers(stack, 2, 1, "all_reduce", weights)
            (seconds[weights],) = in_turn([form], options.rounds, options.seconds)
        print(f"| {weights:,} | {seconds[weights] * 1e3:.2f} | {seconds[weights] / weights * 1e9:.2f} |", flush=True)
    return seconds


def on_paper(one_worker, weights, all_reduces):
    """Prints by how much more machines would speed up a step with the largest batch, at most.

    The step of one worker grows linearly with its columns. A ring of k machines makes 2 (k - 1) moves, of a k-th of the
    weights each. A move costs a delay and, for each number, the work of both processors and 32 bits on the wire. Delay
    and work are those measured here, without a wire.
    """
    delay = all_reduces[min(WEIGHTS)] / 2
    work_of_number = all_reduces[max(WEIGHTS)] / max(WEIGHTS)
    few, many = min(BATCH_SIZES), max(BATCH_SIZES)
    print(f"\nBatch size {many}: speed-up over one machine, at most\n")
    print("| units | weights | Gbit/s | " + " | ".join(f"{machines} machines" for machines in MACHINES) + " | best |")
    print("|---" * (len(MACHINES) + 4) + "|")
    for units in UNITS:
        column = (one_worker[units, many] - one_worker[units, few]) / (many - few)
        fixed = max(0, one_worker[units, few] - few * column)
        for gigabits in GIGABITS:

            def step(machines, gigabits=gigabits, units=units, fixed=fixed, column=column):
                number = work_of_number + 32 / (gigabits * 1e9)
                ring = 2 * (machines - 1) * (delay + weights[units] / machines * number)
                return fixed + column * many / machines + (ring if machines > 1 else 0)

            speed_ups = [step(1) / step(machines) for machines in MACHINES]
            best = min(range(1, many + 1), key=step)
            cells = " | ".join(f"{speed_up:.2f}" for speed_up in speed_ups)
            print(f"| {units} | {weights[units]:,} | {gigabits} | {cells} | {step(1) / step(best):.2f} with {best} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each form in each round")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(*json.loads(options.serve))
    print(f"{os.cpu_count()} cores, TensorFlow {tf.__version__}, NumPy {np.__version__}\n")
    one_worker, weights = measure_steps(options)
    on_paper(one_worker, weights, measure_all_reduce(options))


if __name__ == "__main__":
    sys.exit(main())
