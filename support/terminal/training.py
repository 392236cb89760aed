"""A run from its first batch to its report: the code around seq2seq_copy.train()."""

import itertools
import time

from tqdm import tqdm

import helpers
from helpers import EXTRA_DECODER_STEPS
from seq2seq_copy import evaluate, train
from support.data import pairs
from support.model import variants
from support.pictures import pictures
from support.run import checkpoints, folder
from support.settings import EVALUATION_BATCH
from support.tensorflow import device, startup
from support.tensorflow import tensorflow_v1 as tf
from support.tensorflow.compiled import most_steps
from support.terminal import judge, process, report


def run_training(command):
    """Trains a new run or a stopped one; returns the exit status."""
    config, stop = command.config, process.Stop()
    startup.prepare_training(config)
    with process.show_step("importing TensorFlow"):
        startup.import_tensorflow()
    device.choose(config)
    generator, batches, held_out = examples(command)
    with process.show_step("building and compiling the graph"):
        model = variants.open_model(config)
    with model.session:
        run = checkpoints.open_run(command, model, held_out, generator)
        print(report.opening(command, run), end="")
        with process.stop_at_signal(stop):
            batches_per_second = listen(model, batches, run, stop, most_steps(config))
        finish(run, batches_per_second, command.pairs)
    return stop.status


def examples(command):
    """Returns the generator of the training data, its endless batches, and a helpers.Batch of held-out sequences."""
    config = command.config
    generator, held_out_generator = helpers.generators(config.seed)
    if command.pairs:
        return generator, *pairs.examples(command.pairs, config, generator, held_out_generator)
    return generator, *helpers.examples(config, generator, held_out_generator)


def sizes_of_calls(done, config, most):
    """Yields how many training steps each call makes: up to the next report or checkpoint, but no more than most.

    Args:
      done: int, the steps that have been made.
      config: a settings.Settings.
      most: int.
    """
    while done < config.max_batches:
        # A call ends after the next batch that is a multiple of either.
        ends = [-(-done // every) * every + 1 for every in (config.keep_every, config.batches_in_epoch)]
        before, done = done, min(*ends, config.max_batches, done + most)
        yield done - before


def listen(model, batches, run, stop, most):
    """Trains until the last batch, --until or a signal; records, prints and saves on the way.

    Args:
      model: the seq2seq_copy.Model.
      batches: iterator over helpers.Batch.
      run: the checkpoints.Run.
      stop: the process.Stop that ends training after a call.
      most: int, how many training steps a call makes at most.

    Returns:
      Batches per second, or None if there was none left to train on.
    """
    config, history = run.config, run.history
    done, start = len(history.rows), time.perf_counter()
    if has_ended_early(run, stop):  # before the run was killed
        return None
    few_held_out = helpers.take(run.held_out, 0, EVALUATION_BATCH)
    calls = (list(itertools.islice(batches, size)) for size in sizes_of_calls(done, config, most))
    with tqdm(total=config.max_batches, initial=done, unit=" batches", disable=None, dynamic_ncols=True) as bar:
        for call in train(model, calls, done):
            for row in zip(*call):
                history.record(*row)
            last_batch, batch_number = call[0][-1], history.rows[-1].batch
            bar.update(len(call[0]))

            is_kept = batch_number % config.keep_every == 0
            if batch_number % config.batches_in_epoch == 0:
                samples = report.batch_report(history.rows[-1], last_batch, model.predict(last_batch), config)
                process.write(samples, stop)
            if is_kept:
                exact, _ = evaluate(model, few_held_out)
                history.record_exact_match(exact.mean(), held_out_loss(model, few_held_out) if config.data else None)
            if is_kept or batch_number + 1 == config.max_batches or stop.status:
                run.keep()
            if stop.status:
                process.write("training interrupted", stop)
                break
            if has_ended_early(run, stop):
                break
    return (len(history.rows) - done) / (time.perf_counter() - start) or None


def has_ended_early(run, stop):
    """Returns whether --until or --patience ends the run, and prints it if so."""
    if not run.has_ended_early():
        return False
    process.write(report.early_end(run.history.rows, run.config), stop)
    return True


def held_out_loss(model, batch):
    """Returns the loss of a helpers.Batch, float; the decoder reads its own predictions, as for an evaluation."""
    loss = model.session.graph.get_tensor_by_name("loss/loss:0")  # model.loss may be the loss of the training parts
    total, size = 0.0, model.config.evaluation_batch
    for start in range(0, batch.lengths.size, size):
        part = helpers.take(batch, start, start + size)
        total += float(model.session.run(loss, model.feed(part))) * (part.target_lengths + EXTRA_DECODER_STEPS).sum()
    return total / float((batch.target_lengths + EXTRA_DECODER_STEPS).sum())


def finish(run, batches_per_second, user_pairs=None):
    """Saves the final figures and the pictures, then prints the figures. user_pairs: the pairs.Pairs, if there are."""
    with process.show_step("evaluating"):
        if run.config.keep == "best":
            checkpoints.restore_kept(run.folder, run.model.session, run.saver)
        exact, correct_tokens = evaluate(run.model, run.held_out)
        metrics = report.metrics(run, exact, correct_tokens, batches_per_second)
        if user_pairs is not None:
            metrics |= report.metrics_of_pairs(judge.judge_run(run, user_pairs))
    folder.write_json(run.folder / "metrics.json", metrics | {"tensorflow": tf.__version__})
    with process.show_step("drawing"):
        pictures.save_all(run, metrics)
    print(report.final_report(metrics), report.places(run), sep="\n\n")
