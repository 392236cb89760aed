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


def color(name):
    return "tab:orange" if name == SCRIPT else "tab:blue"


def draw_jobs(axis, jobs):
    for number, (name, (cold, *warm)) in enumerate(jobs.items()):
        axis.barh(-number + 0.2, cold.seconds, 0.4, color=color(name), alpha=0.5)
        axis.barh(-number - 0.2, statistics.median(job.seconds for job in warm or [cold]), 0.4, color=color(name))
    axis.set_yticks([-number for number in range(len(jobs))], jobs)
    axis.set_xlabel("seconds of the whole job; pale: cold, full: warm")


def draw_growth(axis, size, rates):
    for name, values in rates.items():
        axis.loglog(tables.GROWTH[size], values, marker="o", label=name, color=color(name))
    axis.set(xlabel=size.replace("_", " "), ylabel="symbols per second")
    axis.set_xticks(tables.GROWTH[size], tables.GROWTH[size])
    axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3)
    axis.legend()


def picture(jobs, medians, curves):
    """Draws the whole job, steps per second, and how the speed depends on the sizes."""
    figure = heat_maps.new_figure(12, 8)
    above, below = figure.subfigures(2, 1)
    left, right = above.subplots(1, 2)
    draw_jobs(left, jobs)
    names = list(medians)[::-1]
    right.barh(names, [medians[name] for name in names], color=[color(name) for name in names])
    right.set_xlabel("training steps per second, default sizes")
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
        jobs, caches = tables.whole_jobs(path, folder, quiet)
        medians = tables.steps_per_second(path, caches, quiet)
        whole_run.default_run(folder, quiet)
        curves = tables.growth(folder, quiet)
        whole_run.time_to_99(folder, quiet)
    pictures.save(picture(jobs, medians, curves), PICTURE)
    print(f"picture in {PICTURE.relative_to(ROOT)}")
    minutes, waited = (time.perf_counter() - start) / 60, (machine.PATIENCE - quiet.patience) / 60
    print(f"{minutes:.1f} minutes in all, {waited:.1f} of them to wait for a quiet machine")


if __name__ == "__main__":
    main()
