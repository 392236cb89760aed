"""Trains with several workers on this machine, to try out what several machines do.

    python -m support.cluster.local WORKERS [flags of seq2seq_copy.py]

Shows what worker 0 prints, passes Ctrl-C to all workers, and ends with the exit status of worker 0.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from support.signals import SIGNALS


def free_addresses(count):
    """Returns "127.0.0.1:port" for ports that are free now, a list of str."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]


def tf_config(addresses, index):
    """Returns the TF_CONFIG of a worker, a str."""
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def start(addresses, index, arguments):
    """Starts a worker; returns its subprocess.Popen. Ctrl-C reaches it only through this process."""
    environment, silent = {**os.environ, "TF_CONFIG": tf_config(addresses, index)}, subprocess.DEVNULL
    output = {} if index == 0 else {"stdout": silent, "stderr": silent}
    command = [sys.executable, str(Path(__file__).parents[2] / "seq2seq_copy.py"), *arguments]
    return subprocess.Popen(command, env=environment, stdin=silent, start_new_session=True, **output)


def main(count, arguments):
    """Runs the workers until they finish; returns the exit status of worker 0."""
    addresses = free_addresses(count)
    workers = [start(addresses, index, arguments) for index in range(count)]
    for number in SIGNALS:
        signal.signal(number, lambda number, _: [worker.send_signal(number) for worker in workers])
    status = workers[0].wait()
    for worker in workers:
        worker.kill()  # if it still waits for worker 0; it has nothing to save
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    if len(sys.argv) < 2 or not sys.argv[1].isdecimal() or int(sys.argv[1]) < 1:
        print("usage: python -m support.cluster.local WORKERS [flags of seq2seq_copy.py]", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
