"""How much a second worker speeds up a run, and how much 2 to 64 machines would.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --rounds 1 --seconds 0.5    a quick look

Measures compiled training steps per second: one worker with one thread and with two, and two workers on this machine
with one thread each. They take turns. Then measures the time of the all-reduce against the number of weights. From
both follows a model on paper of more machines.
"""

import itertools
import json
import statistics
import sys

import helpers
import seq2seq_copy
from benchmarks import machine, peers, tables, work
from experiments.common import parser, print_table
from support.cluster import collective, steps
from support.cluster.local import free_addresses
from support.model import variants
from support.settings import Settings
from support.tensorflow import tensorflow_v1 as tf

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


# The parent.


def measure(forms, options, function, *arguments):
    """Lets clusters take turns.

    forms is a dict of name to the number of workers and the threads of each, function one of the two above, and
    arguments what it gets after index. Returns the number of weights, and the median seconds per step of each form.
    """
    clusters = {}
    for name, (count, threads) in forms.items():
        addresses, environment = free_addresses(count), peers.environment("off", threads)
        requests = [json.dumps([function, addresses, index, *arguments]) for index in range(count)]
        commands = [[sys.executable, "-m", "benchmarks.scaling", "--serve", request] for request in requests]
        clusters[name] = [(command, environment) for command in commands]
    firsts, rates, _ = tables.take_turns(clusters, options.rounds, options.seconds, machine.Quiet())
    return next(iter(firsts.values()))["weights"], [1 / statistics.median(some) for some in rates.values()]


def rows_of_steps(options, one_worker, weights):
    """Yields the rows of the first table; fills two dicts: seconds per step of one worker with one thread, weights."""
    for units, batch_size in itertools.product(UNITS, BATCH_SIZES):
        weights[units], seconds = measure(FORMS, options, "train", units, batch_size)
        one_worker[units, batch_size], two_threads, two_workers = seconds
        ratios = [f"{one_worker[units, batch_size] / two_workers:.2f}", f"{two_threads / two_workers:.2f}"]
        yield [units, batch_size, f"{weights[units]:,}", *(f"{1 / step:.1f}" for step in seconds), *ratios]


def rows_of_all_reduce(options, seconds):
    """Yields the rows of the second table; fills a dict of the number of weights to seconds."""
    for weights in WEIGHTS:
        _, (seconds[weights],) = measure({"2 workers": (2, 1)}, options, "all_reduce", weights)
        yield [f"{weights:,}", f"{seconds[weights] * 1e3:.2f}", f"{seconds[weights] / weights * 1e9:.2f}"]


def rows_on_paper(one_worker, weights, all_reduces):
    """Yields by how much more machines would speed up a step with the largest batch, at most.

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

    for form in itertools.product(UNITS, GIGABITS):
        speed_ups = {machines: step(1, *form) / step(machines, *form) for machines in range(1, many + 1)}
        best = max(speed_ups, key=speed_ups.get)
        cells = [f"{speed_ups[machines]:.2f}" for machines in MACHINES]
        yield [form[0], f"{weights[form[0]]:,}", form[1], *cells, f"{speed_ups[best]:.2f} with {best}"]


def main():
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2.0, help="of each form in each round")
    options.add_argument("--serve", help="what a worker does; it is started by this program")
    options = options.parse_args()
    if options.serve:
        name, *arguments = json.loads(options.serve)
        take_steps, weights = {"train": train, "all_reduce": all_reduce}[name](*arguments)
        return work.serve(take_steps, {"weights": weights})
    print(machine.describe() + "\n")
    one_worker, weights, all_reduces = {}, {}, {}
    head = ["units", "batch size", "weights", *FORMS, "2 workers / 1 thread", "/ 2 threads"]
    print_table(head, rows_of_steps(options, one_worker, weights))
    head = ["numbers", "ms to add up those of 2 workers", "ns per number"]
    print_table(head, rows_of_all_reduce(options, all_reduces))
    print(f"Batch size {max(BATCH_SIZES)}: speed-up over one machine, at most\n")
    head = ["units", "weights", "Gbit/s", *(f"{machines} machines" for machines in MACHINES), "best"]
    print_table(head, rows_on_paper(one_worker, weights, all_reduces))


if __name__ == "__main__":
    main()
