"""Shows where the time of a training step goes, from XLA's own trace: python -m benchmarks.trace.

Prints two tables, for seq2seq_copy.py and for tuned JAX: time by kind of operation, and the operations that take most.
Tracing slows each operation by about a microsecond, so short ones count too much. Needs the environments of
make bench. Functions import what only one of them has.
"""

import collections
import importlib
import itertools
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import work

STEPS = work.STEPS_AT_ONCE
SHOWN = 15  # operations
KINDS = (  # of operations, by their names in XLA's program; the first pattern that is found decides
    ("products", r"matmul|^dot|ynn_fusion"),
    ("look-ups", r"gather|scatter"),
    (
        "copies: joined, cut, turned, filled",
        r"concat|copy|reverse|transpose|update-slice|wrapped_slice|broadcast|pad",
    ),
    ("loops", r"thunkexecutor|^while|^call|^conditional"),
    ("elementwise, sums, argmax", r"fusion|wrapped|reduce|^add|^mul|^select|^compare|tanh|^iota"),
)
FRAME = re.compile(r"^end: |SessionRun|BlockUntilReady|wait for completion")  # frames that wait for the operations


def trace(module, form, path, folder):
    """Traces STEPS training steps of a peer in this process, after a hundred untraced ones."""
    if module == "benchmarks.peer_tensorflow":
        peer = start_tensorflow(path, form)
        import tensorflow

        profiler = tensorflow.profiler.experimental
        options = profiler.ProfilerOptions(host_tracer_level=3, python_tracer_level=0)
        start, stop = (lambda: profiler.start(folder, options)), profiler.stop
    else:
        peer = importlib.import_module(module)
        import jax

        options = jax.profiler.ProfileOptions()
        options.host_tracer_level, options.python_tracer_level = 3, 0
        start, stop = (lambda: jax.profiler.start_trace(folder, profiler_options=options)), jax.profiler.stop_trace
    data = work.load(path)
    take_steps, _ = peer.prepare(data, form)
    batches = list(itertools.islice(itertools.cycle(data.batches), STEPS))
    for _ in range(2):
        take_steps(batches)
    start()
    take_steps(batches)
    stop()


def start_tensorflow(path, form):
    from benchmarks import peer_tensorflow
    from support.tensorflow import startup

    startup.prepare_training(peer_tensorflow.config_of(work.read_config(path), form))
    startup.import_tensorflow()
    return peer_tensorflow


def read(folder):
    """Returns how many microseconds each operation takes, without those inside it, and how often it runs.

    Both are Counters by name, for all STEPS together.
    """
    from support.tensorflow import startup

    startup.import_tensorflow()  # silently
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    (path,) = Path(folder).rglob("*.xplane.pb")
    space.ParseFromString(path.read_bytes())
    microseconds, times = collections.Counter(), collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            events = sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps))
            around = []  # the operations that are not over yet
            for event in events:
                name, end = plane.event_metadata[event.metadata_id].name, event.offset_ps + event.duration_ps
                while around and around[-1][1] <= event.offset_ps:
                    around.pop()
                if around:
                    microseconds[around[-1][0]] -= event.duration_ps / 1e6
                microseconds[name] += event.duration_ps / 1e6
                times[name] += 1
                around.append((name, end))
    return microseconds, times


def kind_of(name):
    """Returns the kind of an operation; None for one that only waits for others."""
    if FRAME.search(name):
        return None
    return next((kind for kind, pattern in KINDS if re.search(pattern, name.lower())), "other")


def print_tables(name, microseconds, times):
    from experiments.common import print_table

    kinds, counts = collections.Counter(), collections.Counter()
    for operation, duration in microseconds.items():
        kinds[kind_of(operation)] += duration / STEPS
        counts[kind_of(operation)] += times[operation] / STEPS
    del kinds[None]
    whole = sum(kinds.values())
    print(f"## {name}\n\n{whole / 1000:.2f} ms a step while it is traced\n")
    rows = [
        [kind, f"{duration:.0f}", f"{counts[kind]:.0f}", f"{duration / whole:.0%}"]
        for kind, duration in kinds.most_common()
    ]
    print_table(["kind", "µs a step", "operations a step", "share"], rows)
    rows = []
    for operation, duration in microseconds.most_common():
        if kind_of(operation):
            each = duration / STEPS, times[operation] / STEPS, duration / STEPS / whole
            rows.append([f"`{operation}`", f"{each[0]:.0f}", f"{each[1]:.0f}", f"{each[2]:.1%}"])
    print_table(["operation", "µs a step", "times a step", "share"], rows[:SHOWN])


def main():
    from benchmarks import machine, peers
    from experiments import common
    from support.settings import Settings

    common.parser(__doc__).parse_args()
    print(machine.describe() + "\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "work.npz"
        work.make(path, Settings())
        for peer in (peers.SCRIPT, peers.TUNED_JAX):
            python, module, form = peers.PEERS[peer]
            folder = Path(name) / form
            command = [python, "-m", "benchmarks.trace", module, form, path, folder]
            environment = peers.environment(Path(name) / "cache")
            subprocess.run(command, cwd=peers.ROOT, env=environment, check=True, stderr=subprocess.DEVNULL)
            print_tables(peer, *read(folder))


if __name__ == "__main__":
    if len(sys.argv) == 5:
        trace(*sys.argv[1:])
    else:
        main()
