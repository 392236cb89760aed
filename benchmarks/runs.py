"""Where the time of the default run goes, and the time to 99 %; whole_run.py measures one run."""

import json
import statistics
import subprocess

from benchmarks import peers
from benchmarks.tables import table

SEEDS = (0, 1)
ROUNDS = 3
START_UP = ("import", "graph", "compile")
AROUND = ("data", "batches", "checkpoints", "report", "pictures")  # around the training steps


def run_json(cache, *arguments):
    command = [peers.PYTHON, "-m", "benchmarks.whole_run", *arguments]
    run = subprocess.run(command, cwd=peers.ROOT, env=peers.environment(cache), capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def default_run(folder, quiet):
    """Prints where the time of the default run goes, cold and warm, and its memory."""
    import_tensorflow = (
        "import resource, tensorflow.compat.v1; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    imported = subprocess.run([peers.PYTHON, "-c", import_tensorflow], capture_output=True, text=True)
    runs = {"cold": [], "warm": []}
    for round_number in range(ROUNDS):
        quiet.wait()
        for state in runs:
            runs[state].append(run_json(folder / f"default-run-{round_number}", "script"))
    middle = {state: sorted(some, key=lambda run: run["all"])[ROUNDS // 2] for state, some in runs.items()}
    print(f"## The default run\n\nThe median of {ROUNDS}. Data: the wait for it, as a thread draws it; batches:")
    print(f"feeding them; evaluation: decoding held-out sequences. {quiet.note()}\n")
    parts = [part for part in middle["cold"] if part not in ("all", "memory", "training")]
    rows = [[part, *(f"{run[part]:.2f}" for run in middle.values())] for part in parts]
    training = [run["training"] - run["data"] - run["batches"] - run["checkpoints"] for run in middle.values()]
    rows.append(["training, but for data, batches, checkpoints", *(f"{seconds:.2f}" for seconds in training)])
    rows.append(["**all**", *(f"{run['all']:.2f}" for run in middle.values())])
    start_up = [statistics.median(sum(run[part] for part in START_UP) for run in some) for some in runs.values()]
    rows.append([", ".join(START_UP), *(f"{seconds:.2f}" for seconds in start_up)])
    shares = [f"{sum(run[part] for part in AROUND) / run['all']:.1%} of all" for run in middle.values()]
    rows.append([", ".join(AROUND), *shares])
    table(["part", "cold [s]", "warm [s]"], rows)
    memory = max(run["memory"] for some in runs.values() for run in some)
    over = memory - int(imported.stdout.split()[-1]) / 1024
    print(f"Peak memory: {memory:.0f} MB, {over:.0f} MB above `import tensorflow.compat.v1`.\n", flush=True)


def time_to_99(folder, quiet):
    """Prints how long this script, cold and warm, and the talk's recipe take to 99 %."""
    rows = []
    for seed in SEEDS:
        quiet.wait()
        cache = folder / f"99-{seed}"
        runs = [run_json(cache, form, str(seed)) for form in ("script-99", "script-99", "talk-99")]
        cells = [f"{run['seconds']:.1f} s, {run['batches']} batches, {run['exact']:.2%}" for run in runs]
        cold, warm, talk = (run["seconds"] for run in runs)
        rows.append([str(seed), *cells, f"{talk / cold:.1f}", f"{talk / warm:.1f}"])
    print(
        "## Time to 99 %\n\nFrom the start of the process until 99 % of 10,000 held-out sequences are exact.", end=" "
    )
    print(f"{quiet.note()}\n")
    head = ["seed", "this script, cold", "this script, warm", "the talk's recipe", "talk / cold", "talk / warm"]
    table(head, rows)
