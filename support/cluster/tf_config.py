"""Which workers train together: the environment variable TF_CONFIG, in TensorFlow's format.

    {"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, "task": {"type": "worker", "index": 0}}

A "chief", as Kubeflow sets it, is worker 0, and the others follow it.
"""

from support import outside
from support.errors import UserError, as_user_error


def read(text):
    """Reads the value of TF_CONFIG, a str.

    Returns the addresses of all workers, a list of str "host:port", and the index of this one; None if it is alone.
    Raises UserError if the value is malformed, or asks for something that is not supported.
    """
    with as_user_error("TF_CONFIG: not JSON", ValueError):
        config = outside.parse_json(text) if text.strip() else {}
    expect(isinstance(config, dict), 'must be an object with "cluster" and "task"')
    cluster, task = config.get("cluster"), config.get("task")
    if not cluster:
        return None
    expect(isinstance(cluster, dict), '"cluster" must be an object like {"worker": ["host:port"]}')
    for job, addresses in cluster.items():
        expect(job in ("chief", "worker"), f'"{job}" is not supported; the jobs of "cluster" are "worker" and "chief"')
        expect(isinstance(addresses, list), f'"{job}" must be a list of "host:port"')
        for address in addresses:
            expect(not f"{address}".startswith("unix:"), f'"{job}" holds {address!r}, and "unix:" is not supported')
            expect(is_address(address), f'"{job}" holds {address!r}, which is not "host:port"')
    chief = cluster.get("chief", [])
    expect(len(chief) <= 1, f"{len(chief)} chiefs; only one is allowed")
    addresses = [*chief, *cluster.get("worker", [])]
    for address in addresses:
        expect(addresses.count(address) == 1, f"{address!r} appears twice")
    expect(isinstance(task, dict), '"task" must be an object like {"type": "worker", "index": 0}')
    job, index = task.get("type"), task.get("index")
    expect(job in ("chief", "worker"), f'the "type" of "task" is {job!r}; "worker" and "chief" are supported')
    count = len(cluster.get(job, []))
    expect(type(index) is int and 0 <= index < count, f'the "index" of "task" is {index!r}, and "{job}" has {count}')
    return (addresses, index if job == "chief" else len(chief) + index) if len(addresses) > 1 else None


def expect(condition, message):
    if not condition:
        raise UserError(f"TF_CONFIG: {message}")


def is_address(address):
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    return bool(host) and host.isprintable() and port.isascii() and port.isdecimal() and 0 < int(port) < 65_536
