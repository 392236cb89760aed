"""Shows where the time of the script's training step goes, from XLA's own trace: python -m benchmarks.trace.

Prints the time by kind of operation, and the operations that take most. Tracing slows each operation by about a
microsecond, so short ones count too much.
"""

import collections
import itertools
import re
import tempfile
from pathlib import Path

import helpers
from benchmarks import machine
from experiments.common import parser, print_table
from seq2seq_copy import train
from support.model import variants
from support.settings import Settings
from support.tensorflow import startup

STEPS, SHOWN = 50, 15  # operations
KINDS = {  # of operations, by their names in XLA's program; the first pattern that is found decides
    None: r"^end: |sessionrun|blockuntilready|wait for completion",  # these wait for the operations
    "products": r"matmul|^dot|ynn_fusion",
    "look-ups": r"gather|scatter",
    "copies: joined, cut, turned, filled": r"concat|copy|reverse|transpose|update-slice|wrapped_slice|broadcast|pad",
    "loops": r"thunkexecutor|^while|^call|^conditional",
    "elementwise, sums, argmax": r"fusion|wrapped|reduce|^add|^mul|^select|^compare|tanh|^iota",
    "other": "",
}


def trace(folder):
    """Traces STEPS training steps, after a hundred untraced ones."""
    from tensorflow.profiler.experimental import Profile, ProfilerOptions

    config = Settings()
    trainer = variants.open_trainer(config)
    batches = helpers.task_batches(config, config.batch_size, config.seed)
    list(train(trainer, itertools.islice(batches, 100)))
    with Profile(folder, ProfilerOptions(host_tracer_level=3, python_tracer_level=0)):
        list(train(trainer, itertools.islice(batches, STEPS)))


def read(folder):
    """Returns how many microseconds each operation takes in a step, without those inside it, and how often it runs.

    Both are Counters by name.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    (path,) = Path(folder).rglob("*.xplane.pb")
    microseconds, times = collections.Counter(), collections.Counter()
    for plane in xplane_pb2.XSpace.FromString(path.read_bytes()).planes:
        for line in plane.lines:
            around = []  # the operations that are not over yet
            for event in sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps)):
                name, end = plane.event_metadata[event.metadata_id].name, event.offset_ps + event.duration_ps
                while around and around[-1][1] <= event.offset_ps:
                    around.pop()
                if around:
                    microseconds[around[-1][0]] -= event.duration_ps / 1e6 / STEPS
                microseconds[name] += event.duration_ps / 1e6 / STEPS
                times[name] += 1 / STEPS
                around.append((name, end))
    return microseconds, times


def kind_of(name):
    """Returns the kind of an operation; None for one that only waits for others."""
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, name.lower()))


def main():
    parser(__doc__).parse_args()
    print(machine.describe() + "\n", flush=True)
    startup.prepare_training(Settings())
    startup.import_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        trace(folder)
        microseconds, times = read(folder)
    kinds, counts = collections.Counter(), collections.Counter()
    for name in microseconds:
        kinds[kind_of(name)] += microseconds[name]
        counts[kind_of(name)] += times[name]
    del kinds[None]
    whole = sum(kinds.values())
    operations = [item for item in microseconds.most_common() if kind_of(item[0])]
    print(f"{whole / 1000:.2f} ms a step while it is traced\n")
    for column, most, numbers in (("kind", kinds.most_common(), counts), ("operation", operations[:SHOWN], times)):
        rows = [[name, f"{time:.0f}", f"{numbers[name]:.0f}", f"{time / whole:.1%}"] for name, time in most]
        print_table([column, "µs a step", "times a step", "share"], rows)


if __name__ == "__main__":
    main()
