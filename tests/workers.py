"""Starting several workers on this machine, for the tests."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from support.terminal.local_cluster import free_addresses, tf_config

ROOT = Path(__file__).parent.parent
QUICK = {"keep_every": 10, "held_out_sequences": 200}  # settings that no flag sets


class Forks:
    """A process of tests/forked.py, which starts the command quickly."""

    def __enter__(self):
        command = [sys.executable, "-m", "tests.forked"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.running = set()
        return self

    def __exit__(self, *_):
        for child in self.running:
            os.kill(child, signal.SIGKILL)
        self.process.stdin.close()
        self.process.wait()

    def ask(self, **request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def start(self, arguments, folder, name="alone", settings=QUICK, environment=None, **more):
        """Starts the command; returns its process number. It prints into NAME.out and NAME.err in the folder."""
        request = {"arguments": arguments, "folder": str(folder), "name": name, "settings": settings, **more}
        child = self.ask(start={**request, "environment": environment or {}})
        self.running.add(child)
        return child

    def wait(self, child, timeout=300):
        """Returns the exit status, minus the signal that ended the process, or None if it still runs."""
        status = self.ask(wait=child, timeout=timeout)
        if status is not None:
            self.running.remove(child)
        return status


def start_workers(forks, arguments, folders, more_of=None, **options):
    """Starts a worker in each of the folders; returns their process numbers.

    What they print goes to worker-0.out, worker-0.err and so on. more_of: dict from the index of a worker to arguments
    of its own.
    """
    addresses = free_addresses(len(folders))
    return [
        forks.start(
            [*arguments, *(more_of or {}).get(index, [])],
            folder,
            f"worker-{index}",
            environment={"TF_CONFIG": tf_config(addresses, index)},
            **options,
        )
        for index, folder in enumerate(folders)
    ]
