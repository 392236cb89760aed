"""Measures seq2seq_copy.py side by side with its peers: make bench.

Prints Markdown tables and saves plots/benchmark.png. Each peer is a process. All are prepared first. Then they take
steps in turn, one at a time, round by round, so that a slow minute of the machine is slow for all of them. Each does
the work of work.py, and must come to the same losses.
"""

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks import work

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "plots/benchmark.png"
PYTHON = {name: ROOT / f".venv{name}" / "bin/python" for name in ("", "-jax", "-torch")}
SCRIPT, RAW_RNN, TALK = "seq2seq_copy.py", "seq2seq_copy.py --xla off", "the talk's graph"
TORCH, TORCH_COMPILE, JAX = "PyTorch eager", "torch.compile", "jax.jit"
PEERS = {
    SCRIPT: (PYTHON[""], "benchmarks.peer_tensorflow", "compiled"),
    RAW_RNN: (PYTHON[""], "benchmarks.peer_tensorflow", "raw_rnn"),
    TALK: (PYTHON[""], "benchmarks.peer_tensorflow", "talk"),
    TORCH: (PYTHON["-torch"], "benchmarks.peer_torch", "eager"),
    TORCH_COMPILE: (PYTHON["-torch"], "benchmarks.peer_torch", "compile"),
    JAX: (PYTHON["-jax"], "benchmarks.peer_jax"),
}
ROUNDS, STEPS = 15, 100
GROWTH = {  # one size at a time; the others as by default
    "batch_size": [10, 32, 100, 320, 1000],
    "units": [20, 64, 128, 256],
    "length_to": [8, 16, 32, 64, 128],
}
GROWTH_ROUNDS, GROWTH_SECONDS = 3, 1.5
SEEDS = (0, 1)


class Peer:
    """A process that takes training steps when it is asked to."""

    def __init__(self, name, path):
        python, program, *form = PEERS[name]
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [python, "-m", program, path, *form],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        self.losses = self.answer()["losses"]
        self.start_up = time.perf_counter() - start

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a peer ended: {' '.join(map(str, self.process.args))}")
        return json.loads(line)

    def take_steps(self, count):
        """Returns steps a second; also sets the memory in MB: the peak, and what the imports took of it."""
        print(count, file=self.process.stdin)
        answer = self.answer()
        self.memory, self.after_import = answer["memory"], answer["after_import"]
        return count / answer["seconds"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def same_losses(peers):
    """Returns the largest relative difference to the losses of tf.nn.raw_rnn; ends the benchmark if it is large."""
    expected = np.array(peers[RAW_RNN].losses)
    difference = max(np.abs(np.array(peer.losses) / expected - 1).max() for peer in peers.values())
    if difference > 1e-3:
        raise SystemExit(f"the peers do not do the same: their losses differ by {difference:.1%}")
    return difference


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def median_and_spread(values, digits=0):
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"


def matrix_product_bound():
    """Returns GFLOP/s of one core in the decoder's matrix product, and the steps a second that allows, as text."""
    program = """if True:
        import time, numpy
        a, b = (numpy.ones(shape, numpy.float32) for shape in ([100, 60], [60, 160]))
        def seconds():
            start = time.perf_counter()
            for _ in range(2000): a @ b
            return time.perf_counter() - start
        print(2000 * 2 * 100 * 60 * 160 / min(seconds() for _ in range(10)) / 1e9)"""
    one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    flops = float(subprocess.run([PYTHON[""], "-c", program], env=one_thread, capture_output=True, text=True).stdout)
    encoder = 2 * 8 * 2 * 100 * (20 + 20) * 80
    decoder = 11 * 2 * 100 * ((20 + 40) * 160 + 40 * 10)
    step = 3 * (encoder + decoder)  # forwards, and two products backwards for each
    return f"A step multiplies matrices for {step / 1e6:.0f} MFLOP. One core multiplies [100, 60] by [60, 160] at " + (
        f"{flops:.0f} GFLOP/s, which allows {flops * 1e9 / step:.0f} steps a second."
    )


def speed(folder):
    """Prints how fast each peer takes the same steps; returns the medians."""
    work.make(folder / "work.npz")
    with contextlib.ExitStack() as stack:
        peers = {name: stack.enter_context(Peer(name, folder / "work.npz")) for name in PEERS}
        difference = same_losses(peers)
        rates = {name: [] for name in peers}
        for _ in range(ROUNDS):
            for name, peer in peers.items():
                rates[name].append(peer.take_steps(STEPS))

    def ratio(name, other):
        return f"{statistics.median(a / b for a, b in zip(rates[name], rates[other])):.2f}"

    print(
        f"## Training steps a second\n\n{ROUNDS} rounds of {STEPS} steps: median, and least to most. The losses of the"
    )
    print(f"first {work.CHECKED_LOSSES} steps agree to {difference:.0e}.\n")
    head = [
        "",
        "steps/s",
        "to jax.jit",
        "to the talk's graph",
        "to torch.compile",
        "start to step 50 [s]",
        "peak memory [MB]",
    ]
    table(
        head,
        [
            [
                name,
                median_and_spread(rates[name]),
                *(ratio(name, other) for other in (JAX, TALK, TORCH_COMPILE)),
                f"{peer.start_up:.1f}",
                f"{peer.memory:.0f}, {peer.memory - peer.after_import:.0f} after the imports",
            ]
            for name, peer in peers.items()
        ],
    )
    print(matrix_product_bound() + "\n", flush=True)
    return {name: statistics.median(values) for name, values in rates.items()}


def run_json(*arguments):
    command = [PYTHON[""], "-m", "benchmarks.whole_run", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def time_to_99():
    """Prints how long this script and the talk's recipe take to 99 %."""
    print("## Time to 99 %\n\nFrom the start of the process until 99 % of 10,000 held-out sequences are exact.\n")
    rows = []
    for seed in SEEDS:
        script, talk = (run_json(form, str(seed)) for form in ("script-99", "talk-99"))
        cells = [f"{run['seconds']:.1f} s, {run['batches']} batches, {run['exact']:.2%}" for run in (script, talk)]
        rows.append([str(seed), *cells, f"{talk['seconds'] / script['seconds']:.1f}"])
    table(["seed", "this script", "the talk's recipe", "talk / script"], rows)


def whole_run():
    """Prints where the time of the default run goes, and its memory."""
    import_tensorflow = (
        "import resource, tensorflow.compat.v1; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    imported = subprocess.run([PYTHON[""], "-c", import_tensorflow], capture_output=True, text=True)
    runs = [run_json("script") for _ in range(3)]
    run = sorted(runs, key=lambda run: run["all"])[1]
    around = ("data", "batches", "checkpoints", "report", "pictures")
    parts = [part for part in run if part not in ("all", "memory", "training")]
    inside = run["data"] + run["batches"] + run["checkpoints"]
    print("## The default run\n\nThe median of three. Data: the wait for it, as a thread draws it; batches:")
    print("feeding them; evaluation: decoding held-out sequences.\n")
    rows = [[part, f"{run[part]:.2f}", f"{run[part] / run['all']:.1%}"] for part in parts]
    rows.append(["training, but for data, batches, checkpoints", f"{run['training'] - inside:.2f}", ""])
    rows.append(["**all**", f"{run['all']:.2f}", ""])
    table(["part", "s", "of all"], rows)
    print(f"{', '.join(around)}: {sum(run[part] for part in around) / run['all']:.1%} of the run.")
    over = run["memory"] - int(imported.stdout.split()[-1]) / 1024
    print(f"Peak memory: {run['memory']:.0f} MB, {over:.0f} MB above `import tensorflow.compat.v1`.\n", flush=True)


def growth(folder):
    """Prints how speed and memory depend on the sizes; returns dict of size to {peer: [symbols a second]}."""
    print(f"## How cost grows\n\nOne size at a time. Median of {GROWTH_ROUNDS} rounds, the peers in turn.\n")
    curves = {}
    for size, values in GROWTH.items():
        rows, curves[size] = [], {SCRIPT: [], JAX: []}
        for value in values:
            lengths = {"length_from": value} if size == "length_to" else {}
            path = folder / f"{size}-{value}.npz"
            work.make(path, **{size: value}, **lengths)
            symbols = int(np.load(path)["lengths"].mean(axis=0).sum())
            rates = {SCRIPT: [], JAX: []}
            with Peer(SCRIPT, path) as script, Peer(JAX, path) as jax:
                peers = {SCRIPT: script, JAX: jax}
                steps = {name: max(1, int(GROWTH_SECONDS * peer.take_steps(2))) for name, peer in peers.items()}
                for _ in range(GROWTH_ROUNDS):
                    for name, peer in peers.items():
                        rates[name].append(peer.take_steps(steps[name]))
            row = [str(value)]
            for name, peer in peers.items():
                rate = statistics.median(rates[name])
                curves[size][name].append(rate * symbols)
                row += [f"{rate:.1f}", f"{1e6 / rate / symbols:.2f}", f"{peer.memory - peer.after_import:.0f}"]
            rows.append([*row, f"{statistics.median(a / b for a, b in zip(rates[SCRIPT], rates[JAX])):.2f}"])
        columns = ["steps/s", "µs a symbol", "MB after the imports"]
        table([size, *columns, *(f"jax.jit: {column}" for column in columns), "script / jax.jit"], rows)
    return curves


def picture(medians, curves):
    figure = Figure(figsize=(11, 7), dpi=120, layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    names = list(medians)[::-1]
    colors = ["tab:orange" if name == SCRIPT else "tab:blue" for name in names]
    axes[0].barh(names, [medians[name] for name in names], color=colors)
    axes[0].set_xlabel("training steps a second, default sizes")
    for axis, (size, peers) in zip(axes[1:], curves.items()):
        for name, rates in peers.items():
            axis.loglog(
                GROWTH[size], rates, marker="o", label=name, color="tab:orange" if name == SCRIPT else "tab:blue"
            )
        axis.set_xticks(GROWTH[size], map(str, GROWTH[size]), minor=False)
        axis.minorticks_off()
        if size != "units":  # from a third to three times: readable without powers
            axis.set_yscale("linear")
            axis.set_ylim(bottom=0)
        axis.set_xlabel({"batch_size": "batch size", "units": "encoder units", "length_to": "sequence length"}[size])
        axis.set_ylabel("symbols a second")
        axis.grid(alpha=0.3)
        axis.legend()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE)
    print(f"picture in {PICTURE.relative_to(ROOT)}")


def main():
    with contextlib.suppress(OSError):
        (cpu,) = {line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")}
        print(f"{cpu.partition(': ')[2]}, {os.cpu_count()} cores, Python {platform.python_version()}", end="")
    for python, package in ((PYTHON[""], "tensorflow"), (PYTHON["-torch"], "torch"), (PYTHON["-jax"], "jax")):
        program = f"import importlib.metadata as m; print(m.version({package!r}))"
        version = subprocess.run([python, "-c", program], capture_output=True, text=True).stdout.strip()
        print(f", {package} {version}", end="")
    print("\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        medians = speed(Path(folder))
        whole_run()
        curves = growth(Path(folder))
        time_to_99()
    picture(medians, curves)


if __name__ == "__main__":
    sys.exit(main())
