"""Which machines train together: the environment variable TF_CONFIG, by the conventions of TensorFlow.

    {"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, "task": {"type": "worker", "index": 0}}

A "chief", as Kubeflow sets it, is worker 0, and the others follow it.
"""

import json
import os
from typing import NamedTuple

TIMEOUT = 120.0  # seconds
LARGEST_PORT = 65_535


class Workers(NamedTuple):
    """The arguments of a cluster.Cluster."""

    addresses: list  # of str, "host:port"
    index: int
    timeout: float = TIMEOUT


class WorkersError(Exception):
    """TF_CONFIG cannot be used. The message is one line for the user."""


def of_environment(timeout):
    """Reads TF_CONFIG from the environment, like read(). timeout is None if --cluster-timeout was not typed."""
    text = os.environ.get("TF_CONFIG", "")
    if timeout is not None and not text:
        raise WorkersError("--cluster-timeout goes with TF_CONFIG")
    try:
        return read(text, timeout or TIMEOUT)
    except WorkersError as error:
        raise WorkersError(f"TF_CONFIG: {error}") from None


def check(workers, config):
    """Raises WorkersError if a worker would have nothing to do."""
    if workers and config.batch_size < len(workers.addresses):
        message = f"{config.batch_size} is fewer than the {len(workers.addresses)} workers of TF_CONFIG"
        raise WorkersError(f"--batch-size: {message}")


def read(text, timeout=TIMEOUT):
    """Reads TF_CONFIG.

    Args:
      text: str, its value.
      timeout: float, seconds that a worker waits for the others.

    Returns:
      Workers; None if it names no more than one.

    Raises:
      WorkersError: it is malformed, or asks for what there is not here.
    """
    if not text.strip():
        return None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkersError(f"not JSON: {error}") from None
    expect(isinstance(config, dict), 'must be an object with "cluster" and "task"')
    cluster = config.get("cluster")
    if not cluster:
        return None
    expect(isinstance(cluster, dict), '"cluster" must be an object like {"worker": ["host:port"]}')
    for job, addresses in cluster.items():
        expect(job in ("chief", "worker"), f'"{job}" is not supported; the jobs of "cluster" are "worker" and "chief"')
        expect(isinstance(addresses, list), f'"{job}" must be a list of "host:port"')
        for address in addresses:
            expect(is_address(address), f'"{job}" holds {address!r}, which is not "host:port"')
    chief, others = cluster.get("chief", []), cluster.get("worker", [])
    expect(len(chief) <= 1, f"{len(chief)} chiefs, and there can be one")
    addresses = [*chief, *others]
    twice = [address for address in addresses if addresses.count(address) > 1]
    expect(not twice, f"{twice and twice[0]!r} is there twice")

    task = config.get("task")
    expect(isinstance(task, dict), '"task" must be an object like {"type": "worker", "index": 0}')
    job, index = task.get("type"), task.get("index")
    expect(job in ("chief", "worker"), f'the "type" of "task" is {job!r}; "worker" and "chief" are supported')
    jobs = {"chief": chief, "worker": others}
    expect(
        type(index) is int and 0 <= index < len(jobs[job]),
        f'the "index" of "task" is {index!r}, and "cluster" has {len(jobs[job])} of "{job}"',
    )
    if len(addresses) < 2:
        return None
    return Workers(addresses, index + (len(chief) if job == "worker" else 0), timeout)


def expect(condition, message):
    if not condition:
        raise WorkersError(message)


def is_address(address):
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    return bool(host) and port.isascii() and port.isdecimal() and 0 < int(port) <= LARGEST_PORT
