"""How much a second worker speeds up a run, and how much 2 to 64 machines would.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --rounds 1 --seconds 0.5    a quick look

Measures compiled training steps per second: one worker with one thread and with two, and two workers on this machine
with one thread each. They take turns. Then measures the time of the all-reduce against the number of weights. From
both follows a model on paper of more machines.
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

import helpers
import seq2seq_copy
from benchmarks.work import say
from support.cluster import collective, steps
from support.cluster.local import free_addresses
from support.model import variants
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

ROOT = Path(__file__).parents[1]
UNITS, BATCH_SIZES, BATCHES = (20, 128, 256), (100, 1000), 100
FORMS = {"1 worker, 1 thread": (1, 1), "1 worker, 2 threads": (1, 2), "2 workers, 1 thread each": (2, 1)}
WEIGHTS = (10_000, 100_000, 1_000_000, 10_000_000)
MACHINES = (2, 4, 8, 16, 32, 64)
GIGABITS = (1, 10, 100)  # per second
TIMEOUT = 300  # seconds


# A worker, in its own process. It answers the parent as a peer of bench.py does.


def train(addresses, index, units, batch_size):
    """Returns a function that makes a number of training steps, and the number of weights."""
    config = Settings(encoder_hidden_units=units, batch_size=batch_size, max_batches=1_000_000)
    batches = itertools.cycle(list(itertools.islice(helpers.task_batches(config, batch_size, 0), BATCHES)))
    if len(addresses) > 1:
        trainer = steps.open_trainer(config, collective.Cluster(addresses, index, TIMEOUT), steps.Stop())
    else:
        trainer = variants.open_trainer(config)

    def take_steps(count):
        list(seq2seq_copy.train(trainer, itertools.islice(batches, count)))

    return take_steps, sum(variable.shape.num_elements() for variable in tf.trainable_variables())


def all_reduce(addresses, index, weights):
    """Returns a function that adds up the weights of all workers a number of times, and their number."""
    cluster = collective.Cluster(addresses, index, TIMEOUT)
    values = tf.get_variable("values", [weights], trainable=False)
    added_up = cluster.all_reduce(values, collective.STEP).op
    session = cluster.open_session()
    session.run(tf.global_variables_initializer())
    return lambda count: [cluster.run(session, added_up, {}) for _ in range(count)], weights


def serve(name, *arguments):
    """Sends the number of weights, then repeats the work whenever the parent asks for it."""
    repeat, weights = {"train": train, "all_reduce": all_reduce}[name](*arguments)
    repeat(1)
    say(weights)
    for line in sys.stdin:
        start = time.perf_counter()
        repeat(int(line))
        say(time.perf_counter() - start)


# The parent.


class Workers:
    """The processes of one form."""

    def __init__(self, stack, count, threads, name, *arguments):
        addresses = free_addresses(count)
        environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": f"{threads}", "TF_NUM_INTEROP_THREADS": "2"}
        self.processes = []
        for index in range(count):
            request = json.dumps([name, addresses, index, *arguments])
            command = [sys.executable, "-m", "benchmarks.scaling", "--serve", request]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.processes.append(stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)))
            stack.callback(self.processes[-1].kill)
        self.weights = self.read()[0]

    def read(self):
        return [json.loads(process.stdout.readline()) for process in self.processes]

    def seconds(self, count):
        """Returns how long the slowest process takes for a number of steps."""
        for process in self.processes:
            print(count, file=process.stdin, flush=True)
        return max(self.read())


def in_turn(forms, rounds, seconds):
    """Returns the median seconds per step of each form. They take turns, each time for a number of seconds."""
    counts = [max(1, round(seconds / min(form.seconds(3), form.seconds(3)) * 3)) for form in forms]
    measured = [[form.seconds(count) / count for form, count in zip(forms, counts)] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*measured)]


def print_row(*cells):
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_head(*titles):
    print_row(*titles)
    print("|---" * len(titles) + "|")


def measure_steps(options):
    """Prints the table of steps; returns the seconds per step of one worker with one thread, and the weights."""
    print_head("units", "batch size", "weights", *FORMS, "2 workers / 1 thread", "/ 2 threads")
    one_worker, weights = {}, {}
    for units, batch_size in itertools.product(UNITS, BATCH_SIZES):
        with contextlib.ExitStack() as stack:
            forms = [Workers(stack, count, threads, "train", units, batch_size) for count, threads in FORMS.values()]
            one, two_threads, two_workers = in_turn(forms, options.rounds, options.seconds)
            one_worker[units, batch_size], weights[units] = one, forms[0].weights
        rates = [f"{1 / step:.1f}" for step in (one, two_threads, two_workers)]
        ratios = [f"{step / two_workers:.2f}" for step in (one, two_threads)]
        print_row(units, batch_size, f"{weights[units]:,}", *rates, *ratios)
    return one_worker, weights


def measure_all_reduce(options):
    """Prints the table of all-reduces between two workers; returns seconds by number of weights."""
    print()
    print_head("numbers", "ms to add up those of 2 workers", "ns per number")
    seconds = {}
    for weights in WEIGHTS:
        with contextlib.ExitStack() as stack:
            form = Workers(stack, 2, 1, "all_reduce", weights)
            (seconds[weights],) = in_turn([form], options.rounds, options.seconds)
        print_row(f"{weights:,}", f"{seconds[weights] * 1e3:.2f}", f"{seconds[weights] / weights * 1e9:.2f}")
    return seconds


def on_paper(one_worker, weights, all_reduces):
    """Prints by how much more machines would speed up a step with the largest batch, at most.

    The step of one worker grows linearly with its columns. A ring of k machines makes 2 (k - 1) moves, of a k-th of the
    weights each. A move costs a delay and, for each number, the work of both processors and 32 bits on the wire. Delay
    and work are measured here, without a wire.
    """
    delay = all_reduces[min(WEIGHTS)] / 2
    work_of_number = all_reduces[max(WEIGHTS)] / max(WEIGHTS)
    few, many = min(BATCH_SIZES), max(BATCH_SIZES)

    def step(machines, units, gigabits):
        column = (one_worker[units, many] - one_worker[units, few]) / (many - few)
        fixed = max(0, one_worker[units, few] - few * column)
        number = work_of_number + 32 / (gigabits * 1e9)
        ring = 2 * (machines - 1) * (delay + weights[units] / machines * number)
        return fixed + column * many / machines + ring

    print(f"\nBatch size {many}: speed-up over one machine, at most\n")
    print_head("units", "weights", "Gbit/s", *(f"{machines} machines" for machines in MACHINES), "best")
    for form in itertools.product(UNITS, GIGABITS):
        speed_ups = {machines: step(1, *form) / step(machines, *form) for machines in range(1, many + 1)}
        best = max(speed_ups, key=speed_ups.get)
        cells = [f"{speed_ups[machines]:.2f}" for machines in MACHINES]
        print_row(form[0], f"{weights[form[0]]:,}", form[1], *cells, f"{speed_ups[best]:.2f} with {best}")


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
