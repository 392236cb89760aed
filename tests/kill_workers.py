"""Kills workers with kill -9 at random moments, again and again, and lets each run finish.

    python -m tests.kill_workers FOLDER WORKERS TIMES XLA

In FOLDER, `whole` is the run whose workers were never killed. `stopped-0`, `stopped-1` and so on were. After a kill the
other workers must end within BOUND seconds with one line and a status other than 0. Each run, resumed after each kill,
must end with the same result as `whole`.
"""

import itertools
import random
import signal
import sys
import time
from pathlib import Path

from support.run.run_folder import RunFolder
from tests.running import batches_saved
from tests.same_end import assert_same_end
from tests.workers import start_workers

TIMEOUT = 30  # seconds, after which a worker is missed that was killed before it could listen
BOUND = TIMEOUT + 30
ARGUMENTS = ["--batch-size", "20", "--samples", "0", "--encoder-hidden-units", "10", "--max-batches", "60"]
OF_EACH_START = ["--cluster-timeout", str(TIMEOUT)]
SETTINGS = {"keep_every": 3, "held_out_sequences": 100}  # many checkpoints, so that many kills meet one being written


def main(path, count, times, xla):
    path, chance = Path(path).resolve(), random.Random(0)
    path.mkdir(parents=True, exist_ok=True)

    def start(name):
        is_resumable = (path / name / "config.json").exists()
        arguments = ["--resume", name] if is_resumable else [*ARGUMENTS, "--xla", xla, "--run-dir", name]
        return start_workers([*arguments, *OF_EACH_START], [path] * count, settings=SETTINGS)

    def messages():
        return [(path / f"worker-{index}.err").read_text() for index in range(count)]

    def run_to_the_end(name):
        statuses = [child.wait() for child in start(name)]
        assert statuses == [0] * count, (statuses, messages())

    kills, slowest = [], 0.0
    start_of_whole = time.monotonic()
    run_to_the_end("whole")
    duration = time.monotonic() - start_of_whole
    for name in (f"stopped-{number}" for number in itertools.count()):
        while not RunFolder(path / name).has_ended:
            if len(kills) == times:
                run_to_the_end(name)
                break
            children = start(name)
            time.sleep(chance.uniform(0, duration))
            victim = chance.randrange(count)
            children[victim].kill()
            start_of_end = time.monotonic()
            statuses = [child.wait(BOUND) for child in children]
            seconds = time.monotonic() - start_of_end
            if statuses[victim] == 0:  # too late
                assert statuses == [0] * count, (statuses, messages())
                continue
            assert statuses[victim] == -signal.SIGKILL, (statuses, messages())
            for status, message in zip(statuses, messages()):
                # A worker that has finished training no longer needs the others.
                is_told = status == 1 and message.count("\n") == 1
                assert status in (0, -signal.SIGKILL) or is_told, (statuses, messages())
            kept = batches_saved(path / name) if (path / name).exists() else None
            kills.append((victim, kept))
            print(f"kill {len(kills)}: worker {victim}, {kept} batches kept, {seconds:.1f} s", file=sys.stderr)
            slowest = max(slowest, seconds)
        assert_same_end(path / "whole", path / name)
        if len(kills) == times:
            break
    print(f"killed {times} times, (worker, batches of the last checkpoint): {kills}")
    print(f"the others ended within {slowest:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
