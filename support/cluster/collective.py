"""Several machines train one model: each takes some columns of every batch, and all of them add up their gradients.

Each worker builds the same graph and runs it in a session of its own, on a tf.train.Server of its own ("between-graph
replication"). One all-reduce in each step adds up the gradients. All workers then make the same step of Adam on the
same weights. Source: Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 4.

The order of the additions is fixed, so all workers get the same bits, and another run with as many workers gets them
again.
"""

import contextlib
import hashlib
import logging
import math
import os
import socket
import threading
import time

import numpy as np

from support.tensorflow import tensorflow_v1 as tf

LEADER = "/job:worker/replica:0/task:0"  # tells the workers which of them form a group
GROUP, STEP, FIRST_SUM = 1, 1, 2  # keys of collectives: they must be the same on all workers
PATIENCE = 10  # seconds that TensorFlow gets to notice by itself what is wrong

log = logging.getLogger(__name__)


class ClusterError(Exception):
    """The workers cannot train together. The message is one line for the user."""

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


def alone(gradients, loss):
    """Stands for Cluster.sum_over_workers() where one worker trains on the whole batch."""
    return gradients, loss


def columns(batch_size, workers, index):
    """Returns which columns of a batch a worker takes, a slice. The sizes differ by one at most."""
    return slice(batch_size * index // workers, batch_size * (index + 1) // workers)


class Cluster:
    """The workers as one of them sees them."""

    def __init__(self, addresses, index, timeout):
        """Starts the server of this worker, and waits for those of the others.

        Args:
          addresses: list of str, "host:port" of each worker.
          index: int, which of them this one is.
          timeout: float, seconds that it waits for the others.

        Raises:
          ClusterError: the port is in use, or another worker does not start in time.
        """
        self.addresses, self.index, self.timeout = addresses, index, timeout
        self.size = len(addresses)
        # A session that sees no device but its own waits for nobody, and places all that it has on that device.
        self.session_config = tf.ConfigProto(device_filters=[f"/job:worker/task:{index}"])
        self.session_config.experimental.collective_group_leader = LEADER
        try:
            self.server = tf.train.Server({"worker": addresses}, "worker", index, config=self.session_config)
        except tf.errors.OpError:
            message = f"cannot listen on the port of {addresses[index]}: is it in use? (TF_CONFIG, worker {index})"
            raise ClusterError(message, status=2) from None
        self.wait_for_all()
        self.waiting_since = math.inf
        threading.Thread(target=self.watch, daemon=True).start()

        with tf.Graph().as_default():
            self.numbers, self.key = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.int32, [])
            self.sum_of_numbers = self.all_reduce(self.numbers, self.key)
            self.sums, self.session_of_sums = 0, self.new_session()

    def new_session(self):
        """Returns a tf.Session for the default graph, on the server of this worker."""
        return tf.Session(self.server.target, config=self.session_config)

    def wait_for_all(self):
        give_up_at = time.monotonic() + self.timeout
        for worker, address in enumerate(self.addresses):
            while not answers(address):
                if time.monotonic() > give_up_at:
                    raise ClusterError(f"worker {worker} ({address}) did not start within {self.timeout:g} s")
                time.sleep(0.1)

    def watch(self):
        """Ends the process where TensorFlow goes on waiting, as it may while a worker starts, for one that is lost."""
        while True:
            time.sleep(1)
            waited = time.monotonic() - self.waiting_since
            if waited > self.timeout + PATIENCE or (waited > PATIENCE and self.lost()):
                log.error(self.problem())
                os._exit(1)

    @contextlib.contextmanager
    def waiting(self):
        """Surrounds what waits for the other workers; turns what TensorFlow raises into a ClusterError."""
        self.waiting_since = time.monotonic()
        try:
            yield
        except tf.errors.OpError as error:
            if isinstance(error, (tf.errors.ResourceExhaustedError, tf.errors.InvalidArgumentError)):
                raise
            raise ClusterError(self.problem()) from None
        finally:
            self.waiting_since = math.inf

    def lost(self):
        """Returns which workers no longer listen, a list of str."""
        return [f"worker {worker} ({address})" for worker, address in enumerate(self.addresses) if not answers(address)]

    def problem(self):
        """Returns in one line why this worker does not go on."""
        lost = ", ".join(self.lost())
        without_answer = f"a worker did not answer within {self.timeout:g} s, or has another TF_CONFIG"
        return f"lost {lost}; start all workers again with --resume" if lost else without_answer

    def all_reduce(self, tensor, key):
        """Returns the sum of the tensors that all workers hand in under a key."""
        return tf.raw_ops.CollectiveReduceV2(
            input=tensor,
            group_size=self.size,
            group_key=GROUP,
            instance_key=key,
            ordering_token=[],
            merge_op="Add",
            final_op="Id",
            communication_hint="ring",
            timeout_seconds=self.timeout,
        )

    def sum_over_workers(self, gradients, loss):
        """Turns gradients and loss of the columns of this worker into those of the whole batch.

        They are means over the steps of these columns. Weighted by the share that these are of all steps of the batch,
        they add up to the mean over all of them. So that one all-reduce does for a step, the statuses of the workers
        travel with them: whoever was asked to stop tells all others in the same step.

        Args:
          gradients: list of float32 tensors.
          loss: float32 [].

        Returns:
          The same for the whole batch.
        """
        self.share = tf.placeholder(tf.float32, [], "share_of_steps")
        self.status = tf.placeholder(tf.float32, [], "status")
        tensors = [*gradients, loss]
        flat = [tf.reshape(tensor, [-1]) for tensor in tensors]
        weighted = tf.concat(flat, axis=0) * self.share
        statuses = tf.one_hot(self.index, self.size) * self.status
        summed = self.all_reduce(tf.concat([weighted, statuses], axis=0), STEP)
        *flat, self.statuses = tf.split(summed, [*map(tf.size, flat), self.size])
        *gradients, loss = (tf.reshape(part, tf.shape(tensor)) for part, tensor in zip(flat, tensors))
        return gradients, loss

    def take_step(self, session, graph, feed, share, status):
        """Makes a training step together with all workers.

        Args:
          session: a tf.Session from new_session().
          graph: the seq2seq_copy.Graph of the step, connected with sum_over_workers().
          feed: dict, what it is fed: the columns of this worker.
          share: float, the share of the batch's steps that these columns have.
          status: int, the exit status that this worker wants to end with, or 0 to go on.

        Returns:
          results: loss, gradient norm and learning rate of the whole batch.
          statuses: list of int, the statuses of all workers that want to end.
        """
        fetches = [graph.loss, graph.gradient_norm, graph.learning_rate, self.statuses, graph.train_op]
        with self.waiting():
            *results, statuses, _ = session.run(fetches, feed | {self.share: share, self.status: status})
        return results, [int(status) for status in statuses if status]

    def add(self, numbers):
        """Adds up the numbers of all workers, int32 [n] with n > 0. All must call this, and what follows, in turn."""
        with self.waiting():
            return self.run_sum(numbers)

    def run_sum(self, numbers):
        self.sums += 1
        feed = {self.numbers: numbers, self.key: FIRST_SUM + self.sums}
        return self.session_of_sums.run(self.sum_of_numbers, feed)

    def exchange(self, data):
        """Hands bytes to all workers; returns a list of the bytes that each has handed in."""
        sizes = np.zeros(self.size, np.int32)
        sizes[self.index] = len(data)
        sizes = self.add(sizes)
        rows = np.zeros([self.size, sizes.max() // 4 + 1], np.int32)  # TensorFlow does not survive a sum of nothing
        rows[self.index].view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
        rows = self.add(rows.ravel()).reshape(rows.shape)
        return [row.tobytes()[:size] for row, size in zip(rows, sizes)]

    def share_variables(self, session):
        """Sets all variables of the default graph to their values on worker 0."""
        for variable in tf.global_variables():
            value = np.atleast_1d(session.run(variable))
            bits = value.view(np.int32).ravel()  # the sum with zeros is exact
            bits = self.add(bits if self.index == 0 else np.zeros_like(bits))
            variable.load(bits.view(value.dtype).reshape(variable.shape), session)

    def check_variables(self, session, data):
        """Checks that all variables of the default graph are the same on all workers, bit for bit.

        Args:
          session: the tf.Session.
          data: bytes to hand to all workers on this occasion.

        Returns:
          A list of the bytes that each worker has handed in.

        Raises:
          ClusterError: they are not the same.
        """
        digest = hashlib.sha256(b"".join(value.tobytes() for value in session.run(tf.global_variables()))).digest()
        all_data = self.exchange(digest + data)
        for worker, other in enumerate(all_data):
            if other[: len(digest)] != all_data[0][: len(digest)]:
                self.part()
                raise ClusterError(
                    f"worker {worker} has other weights than worker 0, so nothing was saved since the last checkpoint; "
                    "do all workers have the same kind of processor?"
                )
        return [other[len(digest) :] for other in all_data]

    def part(self):
        """Waits until no other worker needs this one any more. If one is lost, that no longer matters."""

        def wait():
            with contextlib.suppress(tf.errors.OpError):
                self.run_sum(np.zeros(1, np.int32))

        parting = threading.Thread(target=wait, daemon=True)
        parting.start()
        parting.join(self.timeout + PATIENCE)


def answers(address):
    """Returns whether somebody listens at "host:port"."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except (OSError, UnicodeError):  # the latter for a name that cannot be one
        return False
    return True
