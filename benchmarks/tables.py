"""The tables that compare the peers: the whole job, training steps per second, and how these depend on the sizes."""

import contextlib
import functools
import math
import statistics
import tempfile
from pathlib import Path

from benchmarks import peers, work
from benchmarks.peers import JAX, KEEP_PROGRAMS, PEERS, SCRIPT, TALK, TORCH_COMPILE, Process
from experiments.common import percent, print_table
from support.settings import Settings

LEAST_EXACT = 0.98
WARM_JOBS = 3
ROUNDS, SECONDS = 10, 0.5  # of each peer in each round
GROWTH = {  # one size at a time; the others have their defaults
    "batch_size": [10, 100, 1000],
    "encoder_hidden_units": [20, 64, 256],
    "length_to": [8, 32, 128],
}
GROWTH_CHECKED = 3  # losses; soon rounding decides between two equally likely symbols of a long sequence
GROWTH_ROUNDS = 3


def median_and_spread(values, digits=0):
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def ratio(values, others):
    """Returns the median of the ratios within a round, as text."""
    return f"{statistics.median(value / other for value, other in zip(values, others)):.2f}"


def whole_jobs(path, folder, quiet):
    """Prints how long each peer takes for the whole job, with and without cached programs.

    path is that of the work, folder a pathlib.Path for the compiled programs, quiet a machine.Quiet. Returns dicts of
    name to a list of peers.Job, of which the first is cold, and to the folder of its compiled programs.
    """
    caches = {name: Path(tempfile.mkdtemp(dir=folder)) for name in PEERS}
    jobs = {name: [] for name in PEERS}
    for names in (PEERS, *[KEEP_PROGRAMS] * WARM_JOBS):
        for name in names:
            quiet.wait()
            jobs[name].append(peers.do_job(name, path, caches[name]))
    difference = check([job for some in jobs.values() for job in some])
    print(f"## The whole job\n\nThe losses of the first {work.CHECKED_LOSSES} steps agree to {difference:.0e}.")
    print(f"Warm: median, and least to most of {WARM_JOBS} jobs. {quiet.note()}\n")
    head = ["", "cold [s]", "to jax.jit", "to step 50 [s]", "warm [s]", "to jax.jit", "to step 50 [s]", "exact"]
    rows = []
    for name, some in jobs.items():
        cells = [*job_cells(some[:1], jobs[JAX][:1]), *job_cells(some[1:], jobs[JAX][1:])]
        exact = sorted(job.exact for job in some)
        rows.append([name, *cells, " to ".join(dict.fromkeys(map(percent, (exact[0], exact[-1]))))])
    print_table(head, rows)
    return jobs, caches


def job_cells(jobs, of_jax):
    """Returns three cells of the table; they are empty where there is nothing to measure."""
    if not jobs:
        return [""] * 3
    seconds, seconds_of_jax = ([job.seconds for job in some] for some in (jobs, of_jax))
    to_step_50 = statistics.median(job.to_step_50 for job in jobs)
    return [median_and_spread(seconds, 1), ratio(seconds_of_jax, seconds), f"{to_step_50:.1f}"]


def check(jobs):
    """Ends the benchmark if the jobs are not equal; returns the largest relative difference of their first losses."""
    difference = peers.compare([job.losses for job in jobs])
    if {job.decoded for job in jobs} != {Settings.held_out_sequences}:
        raise SystemExit(f"the peers do not do the same: they decode {[job.decoded for job in jobs]} sequences")
    if min(job.exact for job in jobs) < LEAST_EXACT:
        raise SystemExit(f"a peer does not learn: exact are {[job.exact for job in jobs]}")
    return difference


def take_turns(forms, rounds, seconds, quiet):
    """Lets processes take training steps, one form after the other in each round.

    Args:
      forms: dict of name to a list of arguments of peers.Process; these processes take their steps together.
      rounds: int.
      seconds: float, about how long each form takes in a round.
      quiet: a machine.Quiet.

    Returns:
      Dicts of name to the first answer of its first process, to the steps per second of each round, and to the peak
      memory of its first process in MB.
    """
    rates, memory = {name: [] for name in forms}, {}
    with contextlib.ExitStack() as stack:
        started = {name: [stack.enter_context(Process(*each)) for each in form] for name, form in forms.items()}
        firsts = {name: [process.answer() for process in form][0] for name, form in started.items()}

        def turn(name, count):
            for process in started[name]:
                process.ask(count)
            answers = [process.answer() for process in started[name]]
            memory[name] = answers[0]["memory"]
            return count / max(answer["seconds"] for answer in answers)

        steps = {name: math.ceil(seconds * max(turn(name, 2), turn(name, 2))) for name in forms}
        for _ in range(rounds):
            quiet.wait()
            for name in forms:
                rates[name].append(turn(name, steps[name]))
    return firsts, rates, memory


def compare_peers(path, caches, checked, *how):
    """Lets peers take turns; ends the benchmark if their first losses differ.

    path and caches are those of whole_jobs(), checked is the number of losses, how the arguments of take_turns() after
    forms. Returns dicts of name to rates, memory, and how much of the memory came after the imports.
    """
    forms = {name: [peers.process_of(name, path, checked, cache)] for name, cache in caches.items()}
    firsts, rates, memory = take_turns(forms, *how)
    peers.compare([first["losses"] for first in firsts.values()])
    return rates, memory, {name: memory[name] - first["after_import"] for name, first in firsts.items()}


def steps_per_second(path, caches, quiet):
    """Prints how fast each peer takes the same steps; returns the medians. Arguments as for compare_peers()."""
    how = path, caches, work.CHECKED_LOSSES, ROUNDS, SECONDS, quiet
    rates, memory, after_imports = compare_peers(*how)
    print(f"## Training steps per second\n\n{ROUNDS} rounds of {SECONDS} s: median, and least to most.")
    print(f"{quiet.note()}\n")
    others, rows = (JAX, TALK, TORCH_COMPILE), []
    for name in rates:
        ratios = [ratio(rates[name], rates[other]) for other in others]
        of_memory = f"{memory[name]:.0f}, {after_imports[name]:.0f} after the imports"
        rows.append([name, median_and_spread(rates[name]), *ratios, of_memory])
    print_table(["", "steps/s", *(f"to {name}" for name in others), "peak memory [MB]"], rows)
    return {name: statistics.median(some) for name, some in rates.items()}


@functools.cache
def at_size(config, folder, quiet):
    """Returns two cells for this script and two for jax.jit, dict of name to symbols per second, and their ratio."""
    path = folder / "growth.npz"
    work.make(path, config)
    caches = dict.fromkeys([SCRIPT, JAX], folder / "growth")
    rates, _, after_imports = compare_peers(path, caches, GROWTH_CHECKED, GROWTH_ROUNDS, SECONDS, quiet)
    symbols = statistics.mean(batch.lengths.sum() for batch in work.load(path).batches)  # of a batch
    speeds = {name: symbols * statistics.median(rates[name]) for name in rates}
    cells = [cell for name in rates for cell in (f"{1e6 / speeds[name]:.2f}", f"{after_imports[name]:.0f}")]
    return cells, speeds, ratio(rates[SCRIPT], rates[JAX])


def growth(folder, quiet):
    """Prints how speed and memory depend on the sizes; returns dict of size to {peer: [symbols per second]}."""
    print(f"## How cost grows\n\nOne size at a time. Median of {GROWTH_ROUNDS} rounds, the peers in turn.\n")
    ratios, curves = {}, {}
    for size, values in GROWTH.items():
        rows, curves[size] = [], {SCRIPT: [], JAX: []}
        for value in values:
            config = Settings(**{size: value} | ({"length_from": value} if size == "length_to" else {}))
            cells, speeds, ratios[config] = at_size(config, folder, quiet)  # the default sizes occur twice
            for name, speed in speeds.items():
                curves[size][name].append(speed)
            rows.append([value, *cells, ratios[config]])
        columns = ["µs per symbol", "MB after the imports"]
        print_table([size, *columns, *(f"jax.jit: {column}" for column in columns), "script / jax.jit"], rows)
    values = list(map(float, ratios.values()))
    mean, least = statistics.geometric_mean(values), min(values)
    print(f"script / jax.jit over all {len(values)} sizes: geometric mean {mean:.2f}, least {least:.2f}.")
    print(f"{quiet.note()}\n", flush=True)
    return curves
