"""Measures seq2seq_copy.py side by side with its peers: make bench.

Prints Markdown tables and saves plots/benchmark.png. Each peer is a process that does the work of work.py. The peers
take turns, round by round, so that a slow minute of the machine is slow for all of them. All must reach the same
losses.
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import machine, tables, whole_run, work
from benchmarks.peers import ROOT, SCRIPT
from experiments import common
from support.pictures import heat_maps, pictures
from support.settings import Settings

PICTURE = ROOT / "plots/benchmark.png"
LABELS = {"batch_size": "batch size", "encoder_hidden_units": "encoder units", "length_to": "sequence length"}


def color(name):
    return "tab:orange" if name == SCRIPT else "tab:blue"


def draw_bars(job_axis, steps_axis, cold, warm, medians):
    names = list(medians)[::-1]
    for kind, shift, alpha in ((cold, 0.2, 0.5), (warm, -0.2, 1)):
        for position, name in enumerate(names):
            if kind[name]:
                seconds = statistics.median(job.seconds for job in kind[name])
                bar = job_axis.barh(position + shift, seconds, 0.4, color=color(name), alpha=alpha)
                job_axis.bar_label(bar, fmt=" %.1f", fontsize="small")
    job_axis.set_yticks(range(len(names)), names)
    job_axis.set_xlabel("seconds of the whole job; pale: cold, full: warm")
    job_axis.margins(x=0.1)
    steps_axis.barh(names, [medians[name] for name in names], color=[color(name) for name in names])
    steps_axis.set_xlabel("training steps per second, default sizes")


def draw_growth(axis, size, rates):
    sizes = tables.GROWTH[size]
    for name, values in rates.items():
        axis.loglog(sizes, values, marker="o", label=name, color=color(name))
    axis.set_xticks(sizes, map(str, sizes), minor=False)
    axis.minorticks_off()
    if size != "encoder_hidden_units":  # from a third to three times: readable without powers
        axis.set_yscale("linear")
        axis.set_ylim(bottom=0)
    axis.set(xlabel=LABELS[size], ylabel="symbols per second")
    axis.grid(alpha=0.3)
    axis.legend()


def picture(cold, warm, medians, curves):
    """Draws the whole job, steps per second, and how the speed depends on the sizes."""
    figure = heat_maps.new_figure(12, 8)
    above, below = figure.subfigures(2, 1)
    draw_bars(*above.subplots(1, 2), cold, warm, medians)
    for axis, (size, rates) in zip(below.subplots(1, len(curves)), curves.items()):
        draw_growth(axis, size, rates)
    return figure


def main():
    common.parser(__doc__).parse_args()
    start = time.perf_counter()
    print(machine.describe() + "\n", flush=True)
    quiet = machine.Quiet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "work.npz"
        work.make(path, Settings())
        cold, warm, caches = tables.whole_jobs(path, folder, quiet)
        medians = tables.steps_per_second(path, caches, quiet)
        whole_run.default_run(folder, quiet)
        curves = tables.growth(folder, quiet)
        whole_run.time_to_99(folder, quiet)
    pictures.save(picture(cold, warm, medians, curves), PICTURE)
    print(f"picture in {PICTURE.relative_to(ROOT)}")
    minutes, waited = (time.perf_counter() - start) / 60, (machine.PATIENCE - quiet.patience) / 60
    print(f"{minutes:.1f} minutes in all, {waited:.1f} of them to wait for a quiet machine")


if __name__ == "__main__":
    main()
