"""A run that several machines train together, see support/graph/cluster.py and docs/scaling.md.

Worker 0 does what it does alone: it prints, evaluates and keeps the run. The others only train with it.
"""

import dataclasses
import functools
import json
import logging
import time

import numpy as np

import helpers
from support.data import ahead, pairs
from support.graph import cluster, compiled_gradients, variants
from support.run import checkpoints, folder, history
from support.tensorflow import tensorflow_v1 as tf
from support.terminal import agreement, process, report


class Stops(list):
    """What stop_at_signal() yields here: it fills only when all workers know in the same step.

    status: int, what this worker tells the others next: 0, or why it wants to stop.
    """

    status = 0

    def append(self, status):
        self.status = self.status or status


def run_training(command, text):
    """Trains a run together with the other workers.

    Args:
      command: a command.Command with workers.
      text: the module seq2seq_copy, which no module of support/ may import.

    Returns:
      The exit status.

    Raises:
      ClusterError: the workers cannot train together, or one is lost.
    """
    with process.shown("waiting for the other workers"):
        workers = cluster.Cluster(*command.workers)
    command = agreement.reach(workers, command)
    config, is_first = command.config, workers.index == 0
    if not is_first:
        print(f"worker {workers.index} of {workers.size} trains; worker 0 ({workers.addresses[0]}) reports")
        logging.getLogger("support.data").setLevel(logging.ERROR)  # worker 0 warns

    training_generator, held_out_generator = np.random.default_rng(config.seed).spawn(2)
    examples = functools.partial(pairs.examples, command.pairs) if command.pairs else helpers.examples
    batches, held_out = examples(config, training_generator, held_out_generator)
    graph = text.build_graph(config, variants.replace_parts(text.Parts(tf.nn), config))
    session = workers.new_session()  # not closed if something is raised: that might wait for a worker that is lost
    session.run(tf.global_variables_initializer())
    ask = functools.partial(text.answered, session, graph)
    run, done, has_ended = open_run(workers, command, session, held_out, training_generator, ask)
    seen, status = history.History(held_out), 0
    seen.rows = [None] * done
    if is_first:
        print(report.opening(command, run), end="")

    stops = Stops()
    make_steps = prepare_steps(workers, session, graph, config, text, stops)
    stop_at_signal = functools.partial(process.stop_at_signal, stops)
    calls = ahead.drawn_ahead(batches, ahead.sizes_of_calls(done, config, 1), training_generator)
    start = time.perf_counter()
    try:
        if is_first:
            run.before_keeping = lambda: compare(workers, session, run.has_reached_share())
            decode_batch = functools.partial(text.predicted, session, graph)
            status = text.train(make_steps, decode_batch, calls, run, stop_at_signal)
        elif not has_ended:
            compare_here = functools.partial(compare, workers, session)
            status = follow(make_steps, calls, config, seen, compare_here, stop_at_signal)
    except FloatingPointError:  # on all workers, in the same step
        workers.part()
        raise
    workers.part()
    if is_first:
        batches_per_second = (len(run.history.rows) - done) / (time.perf_counter() - start) or None
        text.finish(decode_batch, run, batches_per_second)
    else:
        print(f"worker {workers.index} of {workers.size} has ended after {len(seen.rows)} batches")
    session.close()
    return status


def open_run(workers, command, session, held_out, generator, ask):
    """Opens the run on worker 0, and brings all workers to where it goes on. Arguments: see checkpoints.open_run().

    Returns:
      run: the checkpoints.Run on worker 0; None on the others, which write nothing.
      done: int, how many batches are done.
      has_ended: bool, whether the run has reached --until.

    Raises:
      RunError: worker 0 cannot open the run. All workers raise it.
      OSError: worker 0 cannot write.
    """
    run, state, error = None, {}, None
    if workers.index == 0:
        try:
            run = checkpoints.open_run(command, session, held_out, generator, ask)
        except (folder.RunError, OSError) as problem:
            error, state = problem, {"problem": str(problem)}
        else:
            state = {"generator": generator.bit_generator.state, "done": len(run.history.rows)}
            state["has_ended"] = run.has_reached_share()
    state = json.loads(workers.exchange(json.dumps(state).encode())[0])
    if "problem" in state:
        workers.part()
        raise error or folder.RunError(f"worker 0: {state['problem']}")
    generator.bit_generator.state = state["generator"]
    workers.share_variables(session)
    return run, state["done"], state["has_ended"]


@process.shown("compiling the training step")
def prepare_steps(workers, session, graph, config, text, stops):
    """Returns what makes a training step with the columns of this worker, like seq2seq_copy.take_steps()."""
    columns = cluster.columns(config.batch_size, workers.size, workers.index)
    parts = variants.replace_parts(text.Parts(tf.nn), config, training=True, columns=columns)
    parts = parts._replace(sum_over_workers=workers.sum_over_workers)
    compiled_step = None
    if config.xla == "on":
        own_config = dataclasses.replace(config, batch_size=columns.stop - columns.start)
        arguments = (session, graph, text.connect, text.adam, parts, own_config)
        compiled_step = compiled_gradients.compile_gradients(*arguments)
    if compiled_step is not None:
        step, feed = compiled_step
    else:
        inputs = (graph.encoder_inputs, graph.encoder_inputs_length, graph.decoder_targets)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            step = text.connect(*inputs, config, graph.optimizer, parts)
        feed = functools.partial(text.next_feed, step)

    def decoder_steps(batch):
        return batch.lengths.sum() + batch.lengths.size * config.extra_decoder_steps

    def make_steps(batches):
        (batch,) = batches
        mine = helpers.columns(batch, columns.start, columns.stop)
        share = decoder_steps(mine) / decoder_steps(batch)
        results, statuses = workers.take_step(session, step, feed(mine), share, stops.status)
        stops.extend(statuses)
        return [[value] for value in results]

    return make_steps


def compare(workers, session, has_ended=False):
    """Compares the weights of all workers; returns whether the run of worker 0 has reached --until."""
    return workers.check_variables(session, b"ended" if has_ended else b"")[0] == b"ended"


def follow(make_steps, calls, config, seen, compare_here, stop_at_signal):
    """Does on the other workers what seq2seq_copy.train() does on worker 0, as far as they take part in it.

    Args:
      make_steps, calls, stop_at_signal: as for seq2seq_copy.train().
      config: the settings.Config.
      seen: a history.History.
      compare_here: function that compares the weights and returns whether worker 0 ends the run.

    Returns:
      The exit status.
    """
    with stop_at_signal() as stops:
        for batches, _ in calls:
            for batch, *results in zip(batches, *make_steps(batches)):
                seen.record(batch, *results)
            batch_number = seen.rows[-1].batch
            is_kept = batch_number % config.keep_every == 0 or batch_number + 1 == config.max_batches or stops
            if (is_kept and compare_here()) or stops:
                break
    return stops[0] if stops else 0
