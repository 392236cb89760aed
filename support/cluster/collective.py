"""The cluster as one worker sees it: it waits for the others, and together they add up numbers.

Each worker runs its own session on its own tf.train.Server ("between-graph replication"). The order of the additions
is fixed, so all workers get the same bits, and so does another run with as many workers.
"""

import contextlib
import json
import multiprocessing.pool
import socket
import time

import numpy as np

from support.errors import UserError
from support.tensorflow import tensorflow_v1 as tf

GROUP, STEP, FIRST_SUM = 1, 1, 2  # keys of collective operations, the same on all workers
PATIENCE = 10  # seconds for TensorFlow to notice by itself that a worker is lost


class Cluster:
    """The server of this worker, and joint operations: all workers must call add() and those below in one order."""

    def __init__(self, addresses, index, timeout):
        """Starts the server of this worker, and waits for the others.

        addresses is a list of str, "host:port" of each worker. index is the position of this worker. timeout is a
        float, in seconds. Raises UserError if the port is in use, or if another worker does not start in time.
        """
        self.addresses, self.index, self.size, self.timeout = addresses, index, len(addresses), timeout
        # A session that sees only its own device waits for no other worker, and keeps everything on that device.
        self.session_config = tf.ConfigProto(device_filters=[f"/job:worker/task:{index}"], device_count={"GPU": 0})
        self.session_config.experimental.collective_group_leader = "/job:worker/replica:0/task:0"
        try:
            self.server = tf.train.Server({"worker": addresses}, "worker", index, config=self.session_config)
        except tf.errors.OpError:
            problem = f"cannot listen on the port of {addresses[index]}: is it in use?"
            raise UserError(f"{problem} (TF_CONFIG, worker {index})") from None
        give_up_at = time.monotonic() + timeout
        while lost := self.lost_workers():
            if time.monotonic() > give_up_at:
                raise UserError(f"{lost} did not start within {timeout:g} s", status=1)
            time.sleep(0.1)
        self.thread, self.sums = multiprocessing.pool.ThreadPool(1), 0
        with tf.Graph().as_default():
            self.numbers, self.key = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.int32, [])
            self.sum_of_numbers, self.session_of_sums = self.all_reduce(self.numbers, self.key), self.open_session()

    def open_session(self):
        """Returns a tf.Session for the default graph, on the server of this worker."""
        return tf.Session(self.server.target, config=self.session_config)

    def all_reduce(self, tensor, key):
        """Returns the sum of the tensors, int32 or float32, that all workers hand in under a key."""
        group = {"group_size": self.size, "group_key": GROUP, "instance_key": key, "timeout_seconds": self.timeout}
        how = {"merge_op": "Add", "final_op": "Id", "communication_hint": "ring", "ordering_token": []}
        return tf.raw_ops.CollectiveReduceV2(input=tensor, **group, **how)

    def run(self, session, fetches, feed):
        """Returns what session.run() returns; all workers wait for each other. Raises UserError if one is lost."""
        # In another thread, because TensorFlow itself may wait forever for a worker that is lost while it starts.
        result, give_up_at = self.thread.apply_async(session.run, (fetches, feed)), time.monotonic() + self.timeout
        result.wait(PATIENCE)
        while not result.ready() and time.monotonic() < give_up_at + PATIENCE and not self.lost_workers():
            result.wait(PATIENCE)
        try:
            return result.get(timeout=0)
        except (tf.errors.ResourceExhaustedError, tf.errors.InvalidArgumentError):
            raise
        except (tf.errors.OpError, multiprocessing.TimeoutError) as error:
            problem = f"a worker did not answer within {self.timeout:g} s, or has another TF_CONFIG"
            if "joining a group" in str(error):
                problem = "a worker with another TF_CONFIG may have joined; start all workers again with --resume"
            elif lost := self.lost_workers():
                problem = f"lost {lost}; start all workers again with --resume"
            raise UserError(problem, status=1) from None

    def lost_workers(self):
        """Names the workers that do not listen; returns an empty str if all do."""
        workers = enumerate(self.addresses)
        return ", ".join(f"worker {worker} ({address})" for worker, address in workers if not is_listening(address))

    def add(self, numbers):
        """Adds up the numbers of all workers, int32 [n] with n > 0."""
        self.sums += 1
        feed = {self.numbers: numbers, self.key: FIRST_SUM + self.sums}
        return self.run(self.session_of_sums, self.sum_of_numbers, feed)

    def exchange(self, value):
        """Sends a value that JSON can hold to all workers; returns a list of all workers' values."""
        data, sizes = np.frombuffer(json.dumps(value).encode(), np.uint8), np.zeros(self.size, np.int32)
        sizes[self.index] = data.size
        sizes = self.add(sizes)
        rows = np.zeros([self.size, sizes.max() // 4 + 1], np.int32)
        rows[self.index].view(np.uint8)[: data.size] = data
        rows = self.add(rows.ravel()).reshape(rows.shape)
        return [json.loads(row.tobytes()[:size]) for row, size in zip(rows, sizes)]

    def leave(self):
        """Waits until no other worker needs this one any more. It does not matter if one is lost by then."""
        with contextlib.suppress(UserError):
            self.add(np.zeros(1, np.int32))

    def refuse(self, message, status=2):
        """Raises a UserError. All workers must call it."""
        self.leave()
        raise UserError(message, status)


def is_listening(address):
    """Returns whether a server listens at "host:port"."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except (OSError, UnicodeError):  # UnicodeError: not a valid host name
        return False
    return True
